"""Which action a bridge applies: the answer in time, a following row of the plan, or the safe action."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mbmf_ros.nodes.action_slot import ActionSlot, Answer
from mbmf_ros.robots import robot

SPEC = robot("ant")
SAFE = np.array(SPEC.safe_action)


def answer(tick: int, rows: int = 3, episode: int = 1, idle: bool = False) -> Answer:
    """Every action tells which tick's plan it is from (tenths) and for how many ticks later (hundredths)."""
    plan = np.array([np.full(SPEC.nu, tick / 10 + (row + 1) / 100) for row in range(rows)]).reshape(-1, SPEC.nu)
    return Answer(episode, tick, np.full(SPEC.nu, tick / 10), plan, idle)


def slot(timeout_s: float = 0.0) -> ActionSlot:
    slot = ActionSlot(SPEC, timeout_s)
    slot.begin(1, 0)
    return slot


def test_an_answer_in_time_is_applied():
    bridge = slot()
    assert not bridge.answered
    bridge.offer(answer(0), 0.0)
    assert bridge.answered
    choice = bridge.take(0.05)
    assert (choice.source, choice.missed) == ("controller", False)


def test_missing_answers_are_bridged_by_the_rows_for_just_these_ticks_then_by_the_safe_action():
    bridge = slot()
    bridge.offer(answer(0, rows=2), 0.0)
    for tick, expected in ((1, 0.01), (2, 0.02)):
        bridge.begin(1, tick)
        choice = bridge.take(0.0)
        assert (choice.source, choice.missed) == ("plan", True)
        np.testing.assert_allclose(choice.action, expected)
    bridge.begin(1, 3)
    choice = bridge.take(0.0)
    assert (choice.source, choice.missed) == ("safe", True)
    np.testing.assert_array_equal(choice.action, SAFE)


def test_a_late_answer_is_counted_and_its_plan_used():
    bridge = slot()
    bridge.begin(1, 1)
    bridge.offer(answer(0), 0.0)
    assert not bridge.answered
    assert bridge.counts == {"late": 1}
    np.testing.assert_allclose(bridge.take(0.0).action, 0.01)


def test_answers_to_other_episodes_ticks_to_come_and_repetitions_are_not_applied():
    bridge = slot()
    bridge.offer(answer(0, episode=7), 0.0)
    bridge.offer(answer(5), 0.0)
    assert not bridge.answered
    bridge.offer(answer(0), 0.0)
    bridge.offer(Answer(1, 0, np.ones(SPEC.nu), np.empty((0, SPEC.nu))), 0.0)
    np.testing.assert_allclose(bridge.take(0.0).action, 0.0)
    assert bridge.counts == {"other_episode": 1, "early": 1, "repeated": 1}


def test_a_plan_of_an_earlier_episode_is_not_played_on():
    bridge = slot()
    bridge.offer(answer(0), 0.0)
    bridge.begin(2, 0)
    assert bridge.take(0.0).source == "safe"


def test_an_old_plan_is_not_played_on():
    bridge = slot(timeout_s=0.5)
    bridge.offer(answer(0), 10.0)
    bridge.begin(1, 1)
    assert bridge.take(10.4).source == "plan"
    assert bridge.take(10.6).source == "safe"


def test_only_a_connected_controller_at_work_misses_deadlines():
    bridge = slot()
    bridge.begin(1, 1)
    assert not bridge.take(0.0).missed  # never answered
    bridge.offer(answer(1), 0.0)
    bridge.begin(1, 2)
    assert bridge.take(0.0, connected=True).missed
    assert not bridge.take(0.0, connected=False).missed
    bridge.offer(answer(2, idle=True), 0.0)
    bridge.begin(1, 3)
    assert not bridge.take(0.0).missed


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 6), st.booleans()), max_size=12), st.integers(0, 6))
def test_whatever_arrives_what_is_applied_was_meant_for_this_tick(arrivals, tick):
    bridge = slot()
    bridge.begin(1, tick)
    for episode, about, idle in arrivals:
        bridge.offer(answer(about, episode=episode, idle=idle), 0.0)
    choice = bridge.take(0.0)
    about = [a for e, a, _ in arrivals if e == 1 and a <= tick]
    if choice.source == "controller":
        np.testing.assert_allclose(choice.action, tick / 10)
        assert tick in about
    elif choice.source == "plan":
        np.testing.assert_allclose(choice.action, max(about) / 10 + (tick - max(about)) / 100)
    else:
        assert tick not in about
