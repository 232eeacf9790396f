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
    bridge.offer(answer(0))
    assert bridge.answered
    choice = bridge.take()
    assert (choice.source, choice.missed) == ("controller", False)


def test_missing_answers_are_bridged_by_the_rows_for_just_these_ticks_then_by_the_safe_action():
    bridge = slot()
    bridge.offer(answer(0, rows=2))
    for tick, expected in ((1, 0.01), (2, 0.02)):
        bridge.begin(1, tick)
        choice = bridge.take()
        assert (choice.source, choice.missed) == ("plan", True)
        np.testing.assert_allclose(choice.action, expected)
    bridge.begin(1, 3)
    choice = bridge.take()
    assert (choice.source, choice.missed) == ("safe", True)
    np.testing.assert_array_equal(choice.action, SAFE)


def test_a_late_answer_is_counted_and_its_plan_used():
    bridge = slot()
    bridge.begin(1, 1)
    bridge.offer(answer(0))
    assert not bridge.answered
    assert bridge.counts == {"late": 1}
    np.testing.assert_allclose(bridge.take().action, 0.01)


def test_answers_to_other_episodes_ticks_to_come_and_repetitions_are_not_applied():
    bridge = slot()
    bridge.offer(answer(0, episode=7))
    bridge.offer(answer(5))
    assert not bridge.answered
    bridge.offer(answer(0))
    bridge.offer(Answer(1, 0, np.ones(SPEC.nu), np.empty((0, SPEC.nu))))
    np.testing.assert_allclose(bridge.take().action, 0.0)
    assert bridge.counts == {"other_episode": 1, "early": 1, "repeated": 1}


def test_a_plan_of_an_earlier_episode_is_not_played_on():
    bridge = slot()
    bridge.offer(answer(0))
    bridge.begin(2, 0)
    assert bridge.take().source == "safe"


def test_an_old_plan_is_not_played_on():
    bridge = slot(timeout_s=2.5 * SPEC.dt_s)
    bridge.offer(answer(0))
    for tick, source in ((1, "plan"), (2, "plan"), (3, "safe")):  # simulated time: how fast it passes does not matter
        bridge.begin(1, tick)
        assert bridge.take().source == source


def test_only_a_connected_controller_at_work_misses_deadlines():
    bridge = slot()
    bridge.begin(1, 1)
    assert not bridge.take().missed  # never answered
    bridge.offer(answer(1))
    bridge.begin(1, 2)
    assert bridge.take(connected=True).missed
    assert not bridge.take(connected=False).missed
    bridge.offer(answer(2, idle=True))
    bridge.begin(1, 3)
    assert not bridge.take().missed


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 6), st.booleans()), max_size=12), st.integers(0, 6))
def test_whatever_arrives_what_is_applied_was_meant_for_this_tick(arrivals, tick):
    bridge = slot()
    bridge.begin(1, tick)
    for episode, about, idle in arrivals:
        bridge.offer(answer(about, episode=episode, idle=idle))
    choice = bridge.take()
    about = [a for e, a, _ in arrivals if e == 1 and a <= tick]
    if choice.source == "controller":
        np.testing.assert_allclose(choice.action, tick / 10)
        assert tick in about
    elif choice.source == "plan":
        np.testing.assert_allclose(choice.action, max(about) / 10 + (tick - max(about)) / 100)
    else:
        assert tick not in about
