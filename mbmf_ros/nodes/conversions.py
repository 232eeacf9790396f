"""Between messages and arrays. ROS quaternions are (x, y, z, w); ours are w first."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Twist, Vector3
from nav_msgs.msg import Path as PathMessage

from mbmf_ros.data.episodes import measurement_from as measurement_from  # it serves logs without ROS as well
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import RobotAction, RobotState
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.measurement import quaternion_of_yaw, yaw_of

MOST_PENDING = 10  # nobody can plan ahead farther than that


def doubles(values: Iterable[float] | np.ndarray) -> array:
    """``values``, flattened row-major, as a message's ``float64[]`` takes them without looking at each one."""
    return array("d", np.asarray(values, dtype=np.float64).ravel().tobytes())


def time_seconds(stamp: Time) -> float:
    """A stamp (or a Duration message) in seconds."""
    return stamp.sec + 1e-9 * stamp.nanosec


def time_message(nanoseconds: int) -> Time:
    """The stamp ``nanoseconds`` after the epoch."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return Time(sec=seconds, nanosec=rest)


def set_vector(message: Point | Vector3, values: np.ndarray) -> None:
    """Write x, y and z (3,) into a message."""
    message.x, message.y, message.z = values.tolist()


def set_quaternion(message: Quaternion, q: np.ndarray) -> None:
    """Write a quaternion (4,), w first, into a message."""
    message.w, message.x, message.y, message.z = q.tolist()


# Robot state and action -----------------------------------------------------------------------------------------------


def fill_state(message: RobotState, m: np.ndarray, spec: RobotSpec) -> RobotState:
    """Write measurement ``m`` (nm,) and the robot's name into ``message``; returns it."""
    layout = spec.measurement
    message.robot = spec.name
    position, q = m[layout.position].tolist(), m[layout.orientation].tolist()
    message.pose.position = Point(x=position[0], y=position[1], z=position[2])
    message.pose.orientation = Quaternion(w=q[0], x=q[1], y=q[2], z=q[3])
    v, w = message.twist.linear, message.twist.angular
    v.x, v.y, v.z = m[layout.linear_velocity].tolist()
    w.x, w.y, w.z = m[layout.angular_velocity].tolist()
    message.joint_position = doubles(m[layout.joint_position])
    message.joint_velocity = doubles(m[layout.joint_velocity])
    return message


def command_from(message: Twist) -> np.ndarray:
    """A velocity command (3,): forward and left [m/s], counter-clockwise [rad/s]; the other three numbers are ignored.

    Raises:
        MbmfError: not finite.
    """
    command = np.array([message.linear.x, message.linear.y, message.angular.z])
    if not np.isfinite(command).all():
        raise MbmfError(f"expected finite velocities in m/s and rad/s, got {command.tolist()}")
    return command


def action_from(message: RobotAction, spec: RobotSpec) -> tuple[np.ndarray, np.ndarray]:
    """The action (nu,) and the following rows of the plan (rows, nu), both clipped to [-1, 1].

    Raises:
        MbmfError: wrong size or not finite.
    """
    action = _rows(message.action, spec, "action", rows=1)[0]
    return np.clip(action, -1, 1), np.clip(_rows(message.plan, spec, "plan"), -1, 1)


def pending_from(message: RobotState, spec: RobotSpec) -> np.ndarray:
    """The actions (rows, nu) that are decided already when a state is told, clipped to [-1, 1].

    Raises:
        MbmfError: wrong size, not finite, or more than MOST_PENDING of them.
    """
    rows = _rows(message.pending_action, spec, "pending_action")
    if len(rows) > MOST_PENDING:
        raise MbmfError(f"pending_action: expected at most {MOST_PENDING} actions, got {len(rows)}")
    return np.clip(rows, -1, 1)


def _rows(values: Iterable[float], spec: RobotSpec, what: str, rows: int | None = None) -> np.ndarray:
    flat = np.asarray(values, dtype=np.float64)
    if len(flat) % spec.nu or (rows is not None and len(flat) != rows * spec.nu):
        expected = f"{rows * spec.nu} numbers" if rows else f"rows of {spec.nu} numbers"
        raise MbmfError(f"{what}: expected {expected} for robot {spec.name!r}, got {len(flat)}")
    if not np.isfinite(flat).all():
        raise MbmfError(f"{what}: not all numbers are finite")
    return flat.reshape(-1, spec.nu)


# Planar geometry ------------------------------------------------------------------------------------------------------


def yaw_from(orientation: Quaternion) -> float:
    """Heading [rad] of an orientation."""
    return float(yaw_of(np.array([orientation.w, orientation.x, orientation.y, orientation.z])))


def planar_pose_of(pose: Pose) -> tuple[float, float, float]:
    """(x [m], y [m], yaw [rad]) of a pose."""
    return pose.position.x, pose.position.y, yaw_from(pose.orientation)


def pose_message(x: float, y: float, yaw: float = 0.0, z: float = 0.0) -> Pose:
    """A pose at (x, y, z) [m], turned by ``yaw`` [rad] about the vertical."""
    qw, qx, qy, qz = quaternion_of_yaw(yaw).tolist()
    position = Point(x=float(x), y=float(y), z=float(z))
    return Pose(position=position, orientation=Quaternion(w=qw, x=qx, y=qy, z=qz))


def path_message(points: np.ndarray, frame: str, stamp: Time | None = None) -> PathMessage:
    """``points`` [m] (P, 2) in ``frame`` as a nav_msgs/Path; each pose faces the next point. P = 0: an empty path."""
    message = PathMessage()
    message.header.frame_id = frame
    if stamp is not None:
        message.header.stamp = stamp
    yaw, poses = 0.0, []
    for index, (x, y) in enumerate(points):
        if index + 1 < len(points):
            dx, dy = points[index + 1] - points[index]
            yaw = float(np.arctan2(dy, dx))
        pose = PoseStamped(pose=pose_message(x, y, yaw))
        pose.header = message.header
        poses.append(pose)
    message.poses = poses
    return message


def points_from(path: PathMessage) -> np.ndarray:
    """The planar points [m] (P, 2) of a nav_msgs/Path, in its frame; not checked."""
    return np.array([(p.pose.position.x, p.pose.position.y) for p in path.poses], dtype=np.float64).reshape(-1, 2)
