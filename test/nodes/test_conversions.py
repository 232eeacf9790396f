"""Messages to arrays and back."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mbmf_ros.data.episodes import applied_action_from
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import RobotAction, RobotState
from mbmf_ros.nodes.conversions import (
    action_from,
    doubles,
    fill_state,
    measurement_from,
    path_message,
    planar_pose_of,
    points_from,
    pose_message,
    time_message,
    time_seconds,
)
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

pytestmark = pytest.mark.ros
SPEC = robot("ant")
NUMBERS = st.floats(-1e3, 1e3)


@given(hnp.arrays(np.float64, SPEC.measurement.size, elements=NUMBERS), st.floats(-3, 3))
def test_a_measurement_survives_a_message(m, yaw):
    m[SPEC.measurement.orientation] = (np.cos(yaw / 2), 0, 0, np.sin(yaw / 2))
    message = fill_state(RobotState(), m, SPEC)
    np.testing.assert_array_equal(measurement_from(message, SPEC), m)
    assert message.pose.orientation.z == m[6]  # ours is w first, ROS's w last
    x, y, turned = planar_pose_of(message.pose)
    assert (x, y) == (m[0], m[1])
    assert turned == pytest.approx(yaw)


def wrong_states():
    def state(**changes):
        message = fill_state(RobotState(), start_measurement(SPEC), SPEC)
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    tilted = state()
    tilted.pose.orientation.w = 3.0
    lost = state()
    lost.twist.linear.x = float("inf")
    yield pytest.param(state(robot="swimmer"), "robot 'ant', got one of 'swimmer'", id="robot")
    yield pytest.param(state(joint_position=[0.0] * 7), "expected 8 joint .* got 7 and 8", id="joints")
    yield pytest.param(state(joint_velocity=[np.nan] * 8), "not all numbers are finite", id="nan")
    yield pytest.param(lost, "not all numbers are finite", id="inf")
    yield pytest.param(tilted, "norm 3", id="quaternion")
    yield pytest.param(state(joint_velocity=[1e6] * 8), r"joint_velocity\[0\]: expected at most 1000", id="absurd")


@pytest.mark.parametrize(("message", "problem"), list(wrong_states()))
def test_a_wrong_state_is_refused(message, problem):
    with pytest.raises(MbmfError, match=problem):
        measurement_from(message, SPEC)


def test_actions_are_read_clipped_and_row_by_row():
    rows = np.arange(16).reshape(2, 8) / 10
    message = RobotAction(action=doubles(np.full(8, 3.0)), plan=doubles(rows))
    action, plan = action_from(message, SPEC)
    np.testing.assert_array_equal(action, np.ones(8))
    np.testing.assert_array_equal(plan, np.clip(rows, -1, 1))


@pytest.mark.parametrize(
    ("action", "plan", "problem"),
    [
        ([], [], "action: expected 8 numbers for robot 'ant', got 0"),
        ([0.0] * 16, [], "got 16"),
        ([0.0] * 8, [0.0] * 9, "plan: expected rows of 8"),
        ([np.nan] * 8, [], "finite"),
        ([0.0] * 8, [np.inf] * 8, "finite"),
    ],
)
def test_a_wrong_action_is_refused(action, plan, problem):
    with pytest.raises(MbmfError, match=problem):
        action_from(RobotAction(action=action, plan=plan), SPEC)


def test_only_the_start_of_an_episode_has_no_applied_action():
    assert applied_action_from(RobotState(tick=0), SPEC) is None
    with pytest.raises(MbmfError, match="applied_action"):
        applied_action_from(RobotState(tick=1), SPEC)
    np.testing.assert_array_equal(applied_action_from(RobotState(tick=1, applied_action=[0.5] * 8), SPEC), [0.5] * 8)


def test_paths_and_poses():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]])
    message = path_message(points, "odom", time_message(1_500_000_000))
    np.testing.assert_array_equal(points_from(message), points)
    assert {pose.header.frame_id for pose in message.poses} == {"odom"}
    assert time_seconds(message.header.stamp) == 1.5
    assert planar_pose_of(list(message.poses)[1].pose)[2] == pytest.approx(np.pi / 2)
    assert points_from(path_message(points[:0], "odom")).shape == (0, 2)
    assert planar_pose_of(pose_message(1, 2, -0.5)) == pytest.approx((1, 2, -0.5))


@pytest.mark.parametrize("nanoseconds", [2**63, 2_147_483_648 * 10**9, -(10**30)])
def test_a_time_that_no_stamp_can_hold_becomes_the_nearest_one(nanoseconds):
    """A node computes such times from what others claim; its own messages must still be possible."""
    stamp = time_message(nanoseconds)
    assert stamp == (Time(sec=2**31 - 1, nanosec=999_999_999) if nanoseconds > 0 else Time(sec=-(2**31)))
