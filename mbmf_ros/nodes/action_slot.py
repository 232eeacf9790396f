"""Which action a bridge applies at the end of a control period. No ROS in here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from mbmf_ros.robots import RobotSpec


@dataclass(frozen=True)
class Answer:
    """A controller's answer to the state of one tick.

    Attributes:
        episode, tick: the state that it answers.
        action: (nu,), for the interval from ``tick`` to the next.
        plan: actions (rows, nu) for the intervals after that.
        idle: the controller has nothing to do; a late idle answer is no missed deadline.
    """

    episode: int
    tick: int
    action: np.ndarray
    plan: np.ndarray = field(repr=False)
    idle: bool = False


@dataclass(frozen=True)
class Choice:
    """What is applied.

    Attributes:
        action: (nu,).
        source: ``controller``, ``plan`` (a following row of an earlier plan) or ``safe``.
        missed: a controller at work did not answer in time.
    """

    action: np.ndarray
    source: str
    missed: bool


class ActionSlot:
    """Holds the answer to the current tick and the newest plan.

    Args:
        spec: the robot.
        timeout_s: rows of a plan for a state older than this (simulated time) are not applied; 0: plans do not age.

    Attributes:
        counts: answers that did not fit, by cause: ``late``, ``early``, ``repeated``, ``other_episode``.
    """

    def __init__(self, spec: RobotSpec, timeout_s: float):
        self.spec = spec
        self.timeout_s = timeout_s
        self.counts: Counter[str] = Counter()
        self._episode, self._tick = 0, 0
        self._answer: Answer | None = None
        self._last: Answer | None = None

    @property
    def answered(self) -> bool:
        """The action for the current tick is there."""
        return self._answer is not None

    def begin(self, episode: int, tick: int) -> None:
        """A state was published; answers to it are awaited now."""
        if episode != self._episode:
            self._last = None
        self._episode, self._tick = episode, tick
        self._answer = None

    def offer(self, answer: Answer) -> None:
        """Take in an answer that has just arrived."""
        if answer.episode != self._episode:
            self.counts["other_episode"] += 1
        elif answer.tick > self._tick:
            self.counts["early"] += 1
        elif self._last is not None and answer.tick <= self._last.tick:
            self.counts["repeated"] += 1
        else:
            self._last = answer
            if answer.tick == self._tick:
                self._answer = answer
            else:
                self.counts["late"] += 1  # its plan still bridges the ticks that follow

    def take(self, connected: bool = True) -> Choice:
        """What to apply now; ``connected``: there is a controller that could have answered."""
        if self._answer is not None:
            return Choice(self._answer.action, "controller", False)
        last = self._last
        missed = connected and last is not None and not last.idle
        if last is not None:
            age = self._tick - last.tick  # in control periods
            if age <= len(last.plan) and not (0 < self.timeout_s < age * self.spec.dt_s):
                return Choice(last.plan[age - 1], "plan", missed)
        return Choice(np.array(self.spec.safe_action), "safe", missed)
