"""A real robot's topics: what they say goes to an estimator, what is malformed is counted and told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, Quaternion
from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import Imu, JointState, Temperature
from std_msgs.msg import Header

from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.estimator import Estimator
from mbmf_ros.hardware.temperatures import Temperatures
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import time_seconds
from mbmf_ros.nodes.rejects import Rejects

NOT_MEASURED = -1.0  # REP 145: the first covariance of what an IMU does not give


class HardwareInputs:
    """Listens to a robot.

    Args:
        node: the bridge.
        estimator: takes the samples.
        rejects: counts what is refused.
        on_joints: called after every usable joint message.

    Attributes:
        temperatures: of the robot.
    """

    def __init__(self, node: Node, estimator: Estimator, rejects: Rejects, on_joints: Callable[[], None]):
        self._node, self._estimator, self._rejects, self._on_joints_taken = node, estimator, rejects, on_joints
        config = estimator.config
        self.temperatures = Temperatures(config.temperature)
        self._by_arrival = config.sync.stamps == "arrival"
        pose_kind, on_pose = (
            (Odometry, self._on_odom) if config.pose.source == "odometry" else (PoseStamped, self._on_pose)
        )
        self._listen(JointState, "joint_states", config.joint_states.topic, self._on_joints)
        self._listen(Imu, "imu", config.imu.topic, self._on_imu)
        self._listen(pose_kind, "pose", config.pose.topic, on_pose)
        if config.temperature.topic:
            self._listen(Temperature, "temperature", config.temperature.topic, self._on_temperature)

    def _listen(self, kind: type, name: str, topic: str, take: Callable[[Any, float], None]) -> None:
        def callback(message: Any) -> None:
            try:
                take(message, time.monotonic())
            except MbmfError as error:
                self._rejects.add(name, error)
                self._node.get_logger().warning(f"ignored a message on {topic}: {error}", throttle_duration_sec=5.0)

        self._node.create_subscription(kind, topic, callback, qos.SENSOR)

    def _stamp(self, header: Header, arrival_s: float) -> float:
        return arrival_s if self._by_arrival else time_seconds(header.stamp)

    def _on_joints(self, message: JointState, arrival_s: float) -> None:
        stamp_s = self._stamp(message.header, arrival_s)
        self._estimator.take_joints(stamp_s, arrival_s, list(message.name), message.position, message.velocity)
        self._on_joints_taken()

    def _on_imu(self, message: Imu, arrival_s: float) -> None:
        if message.angular_velocity_covariance[0] == NOT_MEASURED:
            raise MbmfError("the IMU says that it measures no angular velocity")
        orientation = None if message.orientation_covariance[0] == NOT_MEASURED else _q(message.orientation)
        given = message.linear_acceleration_covariance[0] != NOT_MEASURED
        force = _v(message.linear_acceleration) if given else None
        stamp_s = self._stamp(message.header, arrival_s)
        self._estimator.take_imu(stamp_s, arrival_s, orientation, _v(message.angular_velocity), force)

    def _on_odom(self, message: Odometry, arrival_s: float) -> None:
        pose, twist = message.pose.pose, message.twist.twist
        self._estimator.take_pose(
            self._stamp(message.header, arrival_s),
            arrival_s,
            message.header.frame_id,
            _v(pose.position),
            _q(pose.orientation),
            _v(twist.linear),
            _v(twist.angular),
        )

    def _on_pose(self, message: PoseStamped, arrival_s: float) -> None:
        position, orientation = _v(message.pose.position), _q(message.pose.orientation)
        stamp_s = self._stamp(message.header, arrival_s)
        self._estimator.take_pose(stamp_s, arrival_s, message.header.frame_id, position, orientation)

    def _on_temperature(self, message: Temperature, arrival_s: float) -> None:
        self.temperatures.take(arrival_s, message.header.frame_id, message.temperature)

    def values(self, now_s: float) -> dict[str, Any]:
        """Rates, ages and counts of all inputs, for diagnostics."""
        values: dict[str, Any] = {}
        for name, one in self._estimator.inputs.items():
            values[f"{name} [1/s]"] = one.rate(now_s, 1.0)
            values[f"{name} age [ms]"] = 1e3 * one.age_s(now_s)
            values[f"{name} late by [ms]"] = 1e3 * one.clock.late_s
            values |= {f"{name} {what}": count for what, count in sorted(one.counts.items())}
        if self.temperatures.hottest is not None:
            values["temperature [C]"] = self.temperatures.hottest
        return values


def _v(vector: Any) -> np.ndarray:
    return np.array([vector.x, vector.y, vector.z])


def _q(q: Quaternion) -> np.ndarray:
    return np.array([q.w, q.x, q.y, q.z])
