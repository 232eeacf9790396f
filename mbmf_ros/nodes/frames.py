"""Frames that waypoints may come in. No ROS in here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbmf_ros.control.follow import to_odom
from mbmf_ros.errors import MbmfError


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
