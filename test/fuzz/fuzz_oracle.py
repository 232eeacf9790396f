"""What must be refused, by the interface's documents and not by the nodes' code."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped, PoseStamped, PoseWithCovarianceStamped, Twist, TwistStamped
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from sensor_msgs.msg import Imu, JointState, Temperature
from std_msgs.msg import Float64MultiArray

from mbmf_ros.msg import Model, RobotAction, RobotState
from mbmf_ros.robots import RobotSpec

ODOM, BASE = "odom", "base_link"


def _finite(values: Iterable[float]) -> bool:
    return all(map(math.isfinite, values))


def _xyz(vector: Any) -> tuple[float, ...]:
    return vector.x, vector.y, vector.z


def _q(orientation: Any) -> tuple[float, ...]:
    return (*_xyz(orientation), orientation.w)


def _frame(header: Any, *known: str) -> bool:
    return header.frame_id.lstrip("/") in ("", *known)


def malformed(message: Any, topic: str, node: str, spec: RobotSpec) -> bool:
    """Whether ``message`` cannot be used by anybody; what is not plain counts as usable."""
    if isinstance(message, RobotState):
        pose, twist = message.pose, message.twist
        numbers = (*_xyz(pose.position), *_q(pose.orientation), *_xyz(twist.linear), *_xyz(twist.angular))
        joints = (message.joint_position, message.joint_velocity)
        fits = message.robot == spec.name and all(len(values) == len(spec.joints) for values in joints)
        velocities = (*_xyz(twist.linear), *_xyz(twist.angular), *message.joint_velocity)
        fast = any(abs(value) > 1e3 for value in velocities)
        far = any(abs(value) >= 1e6 for value in (*numbers, *message.joint_position))
        return not (fits and _finite(numbers) and all(map(_finite, joints))) or fast or far
    if isinstance(message, RobotAction):
        fits = len(message.action) == spec.nu and len(message.plan) % spec.nu == 0
        return not (fits and _finite(message.action) and _finite(message.plan))
    if isinstance(message, Model):
        return _bad_model(message, spec)
    if isinstance(message, (Twist, TwistStamped)) and node == "mpc_controller":
        twist = message.twist if isinstance(message, TwistStamped) else message
        return not _finite((twist.linear.x, twist.linear.y, twist.angular.z))
    if isinstance(message, PoseStamped) and topic.endswith("goal_pose"):
        at = message.pose.position
        return not (_finite((at.x, at.y)) and _frame(message.header, ODOM, BASE))
    if isinstance(message, PointStamped):
        return not (_finite((message.point.x, message.point.y)) and _frame(message.header, ODOM, BASE))
    if isinstance(message, PathMessage) and node in ("waypoints", "mpc_controller"):
        at = [p.pose.position for p in message.poses]
        known = (ODOM, BASE) if node == "waypoints" else (ODOM,)
        return not (all(_finite((p.x, p.y)) for p in at) and _frame(message.header, *known))
    if isinstance(message, PoseWithCovarianceStamped):
        pose = message.pose.pose
        return not (_finite((pose.position.x, pose.position.y)) and _frame(message.header, ODOM))
    if isinstance(message, Float64MultiArray):
        return not (len(message.data) == spec.nu and _finite(message.data))
    if node == "hardware_bridge":
        return _bad_sensor(message, spec)
    return False


def _bad_sensor(message: Any, spec: RobotSpec) -> bool:
    if isinstance(message, JointState):
        return len(set(message.name)) < len(spec.joints) or len(message.position) != len(message.name)
    if isinstance(message, Imu):
        return not _finite(_xyz(message.angular_velocity))
    if isinstance(message, Odometry):
        pose = message.pose.pose
        return not _finite((*_xyz(pose.position), *_q(pose.orientation)))
    if isinstance(message, PoseStamped):
        return not _finite((*_xyz(message.pose.position), *_q(message.pose.orientation)))
    if isinstance(message, Temperature):
        return not math.isfinite(message.temperature)
    return False


def _bad_model(message: Model, spec: RobotSpec) -> bool:
    """Not a whole file of finite weights, of another robot, or not what the message says that it is.

    The file is safetensors': the length of a JSON header (8 bytes, little endian), the header, and the tensors.
    """
    data = bytes(message.weights)
    begin = 8 + int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8:begin])
        says = json.loads(header.pop("__metadata__")["info"])
        tensors = {name: data[begin:][slice(*entry["data_offsets"])] for name, entry in header.items()}
        ends = [entry["data_offsets"][1] for entry in header.values()]
        numbers = {name: np.frombuffer(part, dtype="<f4") for name, part in tensors.items()}
        told = tuple(says[name] for name in ("robot", "profile", "layout_hash"))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return True
    whole = begin + max(ends, default=0) == len(data)
    limits = ("output_low", "output_high")  # which may be infinite
    finite = all((np.isfinite(part) | (name in limits) & ~np.isnan(part)).all() for name, part in numbers.items())
    return not (
        whole and finite and told == (spec.name, message.profile, message.layout_hash) and message.robot == told[0]
    )
