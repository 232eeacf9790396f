"""Frames that waypoints and start poses may come in. No ROS in here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbmf_ros.control.follow import to_odom
from mbmf_ros.errors import MbmfError

FARTHEST_M = 10_000.0  # a start pose farther away is a mistake, and physics loses its precision there


class UnknownFrameError(MbmfError):
    """A frame that has no known relation to the odometry frame."""


def in_odometry(points: np.ndarray, frame: str, odom_frame: str, base_frame: str, pose: Sequence[float]) -> np.ndarray:
    """Points (W, 2) [m] of ``frame`` in the odometry frame, with the robot at planar ``pose`` (x, y, yaw).

    A frame without a name is the odometry frame.

    Raises:
        UnknownFrameError: ``frame`` is neither the odometry frame nor the base's.
    """
    frame = frame.lstrip("/")
    if frame == base_frame:
        return to_odom(points, pose)
    if frame not in ("", odom_frame):
        raise UnknownFrameError(
            f"unknown frame {frame!r}; give waypoints in {odom_frame!r} (odometry) or {base_frame!r} (the robot now)"
        )
    return points


def check_start(pose: Sequence[float], frame: str, odom_frame: str) -> None:
    """Refuse a planar start pose (x [m], y [m], yaw [rad]) that is unusable.

    Raises:
        MbmfError: it is not in the odometry frame, not finite, or farther than ``FARTHEST_M`` from its origin.
    """
    if frame.lstrip("/") not in ("", odom_frame):
        raise MbmfError(f"expected it in frame {odom_frame!r}, got {frame!r}")
    if not (np.isfinite(pose).all() and max(map(abs, pose)) <= FARTHEST_M):
        raise MbmfError(f"expected a pose within {FARTHEST_M:g} m of the origin, got {tuple(pose[:2])}")
