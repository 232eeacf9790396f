"""Which states of a robot are transitions: the numbers that a bridge gives them say so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TOLERANCE = 0.3  # of a control period: farther from one period apart, two states are no transition


@dataclass(frozen=True)
class Sent:
    """A command.

    Attributes:
        action: (nu,).
        source: where it came from, as the bridge tells it.
        late: it was sent too far from its time for the period that it is for to be of one action.
    """

    action: np.ndarray
    source: int
    late: bool = False


class Pairing:
    """Numbers ticks so that two states with consecutive numbers are a transition of the action between them.

    Wherever that cannot be vouched for, a number is left out: the control period was late, nothing was sent, a stop
    came in its middle, a measurement was missing, a command was not sent in time. Times are of one steady clock [s].

    Args:
        dt_s: control period [s].
        early: commands are sent before the period that they are for begins.
        held_source: what is told of an action that goes on because nothing else was sent.

    Attributes:
        tick: the number of the newest state, or of a period without one.
        episode: counts new beginnings.
    """

    def __init__(self, dt_s: float, early: bool = False, held_source: int = 0):
        self.episode, self.tick = 0, 0
        self._dt_s, self._early, self._held_source = dt_s, early, held_source
        self._sent: list[Sent] = []  # since the last tick
        self._coming: list[Sent] = []  # sent before the last tick, for the period that it began
        self._held: Sent | None = None  # what the robot does while nothing further is sent
        self._broken = 0  # periods that are no transitions any more
        self._last_s: float | None = None  # of the newest state
        self._skipped = True

    def sent(self, action: np.ndarray, source: int, off_s: float = 0.0) -> None:
        """A command was sent, in its turn, ``off_s`` [s] after the time that it should have been."""
        off = off_s / self._dt_s
        self._sent.append(Sent(action, source, late=abs(off) > TOLERANCE))
        if off < -TOLERANCE:  # it takes effect before its period begins
            self._broken = max(self._broken, 1)

    def interrupt(self, action: np.ndarray, source: int) -> None:
        """A command was sent out of turn: neither this period nor one that begins with it is of one action."""
        self._sent.append(Sent(action, source))
        self._broken = 2

    def stop(self) -> None:
        """Nothing is sent any more: what the robot does is not known."""
        self._sent, self._coming, self._held = [], [], None
        self._broken = max(self._broken, 1)

    def begin(self) -> None:
        """A new episode: the next state has number 0, whatever was before."""
        self.episode += 1
        self.tick, self._last_s, self._skipped = -1, None, True

    def state(self, now_s: float) -> Sent | None:
        """There is a state at ``now_s``; :attr:`tick` is its number. Returns what was in force up to it, if known."""
        first = self.tick < 0
        periods = 1 if self._last_s is None else max(1, round((now_s - self._last_s) / self._dt_s))
        on_time = self._last_s is not None and abs(now_s - self._last_s - self._dt_s) <= TOLERANCE * self._dt_s
        whole, past = self._period()
        if first:
            self.tick = 0
        elif self._skipped:
            self.tick += 1  # the numbers of the periods without a state are left out already
        else:
            self.tick += 1 if whole and on_time else max(2, periods)
        self._last_s, self._skipped = now_s, False
        return None if first else past

    def skip(self) -> None:
        """A control period begins without a state."""
        self._period()
        self.tick += self.tick >= 0  # an episode begins with a state
        self._skipped = True

    def _period(self) -> tuple[bool, Sent | None]:
        """End a control period: whether one known action was in force all the time, and the last one that was."""
        if self._early:
            in_force, self._coming = self._coming, self._sent
        else:
            in_force = self._sent
        self._sent = []
        if in_force:
            self._held = in_force[-1]
        elif self._held is not None:
            self._held = Sent(self._held.action, self._held_source)
        late = any(command.late for command in in_force)
        whole = len(in_force) <= 1 and self._held is not None and not self._broken and not late
        self._broken = max(0, self._broken - 1)
        return whole, self._held
