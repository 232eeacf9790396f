"""Where actions are postures, limits bound where the joints are told to be, and never throw them anywhere."""

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
DRIVEN = [SPEC.joints.index(name) for name in SPEC.actuated_joints]
LOW, HIGH = RANGE[DRIVEN].T
CENTER, SCALE = (LOW + HIGH) / 2, (HIGH - LOW) / 2  # an action of 1 is the end of the range
POSITION = slice(SPEC.measurement.joint_position.start, SPEC.measurement.joint_position.stop)
MARGIN, RATE = 0.1, 10.0
MOVING = SafetyConfig(auto_enable=True, ramp=0.0, action_rate=RATE, joint_margin=MARGIN)


def posed(center: np.ndarray = CENTER, scale: np.ndarray = SCALE, **settings) -> Safety:
    """A layer for postures that lets actions through."""
    safety = Safety(SPEC, dataclasses.replace(MOVING, **settings), RANGE, (center, scale))
    assert safety.update(0.0, at(CENTER)) is Mode.ACTIVE
    return safety


def at(joints: np.ndarray) -> np.ndarray:
    """A measurement with the driven ``joints`` (nu,) [rad] there."""
    m = start_measurement(SPEC)
    m[POSITION][DRIVEN] = joints
    return m


def test_a_joint_that_is_told_to_go_to_its_end_gets_to_the_margin_and_stays_there():
    """A servo that gets to its target in every period: where it is must not decide where it is told to be."""
    safety, joints, targets = posed(), CENTER, []
    for period in range(1, 9):
        joints = CENTER + SCALE * safety.limit(np.ones(SPEC.nu), at(joints), period * SPEC.dt_s)
        targets.append(joints)
    np.testing.assert_allclose(targets[0], CENTER + SCALE * RATE * SPEC.dt_s)
    np.testing.assert_allclose(targets[2:], np.tile(HIGH - MARGIN, (6, 1)))


moments = st.tuples(
    st.floats(0.0, 0.1),
    arrays(np.float64, SPEC.nu, elements=st.floats(-5, 5)),
    st.one_of(st.none(), arrays(np.float64, SPEC.nu, elements=st.floats(-3, 3))),
)


@given(
    arrays(np.float64, SPEC.nu, elements=st.floats(-0.2, 0.2)),
    arrays(np.float64, SPEC.nu, elements=st.sampled_from([0.0, 0.05, 0.3, 5.0])),
    st.floats(0.5, 30.0),
    st.floats(0.1, 1.0),
    st.sampled_from([0.0, 0.2]),
    st.lists(moments, max_size=12),
)
def test_targets_keep_the_margin_and_move_no_faster_than_the_rate(shift, scale, rate, limit, ramp, moments):
    center = CENTER + shift
    safety, now_s = Safety(SPEC, dataclasses.replace(MOVING, ramp=ramp), RANGE, (center, scale)), 0.0
    safety.configure(dataclasses.replace(safety.config, action_rate=rate, action_limit=limit))
    before = np.array(SPEC.safe_action)
    for pause_s, action, joints in moments:
        now_s += pause_s
        safety.update(now_s, at(CENTER))
        sent = safety.limit(action, None if joints is None else at(joints), now_s)
        assert np.abs(sent - before).max() <= rate * SPEC.dt_s + 1e-12
        assert np.abs(sent).max() <= limit
        target = center + scale * sent
        assert (target >= LOW + MARGIN - 1e-9).all()
        assert (target <= HIGH - MARGIN + 1e-9).all()
        before = sent


def test_limits_that_are_drawn_in_while_it_moves_do_not_throw_it():
    safety = posed(joint_margin=0.0)
    for period in range(1, 4):
        safety.limit(np.ones(SPEC.nu), at(CENTER), period * SPEC.dt_s)
    safety.configure(dataclasses.replace(safety.config, joint_margin=0.2, action_limit=0.2))
    sent = [safety.limit(np.ones(SPEC.nu), at(HIGH), (4 + period) * SPEC.dt_s) for period in range(2)]
    np.testing.assert_allclose(sent, [[0.5] * SPEC.nu, [0.2] * SPEC.nu])


def test_a_safe_posture_without_room_for_the_margin_is_refused():
    with pytest.raises(MbmfError, match=r"got ankle_1 at 0\.000 rad of 0\.52\d* to 1\.22\d*; set its center"):
        Safety(SPEC, MOVING, RANGE, (np.zeros(SPEC.nu), SCALE))
    with pytest.raises(MbmfError, match="or a smaller margin"):
        posed(joint_margin=0.5)
    assert posed(center=np.zeros(SPEC.nu), joint_margin=0.0).passing
