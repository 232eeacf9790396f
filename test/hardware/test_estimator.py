"""From messages to the measurement: round trips over any mount, sign, gear, unit and order, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robot_side import LAYOUT, SPEC, Robot, config, configs, measurements, same, standing

from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.config import HardwareConfig
from mbmf_ros.hardware.estimator import INPUTS, Estimator
from mbmf_ros.robots.measurement import quaternion_of_yaw

STEADY_S = 1000.0  # our clock, far from the robot's


def heard(hardware: HardwareConfig, m: np.ndarray, imu_yaw: float = 0.0, **told: float) -> np.ndarray | None:
    estimator = Estimator(hardware)
    Robot(hardware, imu_yaw).tell(estimator, m, told.get("stamp_s", 3.0), STEADY_S)
    return estimator.measure(told.get("now_s", STEADY_S))[0]


@settings(deadline=None, max_examples=200)
@given(configs(), measurements(), st.floats(-math.pi, math.pi))
def test_what_the_robot_says_is_what_it_measures(hardware: HardwareConfig, m: np.ndarray, imu_yaw: float):
    found = heard(hardware, m, imu_yaw)
    assert found is not None
    same(m, found, atol=1e-6)


def test_roll_and_pitch_are_the_imus_heading_and_position_the_odometrys():
    hardware = config()
    robot, estimator = Robot(hardware), Estimator(hardware)
    m = standing()
    tilted = m.copy()
    tilted[LAYOUT.orientation] = (math.cos(0.1), math.sin(0.1), 0, 0)
    estimator.take_joints(3.0, STEADY_S, *robot.joints(m))
    estimator.take_imu(3.0, STEADY_S, *robot.imu(tilted))
    frame, position, _, linear, angular = robot.pose(m)
    estimator.take_pose(3.0, STEADY_S, frame, position, np.array([math.cos(0.4), 0, 0, math.sin(0.4)]), linear, angular)
    found, causes = estimator.measure(STEADY_S)
    assert found is not None
    assert causes == []
    w, x, y, z = found[LAYOUT.orientation]
    assert 2 * math.atan2(z, w) == pytest.approx(0.8)  # turned by odometry
    assert math.acos(w * w - x * x - y * y + z * z) == pytest.approx(0.2)  # tilted by the IMU


def test_an_imu_without_orientation_leaves_it_to_the_pose():
    hardware = config(imu={"tilt": "pose"})
    robot, estimator = Robot(hardware), Estimator(hardware)
    m = standing()
    m[LAYOUT.orientation] = (math.cos(0.1), 0, math.sin(0.1), 0)
    estimator.take_joints(3.0, STEADY_S, *robot.joints(m))
    estimator.take_imu(3.0, STEADY_S, None, np.zeros(3), None)
    estimator.take_pose(3.0, STEADY_S, *robot.pose(m))
    found = estimator.measure(STEADY_S)[0]
    assert found is not None
    same(m, found)


def test_an_imu_that_stops_giving_its_orientation_goes_silent_instead_of_leaving_it_to_the_pose():
    hardware, m = config(), standing()
    robot, estimator = Robot(hardware), Estimator(hardware)
    robot.tell(estimator, m, 3.0, STEADY_S)
    for step in range(1, 12):
        stamp_s, arrival_s = 3.0 + 0.01 * step, STEADY_S + 0.01 * step
        estimator.take_joints(stamp_s, arrival_s, *robot.joints(m))
        with pytest.raises(MbmfError, match="no orientation any more"):
            estimator.take_imu(stamp_s, arrival_s, None, np.zeros(3), None)
        estimator.take_pose(stamp_s, arrival_s, *robot.pose(m))
    assert estimator.measure(STEADY_S + 0.11) == (None, ["imu: nothing usable on imu/data for more than 0.1 s"])
    robot.tell(estimator, m, 3.12, STEADY_S + 0.12)
    found = estimator.measure(STEADY_S + 0.12)[0]
    assert found is not None
    same(m, found)


@pytest.mark.parametrize("late_s", [0.004, 0.013])
def test_a_sample_is_brought_forward_to_the_instant(late_s: float):
    m = standing()
    m[2] = 2.0
    m[LAYOUT.linear_velocity], m[LAYOUT.angular_velocity] = (1.0, -0.5, 0.3), (0.5, -1.0, 2.0)
    m[LAYOUT.joint_velocity] = 1.0
    hardware = config()
    found = heard(hardware, m, now_s=STEADY_S + late_s)
    assert found is not None
    before = heard(hardware, m)
    assert before is not None
    truth = m.copy()
    truth[:3] += late_s * m[LAYOUT.linear_velocity]
    truth[LAYOUT.joint_position] += late_s
    np.testing.assert_allclose(found[:3], truth[:3], atol=1e-9)
    np.testing.assert_allclose(found[LAYOUT.joint_position], truth[LAYOUT.joint_position], atol=1e-9)
    turned = 2 * math.acos(min(1.0, abs(found[LAYOUT.orientation] @ before[LAYOUT.orientation])))
    assert turned == pytest.approx(late_s * np.linalg.norm(m[LAYOUT.angular_velocity]), rel=1e-3)


def test_velocities_are_derived_where_the_robot_measures_none():
    """A robot that glides through the odometry frame, turned by a quarter: what is forward there is to its right."""
    hardware = config(pose={"source": "pose", "velocity_filter": 0.0}, joint_states={"velocity_filter": 0.0})
    estimator, robot = Estimator(hardware), Robot(hardware)
    joint_velocity, found = np.linspace(-2.0, 2.0, len(SPEC.joints)), None
    for step in range(5):
        m, now_s = standing(), STEADY_S + 0.01 * step
        m[:3] += 0.01 * step * np.array([0.8, 0.2, -0.1])
        m[LAYOUT.orientation] = quaternion_of_yaw(math.pi / 2)
        m[LAYOUT.joint_position] += 0.01 * step * joint_velocity
        names, position, _ = robot.joints(m)
        estimator.take_joints(0.01 * step, now_s, names, position, [])
        estimator.take_imu(0.01 * step, now_s, *robot.imu(m))
        estimator.take_pose(0.01 * step, now_s, *robot.pose(m)[:3])
        found, causes = estimator.measure(now_s)
        assert (found is None) == (step == 0), causes
    assert found is not None
    np.testing.assert_allclose(found[LAYOUT.joint_velocity], joint_velocity, atol=1e-9)
    np.testing.assert_allclose(found[LAYOUT.linear_velocity], (0.2, -0.8, -0.1), atol=1e-9)


def test_a_filtered_velocity_follows_a_ramp_and_smooths_noise():
    rng = np.random.default_rng(0)
    spread = {}
    for time_constant_s in (0.0, 0.05):
        hardware = config(joint_states={"velocity_filter": time_constant_s, "derive_velocity": True})
        estimator, robot, seen = Estimator(hardware), Robot(hardware), []
        for step in range(200):
            m = standing()
            m[LAYOUT.joint_position] = 0.01 * step * 1.5 + 1e-3 * rng.standard_normal(len(SPEC.joints))
            m[LAYOUT.joint_velocity] = 99.0  # not to be believed
            robot.tell(estimator, m, 0.01 * step, STEADY_S + 0.01 * step)
            found = estimator.measure(STEADY_S + 0.01 * step)[0]
            if found is not None and step > 50:
                seen.append(found[LAYOUT.joint_velocity])
        assert np.mean(seen) == pytest.approx(1.5, abs=0.02)
        spread[time_constant_s] = np.std(seen)
    assert spread[0.05] < 0.3 * spread[0.0]


BAD_JOINTS: list[tuple[dict[str, Any], str]] = [
    ({"names": ["r_hip_1"], "position": [0.0]}, "joint 'r_ankle_1' is missing"),
    ({"names": [], "position": []}, "joint 'r_hip_1' is missing; the message has none"),
    ({"rename": ("r_hip_1", "r_hip_9")}, r"unknown joint 'r_hip_9' \(did you mean 'r_hip_"),
    ({"rename": ("r_hip_1", "r_hip_2")}, "missing"),
    ({"more": ("r_hip_1", 0.0)}, "named twice"),
    ({"position": [0.0] * 7}, "expected 8 positions for 8 names"),
    ({"velocity": [0.0] * 3}, "got 8 and 3"),
    ({"position": [math.nan] + [0.0] * 7}, "joint positions: not all numbers are finite"),
    ({"velocity": [math.inf] + [0.0] * 7}, "joint velocities: not all numbers are finite"),
    ({"position": [1e300] + [0.0] * 7}, "joint positions: expected numbers up to 1e"),
]


@pytest.mark.parametrize(("change", "match"), BAD_JOINTS)
def test_malformed_joint_states_are_refused(change: dict[str, Any], match: str):
    estimator = Estimator(config())
    names, position, velocity = Robot(config()).joints(standing())
    names, position = change.get("names", names), change.get("position", position)
    velocity = change.get("velocity", velocity if "names" not in change else [])
    if "rename" in change:
        names = [change["rename"][1] if name == change["rename"][0] else name for name in names]
    if "more" in change:
        names, position, velocity = [*names, change["more"][0]], [*position, change["more"][1]], [*velocity, 0.0]
    with pytest.raises(MbmfError, match=match):
        estimator.take_joints(1.0, STEADY_S, names, position, velocity)
    assert not estimator.inputs["joint_states"].messages


def test_joints_that_were_announced_are_passed_over():
    estimator = Estimator(config(joint_states={"others": ["gripper"]}))
    names, position, velocity = Robot(config()).joints(standing())
    estimator.take_joints(1.0, STEADY_S, ["gripper", *names], [9.0, *position], [9.0, *velocity])
    sample = estimator.inputs["joint_states"].messages[-1].sample
    np.testing.assert_allclose(sample.position, standing()[LAYOUT.joint_position])


def test_malformed_imu_and_pose_messages_are_refused():
    estimator, zeros, upright = Estimator(config(pose={"frame": "odom"})), np.zeros(3), np.array([1.0, 0, 0, 0])
    nan = np.array([0, 0, math.nan])
    for orientation, gyro, force, match in (
        (upright, nan, zeros, "angular velocity: not all"),
        (upright, zeros, nan, "linear acceleration: not all"),
        (np.zeros(4), zeros, zeros, "orientation: the quaternion has norm 0 instead of 1"),
        (np.full(4, math.nan), zeros, zeros, "orientation: not all"),
    ):
        with pytest.raises(MbmfError, match=match):
            estimator.take_imu(1.0, STEADY_S, orientation, gyro, force)
    for frame, position, q, linear, match in (
        ("map", zeros, upright, zeros, "expected a pose in frame 'odom', got 'map'"),
        ("odom", nan, upright, zeros, "position: not all"),
        ("odom", zeros, 3 * upright, zeros, "norm 3"),
        ("odom", zeros, upright, nan, "twist: not all"),
        ("odom", np.full(3, -1e200), upright, zeros, "position: expected numbers up to"),
    ):
        with pytest.raises(MbmfError, match=match):
            estimator.take_pose(1.0, STEADY_S, frame, position, q, linear, zeros)
    assert not any(one.messages for one in estimator.inputs.values())


@pytest.mark.parametrize("quiet", INPUTS)
def test_silence_of_any_input_is_a_cause_and_ends_with_the_next_message(quiet: str):
    hardware = config(joint_states={"max_age": 0.08}, imu={"max_age": 0.08}, pose={"max_age": 0.08})
    estimator, robot, m = Estimator(hardware), Robot(hardware), standing()
    assert len(estimator.measure(STEADY_S)[1]) == 3
    takers = {
        "joint_states": lambda stamp_s, now_s: estimator.take_joints(stamp_s, now_s, *robot.joints(m)),
        "imu": lambda stamp_s, now_s: estimator.take_imu(stamp_s, now_s, *robot.imu(m)),
        "pose": lambda stamp_s, now_s: estimator.take_pose(stamp_s, now_s, *robot.pose(m)),
    }
    causes: list[list[str]] = []
    for step in range(60):
        for name, take in takers.items():
            if not (name == quiet and 20 <= step < 40):
                take(0.01 * step, STEADY_S + 0.01 * step)
        causes.append(estimator.measure(STEADY_S + 0.01 * step)[1])
    lost = [step for step, lines in enumerate(causes) if lines]
    assert lost == list(range(28, 40))
    assert causes[30] == [f"{quiet}: nothing usable on {estimator.settings(quiet).topic} for more than 0.08 s"]


def test_the_same_samples_make_one_measurement():
    hardware = config()
    estimator = Estimator(hardware)
    Robot(hardware).tell(estimator, standing(), 3.0, STEADY_S)
    assert estimator.measure(STEADY_S)[0] is not None
    assert estimator.measure(STEADY_S + 0.01) == (None, [])


def test_a_velocity_that_no_robot_has_is_a_cause_to_hold():
    hardware, fast = config(), standing()
    fast[LAYOUT.joint_velocity.start] = 2e3
    estimator = Estimator(hardware)
    Robot(hardware).tell(estimator, fast, 3.0, STEADY_S)
    found, causes = estimator.measure(STEADY_S)
    assert found is None
    assert ["joint_velocity[0]: expected at most 1000" in cause for cause in causes] == [True]
