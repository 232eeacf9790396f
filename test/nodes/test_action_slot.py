"""Which action a bridge applies: the answer in time, a following row of the plan, or the safe action."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mbmf_ros.nodes.action_slot import NEVER, ActionSlot, Answer
from mbmf_ros.robots import robot

SPEC = robot("ant")
SAFE = np.array(SPEC.safe_action)
LONGEST = 10


def answer(tick: int, rows: int = 3, episode: int = 1, idle: bool = False) -> Answer:
    """Every action tells which tick's plan it is from (tenths) and for how many ticks later (hundredths)."""
    plan = np.array([np.full(SPEC.nu, tick / 10 + (row + 1) / 100) for row in range(rows)]).reshape(-1, SPEC.nu)
    return Answer(episode, tick, np.full(SPEC.nu, tick / 10), plan, idle)


def slot() -> ActionSlot:
    slot = ActionSlot(SPEC)
    slot.begin(1, 0)
    return slot


def test_an_answer_in_time_is_applied():
    bridge = slot()
    assert not bridge.answered
    bridge.offer(answer(0))
    assert bridge.answered
    choice = bridge.take(LONGEST)
    assert (choice.source, choice.missed, choice.unanswered) == ("controller", False, 0)


def test_missing_answers_are_bridged_by_the_rows_for_just_these_ticks_then_by_the_safe_action():
    bridge = slot()
    bridge.offer(answer(0, rows=2))
    for tick, expected in ((1, 0.01), (2, 0.02)):
        bridge.begin(1, tick)
        choice = bridge.take(LONGEST)
        assert (choice.source, choice.missed, choice.unanswered) == ("plan", True, tick)
        np.testing.assert_allclose(choice.action, expected)
    bridge.begin(1, 3)
    choice = bridge.take(LONGEST)
    assert (choice.source, choice.missed, choice.unanswered) == ("safe", True, 3)
    np.testing.assert_array_equal(choice.action, SAFE)


def test_a_late_answer_is_counted_and_its_plan_used():
    bridge = slot()
    bridge.begin(1, 1)
    bridge.offer(answer(0))
    assert not bridge.answered
    assert bridge.counts == {"late": 1}
    choice = bridge.take(LONGEST)
    assert choice.unanswered == 1
    np.testing.assert_allclose(choice.action, 0.01)


def test_answers_to_other_episodes_ticks_to_come_and_repetitions_are_not_applied():
    bridge = slot()
    bridge.offer(answer(0, episode=7))
    bridge.offer(answer(5))
    bridge.begin(1, 4)
    bridge.offer(answer(2))  # no state had that number
    bridge.begin(1, 6)
    assert not bridge.answered
    bridge.offer(answer(6))
    bridge.offer(Answer(1, 6, np.ones(SPEC.nu), np.empty((0, SPEC.nu))))
    np.testing.assert_allclose(bridge.take(LONGEST).action, 0.6)
    assert bridge.counts == {"other_episode": 1, "early": 1, "unasked": 1, "repeated": 1}


def test_a_plan_of_an_earlier_episode_is_not_played_on():
    bridge = slot()
    bridge.offer(answer(0))
    bridge.begin(2, 0)
    choice = bridge.take(LONGEST)
    assert (choice.source, choice.unanswered) == ("safe", 1)  # the silence is one period old, whatever the episode


def test_an_old_plan_is_not_played_on():
    bridge = slot()
    bridge.offer(answer(0))
    for tick, source in ((1, "plan"), (2, "plan"), (3, "safe")):
        bridge.begin(1, tick)
        assert bridge.take(longest=2).source == source


def test_age_is_counted_in_control_periods_whatever_the_ticks_are_called():
    bridge = slot()
    bridge.offer(answer(0))
    bridge.begin(1, 2)  # a number was left out, and no time
    np.testing.assert_allclose(bridge.take(LONGEST).action, 0.01)
    bridge.begin(1, 3, periods=2)  # one control period passed unseen
    choice = bridge.take(LONGEST)
    assert choice.unanswered == 3
    np.testing.assert_allclose(choice.action, 0.03)


def test_only_a_connected_controller_at_work_misses_deadlines():
    bridge = slot()
    bridge.begin(1, 1)
    choice = bridge.take(LONGEST)
    assert not choice.missed
    assert choice.unanswered == NEVER
    bridge.offer(answer(1))
    bridge.begin(1, 2)
    assert bridge.take(LONGEST, connected=True).missed
    assert not bridge.take(LONGEST, connected=False).missed
    bridge.offer(answer(2, idle=True))
    bridge.begin(1, 3)
    assert not bridge.take(LONGEST).missed


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 6), st.booleans()), max_size=12), st.integers(0, 6))
def test_whatever_arrives_what_is_applied_was_meant_for_this_tick(arrivals, tick):
    bridge = slot()
    for earlier in range(1, tick + 1):
        bridge.begin(1, earlier)
    for episode, about, idle in arrivals:
        bridge.offer(answer(about, episode=episode, idle=idle))
    choice = bridge.take(LONGEST)
    about = [a for e, a, _ in arrivals if e == 1 and a <= tick]
    if choice.source == "controller":
        np.testing.assert_allclose(choice.action, tick / 10)
        assert tick in about
    elif choice.source == "plan":
        np.testing.assert_allclose(choice.action, max(about) / 10 + (tick - max(about)) / 100)
    else:
        assert tick not in about
