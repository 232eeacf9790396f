"""Which action a bridge applies at the end of a control period. No ROS in here."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

from mbmf_ros.robots import RobotSpec

NEVER = 1 << 30  # control periods; nobody has answered yet
_REMEMBERED = 64  # states; an answer that comes later than that is of no use


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
        unanswered: control periods since the one that the newest answer was for; 0: the answer is there, 1: it is the
            first that is missing, :data:`NEVER`: there was none at all.
    """

    action: np.ndarray
    source: str
    missed: bool
    unanswered: int = 0


class ActionSlot:
    """Holds the answer to the current tick and the newest plan.

    Args:
        spec: the robot.

    Attributes:
        counts: answers that did not fit, by cause: ``late``, ``early``, ``repeated``, ``unasked``,
            ``other_episode``.
    """

    def __init__(self, spec: RobotSpec):
        self.spec = spec
        self.counts: Counter[str] = Counter()
        self._episode, self._tick = 0, 0
        self._period = 0  # counts control periods
        self._asked: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)  # ticks of this episode, and their periods
        self._answered = -NEVER  # the last period that an answer was for
        self._answer: Answer | None = None
        self._last: Answer | None = None

    @property
    def answered(self) -> bool:
        """The action for the current tick is there."""
        return self._answer is not None

    def begin(self, episode: int, tick: int, periods: int = 1) -> None:
        """A state was published, so many control periods after the one before; answers to it are awaited now."""
        if episode != self._episode:
            self._last = None
            self._asked.clear()
        self._episode, self._tick = episode, tick
        self._period += periods
        self._asked.append((tick, self._period))
        self._answer = None

    def offer(self, answer: Answer) -> None:
        """Take in an answer that has just arrived."""
        period = dict(self._asked).get(answer.tick)
        if answer.episode != self._episode:
            self.counts["other_episode"] += 1
        elif answer.tick > self._tick:
            self.counts["early"] += 1
        elif self._last is not None and answer.tick <= self._last.tick:
            self.counts["repeated"] += 1
        elif period is None:
            self.counts["unasked"] += 1
        else:
            self._last, self._answered = answer, period
            if answer.tick == self._tick:
                self._answer = answer
            else:
                self.counts["late"] += 1  # its plan still bridges the ticks that follow

    def take(self, longest: int, connected: bool = True) -> Choice:
        """What to apply now.

        Args:
            longest: so many periods in a row, counted from the first whose answer is missing, rows of the last plan
                stand in for the answer.
            connected: there is a controller that could have answered.
        """
        if self._answer is not None:
            return Choice(self._answer.action, "controller", False)
        last = self._last
        missed = connected and last is not None and not last.idle
        unanswered = min(self._period - self._answered, NEVER)
        if last is not None and unanswered <= min(longest, len(last.plan)):
            return Choice(last.plan[unanswered - 1], "plan", missed, unanswered)
        return Choice(np.array(self.spec.safe_action), "safe", missed, unanswered)
