"""How far the robot's clock is from ours, by the stamps and the arrivals of one topic's messages.

The clocks are as far apart as the fastest message says. When messages take longer from stamp to arrival than they did,
either they are late, or the robot's clock was set back:

- stamps that were passed already, and go on from there at the usual pace, are of a clock that was set back;
- stamps that go on after the last one are of messages that are late, and what they tell is as old as that. A clock that
  was set back by less than a silence looks the same; a person has to tell them apart, see :meth:`ClockOffset.trust`;
- a delay that grows slowly is drift of the clocks.

Messages that take less time than they can are of a clock that was set forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DRIFT = 1e-3  # of two clocks, at most; quartz drifts by 1e-4, and time servers correct it by up to 5e-4
IN_A_ROW = 3  # messages that go on from a stamp that was passed: a few alone may have been overtaken


@dataclass(frozen=True)
class _Seen:
    stamp_s: float
    arrival_s: float

    @property
    def delay_s(self) -> float:
        return self.arrival_s - self.stamp_s


class ClockOffset:
    """Follows one topic.

    Args:
        clock_jump_s: messages faster than the fastest by more than this [s] are of a clock that was set forward.
        max_age_s: a message later than the fastest by more than this [s] says nothing about drift.

    Attributes:
        offset_s: our clock minus the robot's [s], with the time that the fastest message takes; NaN before the first.
    """

    def __init__(self, clock_jump_s: float, max_age_s: float):
        self._clock_jump_s, self._max_age_s = clock_jump_s, max_age_s
        self.offset_s = math.nan
        self._jumps: tuple[float, float] = 0.0, math.nan  # all before the last one, and the offset before that
        self._newest: _Seen | None = None
        self._behind: list[_Seen] = []  # the first, and the last, that may be of a clock that was set back
        self._in_a_row = 0

    @property
    def late(self) -> bool:
        """The newest message came too late to say anything about now."""
        return self.late_s > self._max_age_s

    @property
    def late_s(self) -> float:
        """How much longer than the fastest the newest message took to arrive [s]."""
        return self._newest.delay_s - self.offset_s if self._newest else 0.0

    @property
    def jumped_s(self) -> float:
        """How far the robot's clock was set back in all [s]; negative: forward."""
        before_s, offset_s = self._jumps
        return before_s if math.isnan(offset_s) else before_s + self.offset_s - offset_s

    def admit(self, stamp_s: float, arrival_s: float) -> str:
        """What a message's stamp says about it: ``ok``, ``old`` (not to be used) or ``jump`` (forget what was)."""
        seen, newest = _Seen(stamp_s, arrival_s), self._newest
        if newest is None:
            self.offset_s, verdict = seen.delay_s, "ok"
        elif self._set_back(seen, newest) or seen.delay_s < self.offset_s - self._clock_jump_s:
            self._jumps = self.jumped_s, self.offset_s
            self.offset_s, verdict = seen.delay_s - (self.late_s if self.late else 0.0), "jump"
            self._behind = []
        elif stamp_s <= newest.stamp_s:
            return "old"
        else:
            verdict = "ok"
            if seen.delay_s - self.offset_s <= self._max_age_s:
                self.offset_s = min(self.offset_s + DRIFT * (arrival_s - newest.arrival_s), seen.delay_s)
        self._newest = seen
        return verdict

    def trust(self) -> None:
        """Take what is late for in time: the robot's clock was set back."""
        self._jumps = 0.0, math.nan
        if self._newest is not None:
            self.offset_s = self._newest.delay_s

    def _set_back(self, seen: _Seen, newest: _Seen) -> bool:
        """Whether enough messages have gone on from a stamp that was passed, at the usual pace."""
        if self._behind and seen.stamp_s > self._behind[-1].stamp_s and self._goes_on(seen, newest):
            self._behind[1:] = [seen]
            self._in_a_row += 1
        else:
            self._behind, self._in_a_row = [seen] if seen.stamp_s <= newest.stamp_s else [], 1
        if not self._behind or self._in_a_row < IN_A_ROW:
            return False
        passed_s = seen.stamp_s - self._behind[0].stamp_s
        waited_s = seen.arrival_s - self._behind[0].arrival_s
        return 2 * abs(passed_s - waited_s) <= max(passed_s, waited_s)

    def _goes_on(self, seen: _Seen, newest: _Seen) -> bool:
        """Whether a message fits better to the first that was behind than to the newest before that."""
        first = self._behind[0]
        step_s = first.delay_s - newest.delay_s
        return abs(seen.delay_s - first.delay_s) <= min(step_s / 2, self._clock_jump_s)
