"""Whatever a controller asks for, what is applied is finite and within every limit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import joint_range, start_measurement
from mbmf_ros.safety import Mode, Safety, SafetyConfig

SPEC = robot("ant")
RANGE = joint_range(SPEC)
LAYOUT = SPEC.measurement
START = start_measurement(SPEC)
DRIVEN = [SPEC.joints.index(name) for name in SPEC.actuated_joints]
MOVING = SafetyConfig(auto_enable=True, ramp=0.0)

anything = st.floats(allow_nan=True, allow_infinity=True)
finite = st.floats(-5, 5)
actions = st.one_of(arrays(np.float64, SPEC.nu, elements=anything), arrays(np.float64, SPEC.nu, elements=finite))
measurements = st.builds(
    lambda joints: np.concatenate([START[:13], joints, np.zeros(len(SPEC.joints))]),
    arrays(np.float64, len(SPEC.joints), elements=st.floats(-3, 3)),
)
configs = st.builds(
    SafetyConfig,
    auto_enable=st.booleans(),
    action_limit=st.floats(0, 1),
    action_rate=st.sampled_from([0.0, 0.5, 20.0]),
    joint_margin=st.sampled_from([0.0, 0.2]),
    max_tilt=st.sampled_from([0.0, 0.5]),
    dead_man=st.booleans(),
    ramp=st.sampled_from([0.0, 0.3]),
    max_run_time=st.sampled_from([0.0, 0.4]),
    dry_run=st.booleans(),
)
requests = st.sampled_from(["", "enable", "disable", "estop", "clear", "press", "release"])
moments = st.tuples(
    st.floats(0, 0.2),
    st.one_of(st.none(), measurements, arrays(np.float64, LAYOUT.size, elements=anything)),
    actions,
    st.integers(0, 4),
    requests,
)


def moving(**settings) -> Safety:
    """A layer that lets actions through."""
    safety = Safety(SPEC, dataclasses.replace(MOVING, **settings), RANGE)
    assert safety.update(0.0, START) is Mode.ACTIVE
    return safety


@given(configs, st.lists(moments, max_size=12))
def test_every_action_is_finite_and_within_the_limit_and_safe_while_nothing_may_pass(config, moments):
    safety, now_s = Safety(SPEC, config, RANGE), 0.0
    for pause_s, m, action, unanswered, request in moments:
        now_s += pause_s
        ask(safety, request, now_s)
        safety.update(now_s, m, unanswered=unanswered)
        applied = safety.limit(action, m, now_s)
        assert applied.shape == (SPEC.nu,)
        assert np.isfinite(applied).all()
        assert np.abs(applied).max() <= config.action_limit
        if safety.mode not in (Mode.RAMPING, Mode.ACTIVE) or config.dry_run:
            np.testing.assert_array_equal(applied, SPEC.safe_action)
        assert (0 < safety.ramp < 1) <= (safety.mode is Mode.RAMPING)


def ask(safety: Safety, request: str, now_s: float) -> None:
    if request in ("enable", "clear"):
        getattr(safety, request)(now_s)
    elif request in ("disable", "estop"):
        getattr(safety, request)("asked to")
    elif request:
        safety.press_dead_man(request == "press", now_s)


@given(st.floats(0.1, 30), st.lists(st.tuples(st.floats(0, 0.1), actions), min_size=1, max_size=12))
def test_an_action_changes_no_faster_than_its_rate(rate, moments):
    safety, now_s = moving(action_rate=rate, action_limit=0.8), 0.0
    before = np.array(SPEC.safe_action)
    for pause_s, action in moments:
        now_s += pause_s
        applied = safety.limit(action, START, now_s)
        if np.isfinite(action).all():  # else the safe action, at once
            assert np.abs(applied - before).max() <= rate * SPEC.dt_s + 1e-12
        before = applied


def test_two_actions_in_one_period_change_no_faster_than_one():
    safety = moving(action_rate=2.0)
    first = safety.limit(np.ones(SPEC.nu), START, 0.0)
    np.testing.assert_allclose(first, 2.0 * SPEC.dt_s)
    np.testing.assert_allclose(safety.limit(np.ones(SPEC.nu), START, 0.01) - first, 2.0 * 0.01)


@given(arrays(np.float64, SPEC.nu, elements=st.floats(-1, 1)), measurements)
def test_near_its_limit_a_joint_is_pushed_no_further_out_and_always_back(action, m):
    margin = 0.2
    applied = moving(joint_margin=margin).limit(action, m, 0.0)
    position = m[LAYOUT.joint_position][DRIVEN]
    low, high = RANGE[DRIVEN].T
    outside = (action > 0) & (position >= high) | (action < 0) & (position <= low)
    np.testing.assert_array_equal(applied[outside], 0.0)
    inward = (action > 0) & (position <= high - margin) | (action < 0) & (position >= low + margin)
    np.testing.assert_array_equal(applied[inward], action[inward])
    room = np.where(action > 0, high - position, position - low)
    np.testing.assert_allclose(applied, action * np.clip(room / margin, 0, 1))


def test_without_a_measurement_no_joint_is_pushed_where_joints_are_limited():
    pushed = np.ones(SPEC.nu)
    np.testing.assert_array_equal(moving(joint_margin=0.1).limit(pushed, None, 0.0), SPEC.safe_action)
    np.testing.assert_array_equal(moving().limit(pushed, None, 0.0), pushed)


@pytest.mark.parametrize("wrong", [np.full(SPEC.nu, np.nan), np.full(SPEC.nu, np.inf), np.ones(3), np.ones(0)])
def test_what_is_no_action_becomes_the_safe_one_and_counts(wrong):
    safety = moving()
    np.testing.assert_array_equal(safety.limit(wrong, START, 0.0), SPEC.safe_action)
    assert safety.limited == 1


def test_only_actions_that_a_limit_changed_are_counted():
    safety = moving(action_limit=0.5)
    for size, count in ((0.4, 0), (0.6, 1), (0.5, 1), (-0.7, 2)):
        safety.limit(np.full(SPEC.nu, size), START, 0.0)
        assert safety.limited == count
    safety.estop("test")
    safety.limit(np.ones(SPEC.nu), START, 0.0)
    assert safety.limited == 2


def test_a_dry_run_computes_and_applies_the_safe_action():
    safety = moving(dry_run=True, action_limit=0.5)
    np.testing.assert_array_equal(safety.limit(np.ones(SPEC.nu), START, 0.0), SPEC.safe_action)
    np.testing.assert_array_equal(safety.computed, np.full(SPEC.nu, 0.5))
    assert (safety.mode, safety.passing) == (Mode.ACTIVE, False)
    with pytest.raises(MbmfError, match="disable it first"):
        safety.configure(MOVING)
    safety.disable("test")
    safety.configure(MOVING)
    safety.enable(0.1)
    safety.update(0.1, START)
    np.testing.assert_array_equal(safety.limit(np.ones(SPEC.nu), START, 0.1), 1.0)


def test_settings_that_do_not_fit_are_refused_and_the_old_ones_stay():
    with pytest.raises(MbmfError, match="max_height"):
        SafetyConfig(min_height=0.5, max_height=0.4)
    with pytest.raises(MbmfError, match="max_tilt"):
        SafetyConfig(max_tilt=-0.1)
    safety = Safety(SPEC, MOVING)
    with pytest.raises(MbmfError, match="ranges are not known"):
        safety.configure(SafetyConfig(joint_margin=0.1))
    crouched = dataclasses.replace(SPEC, safe_action=(0.5, *[0.0] * 7))
    with pytest.raises(MbmfError, match="room for the safe action"):
        Safety(crouched, SafetyConfig(action_limit=0.4))
    assert safety.config == MOVING
    with pytest.raises(MbmfError, match="8 joints"):
        Safety(SPEC, MOVING, RANGE[:3])
    with pytest.raises(MbmfError, match="8 joints"):
        Safety(SPEC, MOVING, RANGE[:, ::-1])


def test_a_state_that_no_robot_can_have_makes_it_hold_with_the_safe_action():
    safety, absurd = moving(joint_margin=0.1), START.copy()
    absurd[SPEC.measurement.joint_velocity.start] = 1e6
    assert safety.update(1.0, absurd) is Mode.HOLDING
    assert "joint_velocity[0]" in safety.reason
    np.testing.assert_array_equal(safety.limit(np.ones(SPEC.nu), absurd, 1.0), SPEC.safe_action)
    assert safety.update(1.1, START) is Mode.ACTIVE
