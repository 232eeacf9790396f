"""Bridge, controller and waypoints together, in lock-step, with the shipped model."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from action_msgs.msg import GoalStatus
from geometry_msgs.msg import PointStamped, PoseStamped
from rclpy.action.client import ActionClient
from std_srvs.srv import Trigger

from mbmf_ros.action import FollowWaypoints
from mbmf_ros.dynamics.io import default_model_path
from mbmf_ros.msg import RobotAction, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import pose_message
from mbmf_ros.nodes.mpc_controller import MpcControllerNode
from mbmf_ros.nodes.sim_bridge import SimBridge
from mbmf_ros.nodes.waypoints import Waypoints
from mbmf_ros.robots import robot

SPEC = robot("ant")
pytestmark = pytest.mark.ros


class Graph:
    """The three nodes, and what they tell each other."""

    def __init__(self, rig):
        self.rig = rig
        self.bridge = rig.add(SimBridge, sync_mode=True, real_time_factor=0.0)
        self.states = rig.hear(RobotState, "state", qos.STATE_ALL)
        self.controller = rig.add(
            MpcControllerNode, follow_path__speed_cap_mps=0.5
        )  # at 1 m/s the ant falls now and then
        self.waypoints = rig.add(Waypoints)
        self.actions = rig.hear(RobotAction, "action", qos.STATE_ALL)
        self.client = ActionClient(rig.probe, FollowWaypoints, "follow_waypoints")
        rig.until(self.client.server_is_ready, "the action server")
        rig.until(lambda: self.waypoints.seen and self.actions, "the first step")

    def goal(self, *points: tuple[float, float]):
        """The future result of an accepted goal, points in the robot's frame."""
        poses = [PoseStamped(pose=pose_message(x, y)) for x, y in points]
        for pose in poses:
            pose.header.frame_id = "base_link"
        sent = self.client.send_goal_async(FollowWaypoints.Goal(poses=poses))
        self.rig.until(sent.done, "acceptance")
        handle = sent.result()
        assert handle is not None
        return handle.get_result_async()

    def xy(self) -> np.ndarray:
        return self.bridge.simulation.measure()[:2]


@pytest.fixture
def graph(rig):
    assert default_model_path(SPEC).is_file()
    return Graph(rig)


def test_the_ant_walks_to_two_waypoints(rig, graph):
    future = graph.goal((1.5, 0.0), (2.5, 1.0))
    rig.until(future.done, "arrival", timeout_s=60)
    assert future.result().status == GoalStatus.STATUS_SUCCEEDED
    assert np.linalg.norm(graph.xy() - (2.5, 1.0)) < 0.5
    # Every transition is paired with the answer to the state that it starts from.
    answers = {(a.episode, a.tick): a for a in graph.actions}
    walked = [s for s in graph.states if s.tick > 0 and (s.episode, s.tick - 1) in answers]
    assert len(walked) > 30
    for state in walked:
        assert state.action_source == RobotState.SOURCE_CONTROLLER
        np.testing.assert_array_equal(state.applied_action, answers[state.episode, state.tick - 1].action)
    assert graph.bridge.missed == graph.controller.pilot.planning_errors == 0
    assert sorted({s.tick for s in graph.states}) == list(range(graph.states[-1].tick + 1))


def test_a_waypoint_while_walking_counts_from_the_next_control_step_on(rig, graph):
    future = graph.goal((3.0, 0.0))
    rig.until(lambda: not graph.actions[-1].idle and graph.xy()[0] > 0.3, "walking", timeout_s=60)
    message = PointStamped()
    message.header.frame_id = "odom"
    message.point.x, message.point.y = 1.0, 1.0
    publisher = rig.speak(PointStamped, "clicked_point", qos.CLICK)
    planned_before = graph.controller.mpc.tracker.path
    publisher.publish(message)
    rig.until(lambda: len(graph.waypoints.route.waypoints) == 2, "the waypoint")
    at = graph.waypoints.seen.tick
    rig.until(lambda: graph.controller.mpc.tracker.path is not planned_before, "the path at the controller")
    assert graph.waypoints.seen.tick <= at + 2
    np.testing.assert_allclose(graph.controller.mpc.tracker.path.waypoints[-1], (1.0, 1.0))
    assert not future.done()


def test_a_reset_while_walking_ends_the_task_and_the_next_one_is_taken(rig, graph):
    future = graph.goal((3.0, 0.0))
    rig.until(lambda: not graph.actions[-1].idle, "walking", timeout_s=60)
    rig.call(Trigger, "sim_bridge/reset")
    rig.until(future.done, "the end of the goal")
    assert future.result().result.error_code == FollowWaypoints.Result.FALLEN
    rig.until(lambda: graph.actions[-1].episode == 2 and graph.actions[-1].idle, "standing still")
    future = graph.goal((1.0, 0.0))
    rig.until(future.done, "arrival", timeout_s=60)
    assert future.result().status == GoalStatus.STATUS_SUCCEEDED
