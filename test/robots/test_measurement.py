"""The measurement vector: rotations, headings, and what is refused as unusable."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import profile, robot
from mbmf_ros.robots.measurement import plausible, quaternion_of_yaw, rotation_matrix, yaw_of
from mbmf_ros.robots.sim import start_measurement

SPEC = robot("ant")
LAYOUT = SPEC.measurement
angles = st.floats(-50.0, 50.0)


def random_quaternions(count: int) -> np.ndarray:
    q = np.random.default_rng(0).standard_normal((count, 4))
    return q / np.linalg.norm(q, axis=1, keepdims=True)


def test_the_parts_cover_the_vector_without_gaps():
    parts = (
        LAYOUT.position,
        LAYOUT.orientation,
        LAYOUT.linear_velocity,
        LAYOUT.angular_velocity,
        LAYOUT.joint_position,
        LAYOUT.joint_velocity,
    )
    covered = [index for part in parts for index in range(part.start, part.stop)]
    assert covered == list(range(LAYOUT.size))
    assert LAYOUT.size == 29


def test_rotation_matrices_are_those_of_mujoco():
    quaternions = random_quaternions(50)
    for q, ours in zip(quaternions, rotation_matrix(quaternions), strict=True):
        theirs = np.empty(9)
        mujoco.mju_quat2Mat(theirs, q)
        np.testing.assert_allclose(ours, theirs.reshape(3, 3), atol=1e-12)


def test_a_rotation_does_not_depend_on_the_length_or_sign_of_the_quaternion():
    q = random_quaternions(20)
    np.testing.assert_allclose(rotation_matrix(1.07 * q), rotation_matrix(q), atol=1e-12)
    np.testing.assert_allclose(rotation_matrix(-q), rotation_matrix(q), atol=1e-12)


@given(angles)
def test_yaw_comes_back_within_half_a_turn(yaw: float):
    found = yaw_of(quaternion_of_yaw(yaw))
    assert -math.pi <= found <= math.pi
    assert math.isclose(math.cos(found), math.cos(yaw), abs_tol=1e-9)
    assert math.isclose(math.sin(found), math.sin(yaw), abs_tol=1e-9)


@given(st.integers(0, 49), st.floats(-math.pi, math.pi))
def test_turning_the_world_adds_to_the_heading_of_a_tilted_base(index: int, turn: float):
    q = random_quaternions(50)[index]
    turned = np.empty(4)
    mujoco.mju_mulQuat(turned, quaternion_of_yaw(turn), q)
    difference = yaw_of(turned) - yaw_of(q) - turn
    assert abs(math.remainder(difference, 2 * math.pi)) < 1e-9
    # The same orientation, written with the other sign.
    assert abs(math.remainder(yaw_of(-turned) - yaw_of(turned), 2 * math.pi)) < 1e-9


def test_a_pure_tilt_has_no_heading():
    for axis in ((1, 0), (0, 1), (0.6, -0.8)):
        q = np.array([math.cos(0.4), math.sin(0.4) * axis[0], math.sin(0.4) * axis[1], 0.0])
        assert yaw_of(q) == pytest.approx(0.0, abs=1e-12)


def test_a_good_measurement_has_no_problem():
    assert LAYOUT.problem(start_measurement(SPEC)) is None


@pytest.mark.parametrize("shape", [(28,), (30,), (0,), (1, 29)])
def test_wrong_sizes_are_named(shape: tuple[int, ...]):
    assert "expected 29 numbers" in (LAYOUT.problem(np.ones(shape)) or "")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("index", [0, 5, 28])
def test_numbers_that_are_not_finite_are_named(index: int, value: float):
    m = start_measurement(SPEC)
    m[index] = value
    assert LAYOUT.problem(m) == "not all numbers are finite"


@pytest.mark.parametrize("q", [(0, 0, 0, 0), (2, 0, 0, 0), (0.5, 0, 0, 0)])
def test_quaternions_that_are_no_rotation_are_named(q: tuple[float, ...]):
    m = start_measurement(SPEC)
    m[LAYOUT.orientation] = q
    assert "norm" in (LAYOUT.problem(m) or "")


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(MbmfError, match=r"unknown robot 'atn' \(did you mean 'ant'\?\); known: ant"):
        robot("atn")
    with pytest.raises(MbmfError, match="did you mean 'body'"):
        profile(SPEC, "bodi")


def test_a_robot_falls_by_tilt_and_by_height():
    upright = start_measurement(SPEC)
    tilted, low, high = upright.copy(), upright.copy(), upright.copy()
    tilted[LAYOUT.orientation] = (math.cos(0.7), math.sin(0.7), 0, 0)  # by 1.4 rad
    low[2], high[2] = 0.19, 1.31
    leaning = upright.copy()
    leaning[LAYOUT.orientation] = (math.cos(0.6), 0, math.sin(0.6), 0)  # by 1.2 rad
    rows = np.stack([[upright, tilted, low], [high, leaning, upright]])
    assert SPEC.fallen(rows).tolist() == [[False, True, True], [True, False, False]]


@pytest.mark.parametrize(
    ("index", "value", "said"),
    [
        (0, -1e6, "position[0]: expected less than 1e+06 in size, got -1e+06"),
        (4, 1e6, "orientation[1]: expected less than 1e+06"),
        (8, 1001.0, "linear_velocity[1]: expected at most 1000 (m/s, rad/s) in size, got 1001"),
        (12, -2e3, "angular_velocity[2]: expected at most 1000"),
        (20, 1e300, "joint_position[7]: expected less than 1e+06"),
        (21, 1e6, "joint_velocity[0]: expected at most 1000"),
    ],
)
def test_numbers_that_no_robot_has_are_named(index: int, value: float, said: str):
    m = start_measurement(SPEC)
    m[index] = value
    assert said in (LAYOUT.problem(m) or "")
    assert np.flatnonzero(~plausible(np.stack([start_measurement(SPEC), m])).ravel()).tolist() == [LAYOUT.size + index]


def test_large_numbers_that_a_robot_may_have_are_no_problem():
    m = start_measurement(SPEC)
    m[LAYOUT.position], m[LAYOUT.joint_position] = 9e5, -9e5
    m[LAYOUT.linear_velocity], m[LAYOUT.angular_velocity], m[LAYOUT.joint_velocity] = 1e3, -1e3, 1e3
    assert LAYOUT.problem(m) is None
