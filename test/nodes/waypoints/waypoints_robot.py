"""A robot for the waypoints node, and messages with waypoints."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PointStamped, PoseStamped
from nav_msgs.msg import Path as PathMessage
from rclpy.action.client import ActionClient

from mbmf_ros.action import FollowWaypoints
from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import fill_state, points_from, pose_message, time_message
from mbmf_ros.nodes.waypoints import Waypoints
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

SPEC = robot("ant")


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
