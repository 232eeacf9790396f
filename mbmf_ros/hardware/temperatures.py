"""Temperatures of a robot, one for each frame that they are told of."""

from __future__ import annotations

import math

from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.settings import TemperatureConfig

MOST = 256  # frames; whoever names more makes them up


class Temperatures:
    """The newest temperature of every frame. A sensor that was heard once has to go on.

    Args:
        config: what is hot, and what is old.
    """

    def __init__(self, config: TemperatureConfig):
        self.config = config
        self._newest: dict[str, tuple[float, float]] = {}  # frame -> arrival [s], value

    @property
    def hottest(self) -> float | None:
        """Of all frames [degrees Celsius]; None: none was heard."""
        return max((value for _, value in self._newest.values()), default=None)

    def take(self, arrival_s: float, frame: str, value: float) -> None:
        """Take in a temperature [degrees Celsius] of ``frame``.

        Raises:
            MbmfError: it is not finite, or there are too many frames.
        """
        if not math.isfinite(value):
            raise MbmfError(f"expected a finite temperature, got {value}")
        if frame not in self._newest and len(self._newest) >= MOST:
            raise MbmfError(f"expected temperatures of at most {MOST} frames, got one more: {frame!r}")
        self._newest[frame] = arrival_s, value

    def problems(self, now_s: float) -> list[str]:
        """Why the robot may not move, one line each, free of numbers that change every time."""
        config = self.config
        if not config.topic:
            return []
        if not self._newest:
            return [f"temperature: nothing on {config.topic}"]
        lines = [
            f"temperature: nothing of {frame or 'the sensor'} on {config.topic} for more than {config.max_age:g} s"
            for frame, (arrival_s, _) in self._newest.items()
            if now_s - arrival_s > config.max_age
        ]
        hottest = self.hottest
        if hottest is not None and hottest >= config.stop:
            lines.append(f"a temperature of {config.stop:g} C or more on {config.topic}")
        return lines
