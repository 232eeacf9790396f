"""The waypoints node, with a probe for the robot."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from action_msgs.msg import GoalStatus
from geometry_msgs.msg import PointStamped, PoseStamped
from nav_msgs.msg import Path as PathMessage
from rclpy.action.client import ActionClient
from std_srvs.srv import Trigger

from mbmf_ros.action import FollowWaypoints
from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import fill_state, path_message, points_from, pose_message, time_message
from mbmf_ros.nodes.route import DEMONSTRATION
from mbmf_ros.nodes.runtime import OK, WARN
from mbmf_ros.nodes.waypoints import DEMO_START_S, Waypoints
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

pytestmark = pytest.mark.ros
SPEC = robot("ant")
Result = FollowWaypoints.Result


class Robot:
    """A robot that is where the test says, and hears `path`."""

    def __init__(self, rig):
        self.rig = rig
        self.tick, self.episode = 0, 1
        self.publisher = rig.speak(RobotState, "state", qos.STATE_PUB)
        self.paths = rig.hear(PathMessage, "path", qos.LATCHED)
        self.client = ActionClient(rig.probe, FollowWaypoints, "follow_waypoints")
        self.feedback: list[FollowWaypoints.Feedback] = []

    @property
    def path(self) -> np.ndarray:
        return points_from(self.paths[-1])

    def at(self, node: Waypoints, x: float, y: float, yaw: float = 0.0, **changes) -> None:
        """Be there at the next tick, and wait until the node knows."""
        message = fill_state(RobotState(), start_measurement(SPEC, pose=(x, y, yaw)), SPEC)
        self.tick += 1
        message.episode, message.tick = self.episode, self.tick
        message.header.stamp = time_message((self.episode * 1000 + self.tick) * 50_000_000)
        for name, value in changes.items():
            setattr(message, name, value)
        self.publisher.publish(message)
        key = (message.episode, message.tick)
        self.rig.until(lambda: node.seen and (node.seen.episode, node.seen.tick) == key, "the state")

    def send(self, kind, topic: str, message, changes: int = 1) -> None:
        """Publish, and wait for ``changes`` new paths."""
        heard = len(self.paths)
        self.rig.speak(kind, topic, qos.CLICK).publish(message)
        self.rig.until(lambda: len(self.paths) >= heard + changes, f"a path after {topic}")

    def goal(self, points, frame: str = "odom", **fields):
        """Send an action goal; returns its handle."""
        self.rig.until(self.client.server_is_ready, "the action server")
        poses = []
        for x, y in points:
            pose = PoseStamped(pose=pose_message(x, y))
            pose.header.frame_id = frame
            poses.append(pose)
        sent = self.client.send_goal_async(
            FollowWaypoints.Goal(poses=poses, **fields), lambda message: self.feedback.append(message.feedback)
        )
        self.rig.until(sent.done, "acceptance")
        handle = sent.result()
        assert handle is not None
        assert handle.accepted
        return handle

    def result(self, handle):
        """Status and result of a goal."""
        future = handle.get_result_async()
        self.rig.until(future.done, "the result")
        return future.result().status, future.result().result

    def driving(self, node: Waypoints, points, **fields):
        """A goal that is being driven."""
        before = node.goal
        handle = self.goal(points, **fields)
        self.rig.until(lambda: node.goal is not None and node.goal is not before, "the goal to be driven")
        return handle


def point(x: float, y: float, frame: str = "odom") -> PointStamped:
    message = PointStamped()
    message.header.frame_id = frame
    message.point.x, message.point.y = float(x), float(y)
    return message


def pose(x: float, y: float, frame: str = "odom") -> PoseStamped:
    message = PoseStamped(pose=pose_message(x, y))
    message.header.frame_id = frame
    return message


@pytest.fixture
def node(rig, tmp_path):
    return rig.add(Waypoints, waypoints_file=str(tmp_path / "waypoints.yaml"), state_timeout=0.0)


@pytest.fixture
def ant(rig, node):
    ant = Robot(rig)
    ant.at(node, 1.0, 1.0, np.pi / 2)
    rig.until(lambda: ant.paths, "the first, empty path")
    return ant


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


# Action ---------------------------------------------------------------------------------------------------------------


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


def test_malformed_states_are_counted(rig, node, ant):
    ant.publisher.publish(RobotState(robot="swimmer"))
    rig.until(lambda: node.rejects["state"] == 1, "the count")
