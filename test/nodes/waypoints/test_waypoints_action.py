"""The waypoints node's action, with a probe for the robot."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from action_msgs.msg import GoalStatus
from geometry_msgs.msg import PoseStamped
from waypoints_robot import Robot, pose

from mbmf_ros.action import FollowWaypoints
from mbmf_ros.msg import RobotState
from mbmf_ros.nodes.runtime import OK, WARN
from mbmf_ros.nodes.waypoints import Waypoints

pytestmark = pytest.mark.ros
Result = FollowWaypoints.Result


def test_an_action_goal_gives_feedback_and_succeeds(rig, node, ant):
    handle = ant.driving(node, [(3, 1), (5, 1)])
    for x in np.arange(1.0, 5.0, 0.1):
        ant.at(node, x, 1.1)
    status, result = ant.result(handle)
    assert (status, result.error_code, list(result.missed_waypoints)) == (GoalStatus.STATUS_SUCCEEDED, Result.NONE, [])
    assert result.total_elapsed_time.sec == pytest.approx(2, abs=1)
    rig.until(lambda: len(ant.feedback) > 30, "feedback")
    assert {f.current_waypoint for f in ant.feedback} == {0, 1}
    remaining = [f.distance_remaining for f in ant.feedback]
    assert remaining[0] > 3.5 > 0.5 > remaining[-1]
    assert remaining == sorted(remaining, reverse=True)
    assert ant.feedback[9].cross_track_error == pytest.approx(0.1, abs=0.01)
    rig.until(lambda: len(ant.path) == 0, "the empty path")


def test_rounds_and_start_index(node, ant):
    handle = ant.driving(node, [(3, 1), (3, 3)], loops=1, start_index=1)
    np.testing.assert_allclose(node.route.path.points, [[1, 1], [3, 3], [3, 1], [3, 3]])
    handle.cancel_goal_async()
    assert ant.result(handle)[0] == GoalStatus.STATUS_CANCELED


def test_cancelling_stops_the_robot(node, ant):
    handle = ant.driving(node, [(5, 1)])
    handle.cancel_goal_async()  # no state comes in any more, and yet
    status, result = ant.result(handle)
    assert (status, result.error_code) == (GoalStatus.STATUS_CANCELED, Result.NONE)
    ant.rig.until(lambda: len(ant.path) == 0, "the empty path")


def test_another_goal_and_a_topic_replace(node, ant):
    first = ant.driving(node, [(5, 1)])
    second = ant.driving(node, [(7, 1)])
    status, result = ant.result(first)
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, Result.REPLACED)
    np.testing.assert_allclose(node.route.path.points, [[1, 1], [7, 1]])
    ant.send(PoseStamped, "goal_pose", pose(0, 0))
    assert ant.result(second)[1].error_code == Result.REPLACED
    np.testing.assert_allclose(ant.path, [[1, 1], [0, 0]])


@pytest.mark.parametrize(
    ("points", "frame", "fields", "code", "word"),
    [
        ([], "odom", {}, Result.INVALID_PATH, "empty"),
        ([(float("nan"), 0)], "odom", {}, Result.INVALID_PATH, "not finite"),
        ([(1000, 0)], "odom", {}, Result.INVALID_PATH, "at most 500 m"),
        ([(2, 0)], "odom", {"start_index": 1}, Result.INVALID_PATH, "first waypoint"),
        ([(2, 0)], "map", {}, Result.UNKNOWN_FRAME, "'odom'"),
    ],
    ids=["empty", "nan", "1 km", "start index", "frame"],
)
def test_an_unusable_goal_is_aborted_and_the_one_under_way_goes_on(node, ant, points, frame, fields, code, word):
    driving = ant.driving(node, [(5, 1)])
    status, result = ant.result(ant.goal(points, frame, **fields))
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, code)
    assert word in result.error_message
    np.testing.assert_allclose(node.route.path.points, [[1, 1], [5, 1]])
    driving.cancel_goal_async()
    assert ant.result(driving)[0] == GoalStatus.STATUS_CANCELED


def test_a_goal_for_a_stopped_robot_is_aborted(node, ant):
    ant.at(node, 1, 1, status=RobotState.STATUS_ESTOP)
    status, result = ant.result(ant.goal([(5, 1)]))
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, Result.STOPPED)
    assert "clear_estop" in result.error_message
    ant.at(node, 1, 1)
    assert node.route.tracker is None


def test_a_goal_ends_with_a_fall_a_reset_and_slowness(node, ant):
    handle = ant.driving(node, [(5, 1)])
    ant.at(node, 1, 1, status=RobotState.STATUS_FALLEN)
    assert ant.result(handle)[1].error_code == Result.FALLEN
    handle = ant.driving(node, [(5, 1)])
    ant.episode, ant.tick = 2, -1
    ant.at(node, 1, 1)
    assert ant.result(handle)[1].error_code == Result.FALLEN
    handle = ant.driving(node, [(5, 1)])
    ant.tick += 20 * 46  # 4 m at 0.1 m/s and 5 s of grace are 45 s
    ant.at(node, 1, 1)
    status, result = ant.result(handle)
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, Result.TIMEOUT)
    assert "min_speed" in result.error_message


def test_a_goal_ends_when_the_state_is_lost(rig):
    node = rig.add(Waypoints, state_timeout=0.3)
    ant = Robot(rig)
    before = ant.result(ant.goal([(5, 1)]))[1]
    assert (before.error_code, "bridge" in before.error_message) == (Result.STATE_LOST, True)
    ant.at(node, 1, 1)
    assert node._condition()[0] == OK
    started = time.monotonic()
    handle = ant.driving(node, [(5, 1)])
    assert ant.result(handle)[1].error_code == Result.STATE_LOST
    assert time.monotonic() - started > 0.15
    assert node._condition()[0] == WARN
