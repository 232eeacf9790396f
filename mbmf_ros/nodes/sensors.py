"""A simulated robot's standard sensor topics, for RViz, rqt and other people's nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Imu, JointState

from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles
from mbmf_ros.robots import RobotSpec


class SimulatedSensors:
    """Publishes ``joint_states``, ``imu/data``, ``odom`` and ``tf`` from the robot's state, each only when heard.

    There is no ``robot_description``: the robots are MuJoCo models without a URDF. The display node draws them.

    Args:
        node: publishes.
        spec: the robot.
        base_frame: frame of ``base_link``.
    """

    def __init__(self, node: Node, spec: RobotSpec, base_frame: str):
        self._spec, self._base_frame = spec, base_frame
        self._joint_states = node.create_publisher(JointState, "joint_states", qos.SENSOR_PUB)
        self._imu = node.create_publisher(Imu, "imu/data", qos.SENSOR_PUB)
        self._odom = node.create_publisher(Odometry, "odom", qos.SENSOR_PUB)
        self._tf, self._tf_type = _tf_publisher(node)

    def publish(self, state: RobotState, torque: np.ndarray) -> None:
        """Publish what ``state`` says, and the ``torque`` [N m] on each joint (joints,)."""
        stamp = state.header.stamp
        if _heard(self._joint_states):
            self._joint_states.publish(self._joints(state, torque))
        if _heard(self._imu):
            self._imu.publish(self._inertial(state))
        if _heard(self._odom):
            odom = Odometry(header=state.header, child_frame_id=self._base_frame)
            odom.pose.pose, odom.twist.twist = state.pose, state.twist
            self._odom.publish(odom)
        if self._tf is not None and _heard(self._tf):
            self._tf.publish(self._tf_type(transforms=[self._transform(state, stamp)]))

    def _joints(self, state: RobotState, torque: np.ndarray) -> JointState:
        message = JointState(name=list(self._spec.joints))
        message.header.stamp = state.header.stamp
        message.position, message.velocity = state.joint_position, state.joint_velocity
        message.effort = doubles(torque)
        return message

    def _inertial(self, state: RobotState) -> Imu:
        message = Imu(orientation=state.pose.orientation, angular_velocity=state.twist.angular)
        message.header.stamp, message.header.frame_id = state.header.stamp, self._base_frame
        message.linear_acceleration_covariance[0] = -1.0  # REP 145: this one is not measured
        return message

    def _transform(self, state: RobotState, stamp: Time) -> TransformStamped:
        message = TransformStamped(child_frame_id=self._base_frame)
        message.header.stamp, message.header.frame_id = stamp, state.header.frame_id
        position = state.pose.position
        translation = message.transform.translation
        translation.x, translation.y, translation.z = position.x, position.y, position.z
        message.transform.rotation = state.pose.orientation
        return message


def _tf_publisher(node: Node) -> tuple[Publisher | None, Any]:
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        node.get_logger().info("tf2_msgs is not installed: no tf; paths and markers are drawn in the odometry frame")
        return None, None
    return node.create_publisher(TFMessage, "tf", 100), TFMessage


def _heard(publisher: Publisher) -> bool:
    return publisher.get_subscription_count() > 0
