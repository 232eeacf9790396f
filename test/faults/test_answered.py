"""What the fault tests take for answered when the controller was killed as it answered."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from heard import Tick, newest_answered  # pyright: ignore[reportMissingImports]

from mbmf_ros.msg import RobotAction, RobotState

CONTROLLER, PLAN, SAFE = RobotState.SOURCE_CONTROLLER, RobotState.SOURCE_PLAN, RobotState.SOURCE_SAFE
ANSWERS = {tick: [0.1 * tick, -0.1 * tick] for tick in range(6)}
NEXT_ROW = [0.9, 0.9]


def told(ahead: int, applied: list[tuple[list[float], int]]) -> list[Tick]:
    """States; after the first 1 + ahead, with these actions and where they came from."""
    actions = [([0.0, 0.0], SAFE)] * (1 + ahead) + applied
    pending = [0.0] * (2 * ahead)
    return [
        Tick(RobotState(episode=1, tick=tick, applied_action=action, action_source=source, pending_action=pending), 0.0)
        for tick, (action, source) in enumerate(actions)
    ]


def heard(last: int) -> list[RobotAction]:
    """The answers up to the one to tick ``last``."""
    return [RobotAction(episode=1, tick=tick, action=ANSWERS[tick], plan=NEXT_ROW) for tick in range(last + 1)]


@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize(
    ("after", "newest"),
    [
        ([(NEXT_ROW, PLAN), ([0.0, 0.0], SAFE)], 3),  # no answer any more
        ([(ANSWERS[4], CONTROLLER), (NEXT_ROW, PLAN)], 4),  # one that nobody else heard
        ([(ANSWERS[4], CONTROLLER), (ANSWERS[5], CONTROLLER)], 4),  # more than one cannot be
        ([(NEXT_ROW, CONTROLLER), ([0.0, 0.0], SAFE)], 3),  # the plan is not the controller's answer, whatever is said
        ([(ANSWERS[3], CONTROLLER), ([0.0, 0.0], SAFE)], 3),  # nor is the last answer, one period late or once more
    ],
)
def test_an_answer_that_reached_the_bridge_alone_counts_and_nothing_else_does(ahead, after, newest):
    before = [(ANSWERS[tick], CONTROLLER) for tick in range(4)]
    assert newest_answered(told(ahead, [*before, *after]), heard(3)) == (newest, ahead)
