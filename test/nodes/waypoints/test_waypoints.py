"""The waypoints node, with a probe for the robot."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from geometry_msgs.msg import PointStamped, PoseStamped
from nav_msgs.msg import Path as PathMessage
from std_srvs.srv import Trigger
from waypoints_robot import SPEC, Robot, point, pose

from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import path_message
from mbmf_ros.nodes.route import DEMONSTRATION
from mbmf_ros.nodes.waypoints import DEMO_START_S, Waypoints

pytestmark = pytest.mark.ros


def test_a_goal_replaces_and_clicks_append(ant):
    assert len(ant.path) == 0
    ant.send(PoseStamped, "goal_pose", pose(4, 1))
    np.testing.assert_allclose(ant.path, [[1, 1], [4, 1]])
    ant.send(PointStamped, "clicked_point", point(4, 3))
    np.testing.assert_allclose(ant.path, [[1, 1], [4, 1], [4, 3]])
    ant.send(PoseStamped, "goal_pose", pose(0, 0))
    np.testing.assert_allclose(ant.path, [[1, 1], [0, 0]])
    assert ant.paths[-1].header.frame_id == "odom"


def test_a_path_replaces(ant):
    ant.send(PathMessage, "follow_path", path_message(np.array([[2.0, 1.0], [3.0, 2.0]]), "odom"))
    np.testing.assert_allclose(ant.path, [[1, 1], [2, 1], [3, 2]])


def test_waypoints_in_the_robots_frame_are_taken_as_it_stands_now(ant):
    ant.send(PoseStamped, "goal_pose", pose(2, 1, "/base_link"))
    np.testing.assert_allclose(ant.path, [[1, 1], [0, 3]], atol=1e-9)


def test_waypoints_without_a_frame_are_in_the_odometry_frame(ant):
    ant.send(PoseStamped, "goal_pose", pose(2, 1, ""))
    np.testing.assert_allclose(ant.path, [[1, 1], [2, 1]])


@pytest.mark.parametrize(
    "wrong",
    [pose(2, 1, "map"), pose(float("nan"), 0), pose(0, float("inf")), pose(1001, 1), pose(1, 1)],
    ids=["frame", "nan", "inf", "1 km", "here"],
)
def test_unusable_waypoints_are_refused_and_the_task_stays(rig, node, ant, wrong):
    ant.send(PoseStamped, "goal_pose", pose(4, 1))
    task = node.route.tracker
    rig.speak(PoseStamped, "goal_pose", qos.CLICK).publish(wrong)
    rig.until(lambda: node.rejects["goal_pose"] == 1, "the refusal")
    assert node.route.tracker is task
    empty = PathMessage()
    rig.speak(PathMessage, "follow_path", qos.CLICK).publish(empty)
    rig.until(lambda: node.rejects["follow_path"] == 1, "the refusal of an empty path")
    assert node.route.tracker is task


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (RobotState.STATUS_ESTOP, "clear_estop"),
        (RobotState.STATUS_TRIPPED, "clear_estop"),
        (RobotState.STATUS_DISABLED, "enable"),
    ],
)
def test_a_stopped_robot_takes_no_waypoints_and_keeps_those_it_had(rig, node, ant, status, word):
    ant.send(PoseStamped, "goal_pose", pose(4, 1))
    ant.at(node, 1, 1, status=status)
    for kind, topic, message in (
        (PoseStamped, "goal_pose", pose(2, 1)),
        (PointStamped, "clicked_point", point(4, 3)),
        (PathMessage, "follow_path", path_message(np.array([[2.0, 1.0]]), "odom")),
    ):
        rig.speak(kind, topic, qos.CLICK).publish(message)
        rig.until(lambda topic=topic: node.rejects[topic] == 1, f"the refusal of {topic}")
        assert word in node.rejects.last
    assert not rig.call(Trigger, "waypoints/load").success
    np.testing.assert_allclose(node.route.path.points, [[1, 1], [4, 1]])
    assert rig.call(Trigger, "waypoints/clear").success  # what a stopped robot may always be told
    ant.at(node, 1, 1)
    ant.send(PoseStamped, "goal_pose", pose(2, 1))
    np.testing.assert_allclose(ant.path, [[1, 1], [2, 1]])


def test_while_control_is_lost_and_while_time_stands_still_waypoints_are_taken(node, ant):
    for tick, status in enumerate((RobotState.STATUS_HOLDING, RobotState.STATUS_PAUSED)):
        ant.at(node, 1, 1, status=status)
        ant.send(PoseStamped, "goal_pose", pose(4, 2 + tick))
        np.testing.assert_allclose(ant.path, [[1, 1], [4, 2 + tick]])


def test_the_demonstration_waits_until_the_robot_may_move(rig):
    node = rig.add(Waypoints, demo=True)
    ant = Robot(rig)
    ant.at(node, 1.0, 1.0, status=RobotState.STATUS_DISABLED)
    assert node.route.tracker is None
    ant.at(node, 1.0, 1.0)
    assert node.route.tracker is not None


def test_what_is_passed_leaves_the_path_and_at_the_end_it_is_empty(node, ant):
    ant.send(PathMessage, "follow_path", path_message(np.array([[3.0, 1.0], [5.0, 1.0]]), "odom"))
    for x in np.arange(1.0, 3.6, 0.1):
        ant.at(node, x, 1.0)
    ant.rig.until(lambda: len(ant.path) == 2, "the shorter path")
    np.testing.assert_allclose(ant.path, [[3, 1], [5, 1]])
    for x in np.arange(3.6, 5.0, 0.1):
        ant.at(node, x, 1.0)
    ant.rig.until(lambda: len(ant.path) == 0, "the empty path")


def test_a_reset_and_a_fall_clear_the_path(node, ant):
    ant.send(PoseStamped, "goal_pose", pose(4, 1))
    ant.episode, ant.tick = 2, -1
    ant.at(node, 0, 0)
    ant.rig.until(lambda: len(ant.path) == 0, "the empty path after a reset")
    ant.send(PoseStamped, "goal_pose", pose(4, 1))
    ant.at(node, 0, 0, status=RobotState.STATUS_FALLEN)
    ant.rig.until(lambda: len(ant.path) == 0, "the empty path after a fall")


def test_a_bridge_that_was_restarted_clears_the_path_though_it_counts_episodes_alike(node, ant):
    ant.at(node, 0, 0)
    ant.send(PoseStamped, "goal_pose", pose(4, 1))
    ant.at(node, 0, 0, tick=0)  # of the same episode, and stamped later
    ant.rig.until(lambda: len(ant.path) == 0, "the empty path")


def test_saved_waypoints_can_be_loaded(rig, node, ant):
    failure = rig.call(Trigger, "waypoints/save")
    assert (failure.success, "no waypoints" in failure.message) == (False, True)
    ant.send(PathMessage, "follow_path", path_message(np.array([[2.0, 1.0], [3.0, 2.0]]), "odom"))
    assert rig.call(Trigger, "waypoints/save").success
    assert rig.call(Trigger, "waypoints/clear").success
    rig.until(lambda: len(ant.path) == 0, "the empty path")
    assert rig.call(Trigger, "waypoints/load").success
    rig.until(lambda: len(ant.path), "the loaded path")
    np.testing.assert_allclose(ant.path, [[1, 1], [2, 1], [3, 2]])


def test_loaded_waypoints_can_be_looped(rig, tmp_path):
    (tmp_path / "w.yaml").write_text("waypoints: [[2, 0], [2, 2]]")
    node = rig.add(Waypoints, waypoints_file=str(tmp_path / "w.yaml"), loop=True)
    ant = Robot(rig)
    ant.at(node, 0, 0)
    assert rig.call(Trigger, "waypoints/load").success
    rig.until(lambda: ant.paths and len(ant.path), "the loaded path")
    np.testing.assert_allclose(ant.path, [[0, 0], [2, 0], [2, 2], [2, 0], [2, 2]])


def test_a_missing_file_is_told(rig, node, ant):
    answer = rig.call(Trigger, "waypoints/load")
    assert not answer.success
    assert "waypoints.yaml" in answer.message


def test_the_demonstration_starts_in_the_robots_frame_and_again_after_a_fall_until_a_person_clicks(rig):
    node = rig.add(Waypoints, demo=True)
    ant = Robot(rig)
    ant.at(node, 1.0, 1.0, np.pi / 2)
    rig.until(lambda: ant.paths and len(ant.path) > len(DEMONSTRATION), "the demonstration")
    np.testing.assert_allclose(ant.path[1], [1 - DEMONSTRATION[0, 1], 1 + DEMONSTRATION[0, 0]])
    ant.episode, ant.tick = 2, -1
    ant.at(node, 0.0, 0.0)
    rig.until(lambda: len(ant.path) and not ant.path[0].any(), "the demonstration again")
    ant.send(PointStamped, "clicked_point", point(3, 0))
    np.testing.assert_allclose(ant.path, [[0, 0], [3, 0]])
    ant.episode, ant.tick = 3, -1
    ant.at(node, 0.0, 0.0)
    rig.until(lambda: len(ant.path) == 0, "no demonstration")


def test_a_node_that_is_restarted_while_the_robot_is_under_way_lets_it_stand(rig):
    node = rig.add(Waypoints, demo=True)
    ant = Robot(rig)
    ant.tick = round(DEMO_START_S / SPEC.dt_s)
    ant.at(node, 1.0, 1.0)
    ant.at(node, 1.0, 1.0)
    rig.until(lambda: ant.paths, "the path")
    assert (len(ant.path), node.route.tracker) == (0, None)


def test_malformed_states_are_counted(rig, node, ant):
    ant.publisher.publish(RobotState(robot="swimmer"))
    rig.until(lambda: node.rejects["state"] == 1, "the count")
