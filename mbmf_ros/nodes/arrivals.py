"""How often a node's input comes, and how long ago the last came. For diagnostics."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Arrivals:
    """Counts messages by what they are.

    Args:
        clock: gives the time [s]; the machine's steady clock, so that no other machine's matters.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._begun_s = clock()
        self._fresh: dict[str, int] = {}  # since the last report
        self._last_s: dict[str, float] = {}

    def add(self, what: str) -> None:
        """One has come."""
        self._fresh[what] = self._fresh.get(what, 0) + 1
        self._last_s[what] = self._clock()

    def report(self) -> dict[str, float]:
        """Rates since the last report, and ages of the last messages, of all that has ever come."""
        now = self._clock()
        passed_s, self._begun_s = now - self._begun_s, now
        values = {}
        for what, last_s in self._last_s.items():
            values[f"{what} rate [Hz]"] = self._fresh.get(what, 0) / passed_s if passed_s > 0 else math.nan
            values[f"{what} age [s]"] = now - last_s
        self._fresh.clear()
        return values
