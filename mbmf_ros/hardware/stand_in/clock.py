"""The clock of a robot's own computer."""

from __future__ import annotations


class RobotClock:
    """Goes a little too fast or too slow, and was never set to ours.

    Args:
        start_s: what it shows when the stand-in's time is 0 [s].
        drift_ppm: how much too fast it goes, in parts per million; quartz: within 50.
    """

    def __init__(self, start_s: float, drift_ppm: float = 0.0):
        self._start_ns = round(start_s * 1e9)
        self._rate = 1.0 + drift_ppm * 1e-6

    def jump(self, by_s: float) -> None:
        """Set it forward by so many seconds, or back where negative, as a time server does."""
        self._start_ns += round(by_s * 1e9)

    def at(self, now_s: float) -> int:
        """What it shows [ns] at ``now_s`` of the stand-in's time; never before 0, which messages cannot say."""
        return max(0, self._start_ns + round(now_s * self._rate * 1e9))
