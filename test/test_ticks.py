"""Pairing states with the answers that led to them."""

from __future__ import annotations

import numpy as np

from mbmf_ros.ticks import LATE_TICKS, Tick, TickMatcher


def state(tick: int, episode: int = 1) -> Tick:
    return Tick(episode, tick, np.zeros(3), source=1, status=0, stamp_s=0.05 * tick)


def taken(matcher: TickMatcher) -> list[tuple[int, float | None, bool | None]]:
    return [(tick.tick, plan_time_s, idle) for tick, plan_time_s, idle in matcher.take()]


def test_a_state_waits_for_the_answer_to_the_tick_before():
    matcher = TickMatcher()
    matcher.state(state(0))
    matcher.state(state(1))
    assert taken(matcher) == []
    matcher.answer(1, 0, 0.02, idle=False)
    assert taken(matcher) == [(1, 0.02, False)]


def test_an_answer_that_came_first_is_kept():
    matcher = TickMatcher()
    matcher.answer(1, 0, 0.02, idle=True)
    matcher.state(state(1))
    assert taken(matcher) == [(1, 0.02, True)]


def test_an_answer_that_never_comes_is_not_waited_for():
    matcher = TickMatcher()
    for tick in range(1, 2 + LATE_TICKS):
        matcher.state(state(tick))
    matcher.answer(1, 1, 0.03, idle=False)
    assert taken(matcher) == [(1, None, None), (2, 0.03, False)]


def test_where_numbers_are_left_out_the_answer_is_the_one_to_the_state_before():
    matcher = TickMatcher()
    for tick in (1, 3, 5):
        matcher.state(state(tick))
        matcher.answer(1, tick, 0.01 * tick, idle=False)
    matcher.answer(1, 0, 0.04, idle=True)
    assert taken(matcher) == [(1, 0.04, True), (3, 0.01, False), (5, 0.03, False)]


def test_repeated_states_count_once():
    matcher = TickMatcher()
    for tick in (1, 1, 2, 2, 1):
        matcher.state(state(tick))
        matcher.answer(1, tick - 1, 0.01, idle=False)
    assert [tick for tick, _, _ in taken(matcher)] == [1, 2]


def test_a_new_episode_follows_the_old_one():
    matcher = TickMatcher()
    matcher.state(state(7, episode=1))
    matcher.state(state(1, episode=2))
    matcher.answer(1, 6, 0.02, idle=False)
    matcher.answer(2, 0, 0.01, idle=True)
    assert taken(matcher) == [(7, 0.02, False), (1, 0.01, True)]


def test_clearing_keeps_the_answer_that_the_next_state_needs():
    matcher = TickMatcher()
    matcher.state(state(4))
    matcher.answer(1, 3, 0.02, idle=False)
    matcher.answer(1, 4, 0.01, idle=True)
    matcher.clear()
    assert taken(matcher) == []
    matcher.state(state(5))
    assert taken(matcher) == [(5, 0.01, True)]


def test_clearing_forgets_what_was():
    matcher = TickMatcher()
    matcher.state(state(7, episode=1))
    matcher.answer(1, 7, 0.02, idle=False)
    matcher.state(state(0, episode=2))
    matcher.answer(2, 0, 0.01, idle=True)
    matcher.clear()
    matcher.state(state(1, episode=2))
    assert taken(matcher) == [(1, 0.01, True)]
    assert not matcher._answers
