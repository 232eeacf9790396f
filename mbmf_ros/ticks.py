"""Pairs the states of a robot with the controller's answers that led to them, for whoever measures runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LATE_TICKS = 3  # how long to wait for the message with the answer to a tick


@dataclass(frozen=True)
class Tick:
    """One received state."""

    episode: int
    tick: int
    m: np.ndarray
    source: int
    status: int
    stamp_s: float


class TickMatcher:
    """Keeps the states of an episode and matches each with the answer that led to it.

    The topics ``state`` and ``action`` arrive in any order; a state is handed out, in order, when the controller's
    answer to the tick before has arrived too, or is long overdue. A bridge repeats states while time stands still:
    repetitions are dropped. A bridge leaves out a number where a control period was no transition: there the answer is
    the one to the state before.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Tick, tuple[int, int]]] = []  # with the state before, by episode and tick
        self._last = (-1, -1)
        self._answers: dict[tuple[int, int], tuple[float, bool]] = {}  # plan time [s] and whether it was idle

    def clear(self) -> None:
        """Forget what was, and go on: the answer to the newest state, which the next one needs, is kept."""
        self._waiting.clear()
        self._answers = {tick: answer for tick, answer in self._answers.items() if tick >= self._last}

    def state(self, tick: Tick) -> None:
        """Take in a state."""
        key = (tick.episode, tick.tick)
        if key > self._last:
            before, self._last = self._last, key
            if tick.tick > 0:
                self._waiting.append((tick, before))

    def answer(self, episode: int, tick: int, plan_time_s: float, idle: bool) -> None:
        """Take in an answer."""
        self._answers[episode, tick] = (plan_time_s, idle)

    def take(self) -> list[tuple[Tick, float | None, bool | None]]:
        """States that are due: each with the plan time [s] and whether the controller was idle; None: not known."""
        due = []
        while self._waiting:
            tick, before = self._waiting[0]
            answer = self._answers.pop((tick.episode, tick.tick - 1), None)
            if answer is None and before[0] == tick.episode:
                answer = self._answers.pop(before, None)
            if answer is None and len(self._waiting) <= LATE_TICKS:
                break
            self._waiting.pop(0)
            due.append((tick, *(answer or (None, None))))
        return due
