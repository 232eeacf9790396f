"""The safety layer's state machine: what is latched, what holds, how it goes on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layer_clock import DT, ROBOT, SIMULATION, START, Clock, enabled, tilted

from mbmf_ros.errors import MbmfError
from mbmf_ros.safety import Mode, SafetyConfig


def test_a_robot_is_disabled_until_it_is_enabled_then_its_actions_grow():
    clock = Clock(ROBOT)
    assert clock.step(5) is Mode.DISABLED
    assert (clock.applied(), clock.safety.reason) == (0.0, "not enabled yet")
    assert clock.safety.enable(clock.now_s)[0]
    sizes = []
    while clock.safety.mode is Mode.RAMPING:
        clock.step()
        sizes.append(clock.applied())
    np.testing.assert_allclose(sizes, np.linspace(DT, 1.0, round(1.0 / DT)))
    assert (clock.step(), clock.safety.ramp, clock.safety.reason) == (Mode.ACTIVE, 1.0, "")


def test_a_simulation_is_enabled_by_itself_when_the_first_update_says_that_all_is_well():
    clock = Clock(SIMULATION)
    assert (clock.safety.mode, clock.applied()) == (Mode.HOLDING, 0.0)
    assert (clock.step(), clock.applied()) == (Mode.ACTIVE, 1.0)


def test_before_the_first_answer_of_all_a_simulation_holds():
    clock = Clock(SIMULATION)
    assert clock.step(unanswered=9, no_answer="nobody is there") is Mode.HOLDING
    assert clock.safety.reason == "nobody is there"
    assert clock.step() is Mode.ACTIVE


def test_enabling_is_refused_with_the_reasons():
    clock = Clock(dataclasses.replace(ROBOT, max_tilt=0.5))
    clock.step(m=tilted(0.8))
    done, text = clock.safety.enable(clock.now_s, ["the IMU is silent", "a joint is missing"])
    assert not done
    for word in ("the IMU is silent", "a joint is missing", "tilted by 0.80 rad"):
        assert word in text
    assert clock.safety.mode is Mode.DISABLED
    clock.step()
    assert clock.safety.enable(clock.now_s)[0]
    assert clock.safety.enable(clock.now_s) == (True, "enabled already")


@pytest.mark.parametrize("config", [ROBOT, SIMULATION], ids=["robot", "simulation"])
@given(story=st.lists(st.sampled_from(["enable", "disable", "estop", "step", "hold", "press"]), max_size=8))
def test_an_emergency_stop_is_latched_whatever_happens_until_it_is_cleared(config, story):
    clock = Clock(config)
    clock.step()
    clock.safety.estop("the red button")
    for event in story:
        if event == "enable":
            assert not clock.safety.enable(clock.now_s)[0]
        elif event == "disable":
            clock.safety.disable("asked to")
        elif event == "estop":
            clock.safety.estop("another button")
        elif event == "press":
            clock.safety.press_dead_man(True, clock.now_s)
        else:
            clock.step(causes=["lost"] if event == "hold" else [])
        assert (clock.safety.mode, clock.safety.reason) == (Mode.ESTOP, "the red button")
        assert clock.applied() == 0.0
    assert clock.safety.clear(clock.now_s)[0]
    goes_on = config.auto_enable and "disable" not in story
    assert clock.safety.mode is (Mode.ACTIVE if goes_on else Mode.DISABLED)


def test_clearing_a_stop_starts_nothing_on_a_robot():
    clock = enabled()
    clock.step(30)
    clock.safety.estop("test")
    assert clock.applied() == 0.0
    assert clock.safety.clear(clock.now_s) == (True, "cleared; disabled until it is enabled")
    assert clock.step(10) is Mode.DISABLED
    assert clock.safety.clear(clock.now_s)[0] is False
    clock.safety.enable(clock.now_s)
    assert clock.step() is Mode.RAMPING  # from the beginning
    assert clock.applied() == pytest.approx(DT)
    assert clock.safety.clear(clock.now_s) == (True, "nothing to clear")


def test_what_was_disabled_by_hand_stays_so_when_a_stop_is_cleared():
    clock = Clock(SIMULATION)
    clock.step()
    clock.safety.disable("asked to")
    clock.safety.estop("test")
    assert clock.safety.clear(clock.now_s) == (True, "cleared; disabled until it is enabled")
    clock.safety.enable(clock.now_s)
    clock.safety.estop("again")
    assert clock.safety.clear(clock.now_s) == (True, "cleared; enabled again")


@pytest.mark.parametrize(
    ("limits", "m", "word"),
    [
        ({"max_tilt": 0.5}, tilted(0.6), "max_tilt"),
        ({"max_tilt": 3.0}, tilted(np.pi), "max_tilt"),
        ({"min_height": 0.3}, tilted(0.0, 0.2), "min_height"),
        ({"max_height": 0.9}, tilted(0.0, 1.0), "max_height"),
    ],
)
def test_beyond_a_limit_the_robot_trips_at_once_and_stays_so(limits, m, word):
    clock = enabled(dataclasses.replace(ROBOT, **limits))
    assert clock.step(30, m=tilted(0.45, 0.5)) is Mode.ACTIVE
    assert clock.step(m=m) is Mode.TRIPPED
    assert (clock.applied(), word in clock.safety.reason) == (0.0, True)
    assert clock.safety.clear(clock.now_s)[0] is False  # still there
    assert clock.safety.mode is Mode.TRIPPED
    assert clock.step(10) is Mode.TRIPPED
    refused = clock.safety.enable(clock.now_s)
    assert (refused[0], "clear it first" in refused[1]) == (False, True)
    assert clock.safety.clear(clock.now_s)[0]
    assert clock.step() is Mode.DISABLED


def test_a_stop_is_cleared_however_the_robot_lies_but_it_is_not_enabled_so():
    clock = Clock(dataclasses.replace(SIMULATION, max_tilt=0.5))
    clock.step()
    clock.safety.estop("test")
    clock.step(m=tilted(1.0))
    done, text = clock.safety.clear(clock.now_s)
    assert (done, clock.safety.mode, "tilted by 1.00 rad" in text) == (True, Mode.DISABLED, True)


def test_it_trips_while_holding_too_but_not_while_it_is_disabled():
    limits = dataclasses.replace(ROBOT, max_tilt=0.5)
    clock = Clock(limits)
    assert clock.step(m=tilted(1.0)) is Mode.DISABLED  # as one carries it
    clock = enabled(limits)
    assert clock.step(causes=["lost"]) is Mode.HOLDING
    assert clock.step(m=tilted(1.0), causes=["lost"]) is Mode.TRIPPED


def test_without_answers_it_holds_within_two_periods_and_comes_back_through_the_ramp():
    clock = enabled()
    clock.step(30)
    for unanswered in (1, 0, 1, 2):  # for that long its last plan stands in for the controller
        assert clock.step(unanswered=unanswered) is Mode.ACTIVE
    assert clock.step(unanswered=3, no_answer="no controller") is Mode.HOLDING
    assert (clock.applied(), clock.safety.reason) == (0.0, "no controller")
    assert clock.step() is Mode.RAMPING
    assert clock.applied() == 0.0
    assert clock.step(10) is Mode.RAMPING
    assert clock.applied() == pytest.approx(10 * DT)
    assert clock.step(11) is Mode.ACTIVE


@pytest.mark.parametrize("m", [None, np.full_like(START, np.nan), np.zeros(3), np.zeros_like(START)])
def test_causes_and_unusable_measurements_hold_at_once(m):
    clock = enabled()
    assert clock.step(m=m) is Mode.HOLDING
    assert clock.safety.reason
    assert clock.step() is Mode.RAMPING
    assert clock.step(causes=["the IMU is silent", "odom is silent"]) is Mode.HOLDING
    assert clock.safety.reason == "the IMU is silent; odom is silent"


def test_the_dead_man_has_to_press_again_and_again():
    clock = enabled(dataclasses.replace(ROBOT, dead_man=True, dead_man_timeout=0.2, ramp=0.0))
    assert clock.step() is Mode.HOLDING
    clock.safety.press_dead_man(True, clock.now_s)
    assert clock.step(4) is Mode.ACTIVE
    assert clock.step() is Mode.HOLDING
    assert "dead-man" in clock.safety.reason
    clock.safety.press_dead_man(True, clock.now_s)
    assert clock.step() is Mode.ACTIVE
    clock.safety.press_dead_man(False, clock.now_s)
    assert clock.step() is Mode.HOLDING
    with pytest.raises(MbmfError, match=r"dead_man: .* disable it first"):
        clock.safety.configure(ROBOT)
    assert clock.step() is Mode.HOLDING
    clock.safety.disable("asked to")
    clock.safety.configure(ROBOT)


def test_it_trips_after_the_longest_time_in_motion():
    clock = enabled(dataclasses.replace(ROBOT, max_run_time=1.0))
    clock.step(10)
    clock.step(50, causes=["lost"])  # standing still does not count
    assert clock.safety.run_time_s == pytest.approx(11 * DT)
    clock.step(9)
    assert clock.safety.mode is not Mode.TRIPPED
    clock.step(2)
    assert (clock.safety.mode, "max_run_time" in clock.safety.reason) == (Mode.TRIPPED, True)
    clock.safety.clear(clock.now_s)
    clock.safety.enable(clock.now_s)
    assert (clock.step(), clock.safety.run_time_s) == (Mode.RAMPING, pytest.approx(DT))


def test_a_clock_that_jumps_ends_no_ramp_early_and_no_stop():
    clock = enabled()
    clock.step(3)
    clock.now_s -= 100.0
    assert clock.step() is Mode.RAMPING
    assert clock.applied() == 0.0
    assert clock.safety.run_time_s < 1.0


events = st.sampled_from(["enable", "disable", "estop", "clear", "lost", "silent", "tilt", "well"])


@given(st.booleans(), st.lists(events, max_size=30))
def test_nothing_gets_into_motion_but_by_the_ways_that_are_documented(auto_enable, story):
    clock, unanswered = Clock(SafetyConfig(auto_enable=auto_enable, ramp=0.2, max_tilt=0.5)), 0
    for event in story:
        before, safety = clock.safety.mode, clock.safety
        if event in ("enable", "clear"):
            getattr(safety, event)(clock.now_s)
        elif event in ("disable", "estop"):
            getattr(safety, event)("asked to")
        else:
            m = tilted(1.0) if event == "tilt" else START
            unanswered = unanswered + 1 if event == "silent" else 0
            clock.step(m=m, causes=["lost"] * (event == "lost"), unanswered=unanswered)
        after = safety.mode
        ways = {
            Mode.DISABLED: {"enable"},
            Mode.RAMPING: {"well", "silent", "enable", "clear"},
            Mode.ACTIVE: {"well", "silent", "enable", "clear"},
            Mode.HOLDING: {"well", "silent"},
            Mode.TRIPPED: {"clear"} if auto_enable else set(),
            Mode.ESTOP: {"clear"} if auto_enable else set(),
        }
        if after in (Mode.RAMPING, Mode.ACTIVE):
            assert event in ways[before]
        if before in (Mode.ESTOP, Mode.TRIPPED) and after is not before:
            assert event == "clear" or (before is Mode.TRIPPED and event == "estop")
        if event == "estop":
            assert after is Mode.ESTOP
        if event == "tilt" and before in (Mode.RAMPING, Mode.ACTIVE, Mode.HOLDING):
            assert after is Mode.TRIPPED


def test_what_the_caller_trips_on_is_latched_and_wakes_no_robot_that_is_stopped():
    clock = Clock(ROBOT)
    clock.safety.trip("fell")
    assert clock.safety.mode is Mode.DISABLED
    clock = enabled()
    clock.safety.trip("fell")
    assert (clock.step(5), clock.safety.reason, clock.applied()) == (Mode.TRIPPED, "fell", 0.0)
    clock.safety.estop("pressed")
    clock.safety.trip("fell")
    assert (clock.safety.mode, clock.safety.reason) == (Mode.ESTOP, "pressed")
