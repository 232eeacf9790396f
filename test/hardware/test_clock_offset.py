"""A robot's clock that jumps or drifts is told from messages that are late, by their stamps and arrivals alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbmf_ros.hardware.clock_offset import ClockOffset

JUMP_S, MAX_AGE_S, PERIOD_S = 0.25, 0.1, 0.01
CLOCK_S = 500.0  # of the robot, when ours shows 0


def heard(seconds: float = 1.0) -> ClockOffset:
    """A topic at 100 Hz that was heard for so long, without delay; the next message is due at ``seconds``."""
    clock = ClockOffset(JUMP_S, MAX_AGE_S)
    for step in range(round(seconds / PERIOD_S)):
        assert clock.admit(CLOCK_S + PERIOD_S * step, PERIOD_S * step) == "ok"
    return clock


def goes_on(clock: ClockOffset, begin_s: float, count: int, set_by_s: float = 0.0, delay_s: float = 0.0) -> list[str]:
    """Verdicts on ``count`` more messages from ``begin_s`` on, by a clock that was set, with a delay."""
    times_s = begin_s + PERIOD_S * np.arange(count)
    return [clock.admit(CLOCK_S + float(at_s) + set_by_s, float(at_s) + delay_s) for at_s in times_s]


@given(st.floats(0.11, 100.0))
def test_late_messages_stay_late_however_long_they_come_and_are_in_time_when_they_catch_up(delay_s: float):
    clock = heard()
    assert goes_on(clock, 1.0, 3000, delay_s=delay_s) == ["ok"] * 3000
    assert clock.late
    assert clock.late_s == pytest.approx(delay_s, abs=1e-3)
    assert goes_on(clock, 31.0 + delay_s, 10) == ["ok"] * 10
    assert not clock.late
    assert clock.offset_s == pytest.approx(-CLOCK_S, abs=1e-3)


@given(st.floats(0.3, 1e6), st.floats(0.0, 5.0))
def test_a_clock_that_is_set_forward_is_so_at_once_even_in_a_silence(by_s: float, silence_s: float):
    clock = heard()
    assert goes_on(clock, 1.0 + silence_s, 20, by_s) == ["jump"] + ["ok"] * 19
    assert clock.offset_s == pytest.approx(-CLOCK_S - by_s, abs=1e-3)
    assert not clock.late


@given(st.floats(0.02, 1e6), st.lists(st.floats(0.0, 0.003), min_size=20, max_size=20))
def test_a_clock_that_is_set_back_is_so_with_the_third_message(by_s: float, jitter_s: list[float]):
    clock = heard()
    verdicts = [
        clock.admit(CLOCK_S + 1.0 + PERIOD_S * step - by_s, 1.0 + PERIOD_S * step + late_s)
        for step, late_s in enumerate(jitter_s)
    ]
    assert verdicts == ["old", "old", "jump"] + ["ok"] * 17
    assert clock.offset_s == pytest.approx(by_s - CLOCK_S, abs=4e-3)
    assert not clock.late


def test_a_clock_that_is_set_back_is_so_when_its_messages_come_many_at_once():
    clock, verdicts = heard(), []
    for burst in range(3):
        for step in range(5):
            at_s = 1.0 + PERIOD_S * (5 * burst + step)
            verdicts.append(clock.admit(CLOCK_S + at_s - 3.0, 1.05 + 0.05 * burst))
    assert verdicts.count("jump") == 1
    assert verdicts[-1] == "ok"


@given(st.floats(0.2, 30.0), st.floats(0.1, 0.9))
def test_set_back_by_less_than_a_silence_it_is_late_until_somebody_says_that_it_is_the_clock(silence_s, share):
    clock, back_s = heard(), max(share * silence_s, MAX_AGE_S + 0.01)
    verdicts = goes_on(clock, 1.0 + silence_s, 500, -back_s)
    assert verdicts == ["ok"] * 500
    assert clock.late
    clock.trust()
    assert not clock.late
    assert goes_on(clock, 6.0 + silence_s, 10, -back_s) == ["ok"] * 10
    assert not clock.late


@given(st.integers(1, 60), st.integers(0, 2))
def test_overtaken_and_repeated_messages_are_no_jump(behind: int, more: int):
    clock = heard()
    for again in range(1 + more):
        goes_on(clock, 1.0 + PERIOD_S * again, 1)
        late_stamp_s = CLOCK_S + 1.0 + PERIOD_S * (again - behind)
        assert clock.admit(late_stamp_s, 1.001 + PERIOD_S * again) == "old"
    assert goes_on(clock, 1.1, 20) == ["ok"] * 20
    assert clock.offset_s == pytest.approx(-CLOCK_S, abs=1e-3)


def test_a_batch_of_overtaken_messages_is_no_jump():
    clock = heard()
    assert [clock.admit(CLOCK_S + 0.5 + PERIOD_S * step, 1.0 + 1e-4 * step) for step in range(5)] == ["old"] * 5
    assert goes_on(clock, 1.01, 20) == ["ok"] * 20


def test_a_clock_that_stands_still_is_never_followed():
    clock = heard()
    assert {clock.admit(CLOCK_S + 0.99, 1.0 + PERIOD_S * step) for step in range(500)} == {"old"}


def test_a_pause_of_our_own_process_is_no_jump_of_the_robots_clock():
    """After two seconds in which nothing was taken, all messages, or only the newest, come in one burst."""
    for first in (0, 195):
        clock = heard()
        assert [clock.admit(CLOCK_S + 1.0 + PERIOD_S * step, 3.0) for step in range(first, 200)] == ["ok"] * (
            200 - first
        )
        assert not clock.late
        assert goes_on(clock, 3.0, 10) == ["ok"] * 10
        assert clock.offset_s == pytest.approx(-CLOCK_S, abs=2e-3)


@pytest.mark.parametrize(("rate", "late"), [(9e-4, False), (-9e-4, False), (-1e-2, False), (3e-3, True)])
def test_drift_of_the_clocks_is_followed_and_a_delay_that_grows_faster_is_none(rate: float, late: bool):
    """``rate``: how much slower the robot's clock goes than ours."""
    clock = ClockOffset(JUMP_S, MAX_AGE_S)
    for step in range(20_000):
        at_s = PERIOD_S * step
        assert clock.admit(CLOCK_S + (1 - rate) * at_s, at_s + (0.005 if step % 7 else 0.0)) == "ok"
    assert clock.late is late
    if not late:
        assert clock.offset_s == pytest.approx(rate * 200.0 - CLOCK_S, abs=2e-3)


@pytest.mark.parametrize("by_s", [-50.0, 50.0])
def test_what_is_late_stays_late_when_the_clock_jumps(by_s: float):
    clock = heard()
    goes_on(clock, 1.0, 100, delay_s=1.5)
    assert "jump" in goes_on(clock, 2.0, 100, by_s, delay_s=1.5)
    assert clock.late_s == pytest.approx(1.5, abs=0.01)
    goes_on(clock, 4.5, 10, by_s)
    assert not clock.late
