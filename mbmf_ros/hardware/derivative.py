"""Velocities where only positions are measured."""

from __future__ import annotations

import numpy as np

LONGEST_S = 0.2  # positions farther apart say nothing about the velocity now


class Derivative:
    """Backward differences through a first-order low-pass filter.

    Args:
        time_constant_s: of the filter; 0: none.
    """

    def __init__(self, time_constant_s: float):
        self._time_constant_s = time_constant_s
        self._last: tuple[float, np.ndarray] | None = None
        self._value: np.ndarray | None = None

    def reset(self) -> None:
        """Forget what was."""
        self._last = self._value = None

    def update(self, stamp_s: float, position: np.ndarray) -> np.ndarray | None:
        """The velocity at a position (n,) of time ``stamp_s``, later than the one before; None: not known yet."""
        last, self._last = self._last, (stamp_s, position)
        if last is None or not 0 < stamp_s - last[0] <= LONGEST_S:
            self._value = None
            return None
        elapsed_s = stamp_s - last[0]
        slope = (position - last[1]) / elapsed_s
        share = elapsed_s / (self._time_constant_s + elapsed_s)
        self._value = slope if self._value is None else self._value + share * (slope - self._value)
        return self._value
