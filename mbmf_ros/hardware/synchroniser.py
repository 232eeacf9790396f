"""Brings messages of different topics together by the robot's own stamps.

The robot's clock may be anywhere; its stamps are compared with each other only. How far it is from our own steady
clock, and whether it has jumped, is told by when messages arrive.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mbmf_ros.hardware.clock_offset import ClockOffset
from mbmf_ros.hardware.settings import SyncConfig

KEPT = 64  # messages per input: half a second at 128 Hz


@dataclass(frozen=True)
class Stamped:
    """A sample and its time.

    Attributes:
        stamp_s: by the robot's clock [s].
        arrival_s: by ours [s].
        sample: what was measured.
    """

    stamp_s: float
    arrival_s: float
    sample: Any


class Input:
    """The newest messages of one topic.

    Args:
        clock_jump_s, max_age_s: see :class:`ClockOffset`.

    Attributes:
        messages: the newest, oldest first.
        arrivals: when the newest arrived [s], whatever became of them.
        counts: what was not taken, or noteworthy: ``repeated or out of order``, ``clock jumps``.
        clock: the robot's.
    """

    def __init__(self, clock_jump_s: float, max_age_s: float):
        self.messages: deque[Stamped] = deque(maxlen=KEPT)
        self.arrivals: deque[float] = deque(maxlen=4096)
        self.counts: Counter[str] = Counter()
        self.clock = ClockOffset(clock_jump_s, max_age_s)

    def admit(self, stamp_s: float, arrival_s: float) -> str:
        """See :meth:`ClockOffset.admit`; what came before a jump is forgotten."""
        self.arrivals.append(arrival_s)
        verdict = self.clock.admit(stamp_s, arrival_s)
        if verdict == "jump":
            self.counts["clock jumps"] += 1
            self.messages.clear()
        elif verdict == "old":
            self.counts["repeated or out of order"] += 1
        return verdict

    def add(self, message: Stamped) -> None:
        """Keep an admitted message."""
        self.messages.append(message)

    def age_s(self, now_s: float) -> float:
        """Time since a usable message arrived [s]; infinite before the first."""
        return now_s - self.messages[-1].arrival_s if self.messages else float("inf")

    def rate(self, now_s: float, window_s: float) -> float:
        """Messages per second over the last ``window_s``."""
        return sum(now_s - arrival < window_s for arrival in self.arrivals) / window_s


class Synchroniser:
    """Finds messages of one instant.

    Args:
        inputs: the topics.
        config: how far apart stamps may be.
    """

    def __init__(self, inputs: Mapping[str, Input], config: SyncConfig):
        self.inputs = inputs
        self.config = config

    def newest(self) -> dict[str, Stamped] | None:
        """One message per input, all of one instant, the newest such; None: there are none."""
        if not all(one.messages for one in self.inputs.values()):
            return None
        instant_s = min(one.messages[-1].stamp_s for one in self.inputs.values())
        found = {
            name: min(reversed(one.messages), key=lambda message: abs(message.stamp_s - instant_s))
            for name, one in self.inputs.items()
        }
        stamps = [message.stamp_s for message in found.values()]
        return found if max(stamps) - min(stamps) <= self.config.tolerance else None

    @property
    def offset_s(self) -> float:
        """Our clock minus the robot's [s], by the fastest message of all inputs; there have to be messages."""
        return min(one.clock.offset_s for one in self.inputs.values())

    @property
    def offset_spread_s(self) -> float:
        """How much longer the slowest input takes to arrive than the fastest [s]; there have to be messages."""
        return max(one.clock.offset_s for one in self.inputs.values()) - self.offset_s

    @property
    def apart_s(self) -> float:
        """How differently the inputs' clocks have jumped [s]; of one clock, that is until the last input shows it.

        No more than they differ now: one that began before it was set may have jumped to where the others are.
        """
        jumped_s = [one.clock.jumped_s for one in self.inputs.values()]
        return min(max(jumped_s) - min(jumped_s), self.offset_spread_s)
