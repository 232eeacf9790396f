"""How punctual a controller's answers are. For diagnostics."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

import numpy as np

_NEWEST = 200  # answers that are looked at


class Punctuality:
    """Remembers the newest answers.

    Attributes:
        skipped: states of a running episode that never were answered: while one is planned for, only the newest of
            those that come is kept.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self._episode, self._tick = -1, -1
        self._plan_times_s: deque[float] = deque(maxlen=_NEWEST)
        self._ages_s: deque[float] = deque(maxlen=_NEWEST)

    def add(self, episode: int, tick: int, published_ns: int, plan_time_s: float | None) -> None:
        """A state was answered just now.

        Args:
            episode, tick: of the state.
            published_ns: when its bridge published it, by the system's clock of the bridge's machine [ns].
            plan_time_s: how long the plan took [s]; None: there was nothing to plan.
        """
        if episode == self._episode and tick > self._tick:
            self.skipped += tick - self._tick - 1
        self._episode, self._tick = episode, tick
        self._ages_s.append((time.time_ns() - published_ns) * 1e-9)
        if plan_time_s is not None:
            self._plan_times_s.append(plan_time_s)

    def values(self) -> dict[str, float]:
        """For diagnostics. Ages of states from another machine are as right as the machines' clocks agree."""
        return {
            "states skipped": self.skipped,
            **_percentiles("state age when answered", self._ages_s),
            **_percentiles("plan time", self._plan_times_s),
        }


def _percentiles(what: str, times_s: Sequence[float]) -> dict[str, float]:
    if not times_s:
        return {}
    p50, p99 = np.percentile(np.array(times_s), [50, 99])
    return {f"{what} p50 [ms]": 1e3 * float(p50), f"{what} p99 [ms]": 1e3 * float(p99)}
