"""Pairing states with the answers that led to them."""

from __future__ import annotations

import numpy as np

from mbmf_ros.ticks import LATE_TICKS, Recorder, Tick


def state(tick: int, episode: int = 1) -> Tick:
    return Tick(episode, tick, np.zeros(3), source=1, status=0, stamp_s=0.05 * tick)


def taken(recorder: Recorder, everything: bool = False) -> list[tuple[int, float | None, bool]]:
    return [(tick.tick, plan_time_s, idle) for tick, plan_time_s, idle in recorder.take(everything)]


def test_a_state_waits_for_the_answer_to_the_tick_before():
    recorder = Recorder()
    recorder.state(state(0))
    recorder.state(state(1))
    assert taken(recorder) == []
    recorder.answer(1, 0, 0.02, idle=False)
    assert taken(recorder) == [(1, 0.02, False)]


def test_an_answer_that_came_first_is_kept():
    recorder = Recorder()
    recorder.answer(1, 0, 0.02, idle=True)
    recorder.state(state(1))
    assert taken(recorder) == [(1, 0.02, True)]


def test_an_answer_that_never_comes_is_not_waited_for():
    recorder = Recorder()
    for tick in range(1, 2 + LATE_TICKS):
        recorder.state(state(tick))
    recorder.answer(1, 1, 0.03, idle=False)
    assert taken(recorder) == [(1, None, False), (2, 0.03, False)]


def test_repeated_states_count_once():
    recorder = Recorder()
    for tick in (1, 1, 2, 2, 1):
        recorder.state(state(tick))
    assert [tick for tick, _, _ in taken(recorder, everything=True)] == [1, 2]


def test_a_new_episode_follows_the_old_one():
    recorder = Recorder()
    recorder.state(state(7, episode=1))
    recorder.state(state(1, episode=2))
    recorder.answer(2, 0, 0.01, idle=True)
    assert taken(recorder, everything=True) == [(7, None, False), (1, 0.01, True)]
