"""Which states a controller has answered, as somebody knows who hears both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mbmf_ros.msg import RobotAction, RobotState


def newest_answered(ticks: Sequence[Any], actions: Sequence[RobotAction]) -> tuple[int, int]:
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
