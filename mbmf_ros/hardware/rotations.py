"""Unit quaternions, w first, as sensors need them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbmf_ros.robots.measurement import quaternion_of_yaw, rotation_matrix, yaw_of


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation (4,) that turns by ``b``, then by ``a`` (4,), both in the fixed frame."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return np.array(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ]
    )


def inverse(q: np.ndarray) -> np.ndarray:
    """The rotation (4,) back."""
    return q * (1, -1, -1, -1)


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The vector ``v`` (3,) turned by ``q`` (4,)."""
    return rotation_matrix(q) @ v


def from_rpy(rpy: Sequence[float]) -> np.ndarray:
    """The rotation (4,) of a URDF's roll, pitch, yaw [rad]: about the fixed x, then y, then z axis."""
    roll, pitch, yaw = np.asarray(rpy) / 2
    about_x = np.array([np.cos(roll), np.sin(roll), 0.0, 0.0])
    about_y = np.array([np.cos(pitch), 0.0, np.sin(pitch), 0.0])
    about_z = np.array([np.cos(yaw), 0.0, 0.0, np.sin(yaw)])
    return product(about_z, product(about_y, about_x))


def from_vector(turn: np.ndarray) -> np.ndarray:
    """The rotation (4,) by ``|turn|`` [rad] about ``turn`` (3,)."""
    angle = float(np.linalg.norm(turn))
    if angle < 1e-12:
        return np.array([1.0, 0.0, 0.0, 0.0])
    return np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) / angle * turn])


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    """Angle [rad], 0 to pi, of the rotation from ``a`` (4,) to ``b`` (4,)."""
    w, *xyz = product(inverse(a), b)
    return float(2 * np.arctan2(np.linalg.norm(xyz), abs(w)))


def with_heading_of(tilt: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """The orientation (4,) that is tilted like ``tilt`` (4,) and heads like ``heading`` (4,); see ``yaw_of``."""
    turn = yaw_of(heading) - yaw_of(tilt)
    return product(quaternion_of_yaw(turn), tilt)
