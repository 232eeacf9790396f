"""States that come out of order, told from a robot that begins anew."""

from __future__ import annotations

OUTDATED = "it is from before the newest one"
CONVINCING = 3  # states in a row from before: the robot's bridge was started again, and its time with it


class Timeline:
    """The order of a robot's states, by their stamps.

    A state stamped earlier than the newest is a straggler, a recording that is played back, or the word of a stranger.
    Only when several come in a row, each no earlier than the one before, has time itself begun anew.
    """

    def __init__(self) -> None:
        self._newest_s, self._earlier_s, self._earlier = float("-inf"), float("-inf"), 0

    def outdated(self, stamp_s: float) -> bool:
        """Take in the stamp [s] of the next state; whether that state is not to be gone by."""
        if stamp_s < self._newest_s:
            self._earlier = self._earlier + 1 if stamp_s >= self._earlier_s else 1
            self._earlier_s = stamp_s
            if self._earlier < CONVINCING:
                return True
        self._newest_s, self._earlier_s, self._earlier = stamp_s, float("-inf"), 0
        return False
