"""What a listener of a graph knows: states, when messages were sent, which states the controller has answered."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mbmf_ros.msg import RobotAction, RobotState
from mbmf_ros.nodes.conversions import time_seconds


@dataclass(frozen=True)
class Tick:
    """A state when it was told first.

    Attributes:
        state: the message.
        at_s: when it was sent [s, monotonic].
    """

    state: RobotState
    at_s: float

    @property
    def key(self) -> tuple[int, int]:
        """Episode and number."""
        return self.state.episode, self.state.tick

    @property
    def stamp_s(self) -> float:
        """When it was measured [s], by the bridge's clock."""
        return time_seconds(self.state.header.stamp)

    @property
    def applied(self) -> np.ndarray:
        """What was in force up to it, (nu,); empty at the start of an episode."""
        return np.array(self.state.applied_action)


def sent_s(info: Mapping[str, Any]) -> float:
    """When a message was sent [s, monotonic], however late this process comes to look at it."""
    return 1e-9 * info["source_timestamp"] - time.time() + time.monotonic()


def newest_answered(ticks: Sequence[Tick], actions: Sequence[RobotAction]) -> tuple[int, int]:
    """The index of the newest tick that was answered, and how many actions are decided already when a state is told.

    Who is killed as it answers may reach the bridge and not the listener. Then one more state was answered: the bridge
    says so, and applies an action that is no row of the answer heard last.
    """
    answers = {(answer.episode, answer.tick): answer for answer in actions}
    newest = max(index for index, tick in enumerate(ticks) if tick.key in answers)
    nu = len(actions[-1].action)
    ahead = len(ticks[newest].state.pending_action) // nu  # the answer is for after these
    last = answers[ticks[newest].key]
    rows = np.concatenate([last.action, last.plan]).reshape(-1, nu)
    for tick in ticks[newest + 2 + ahead : newest + 3 + ahead]:
        by_controller = tick.state.action_source == RobotState.SOURCE_CONTROLLER
        if by_controller and not any(np.allclose(tick.applied, row, atol=1e-6) for row in rows):
            print(f"the answer to tick {ticks[newest + 1].key} reached the bridge alone")
            newest += 1
    return newest, ahead
