"""How a run went by where the robot really was, while it followed its path by its own odometry."""

from __future__ import annotations

from typing import Any

import numpy as np

from mbmf_ros.control.follow import PathRun, planar_pose, to_odom
from mbmf_ros.control.path import Path
from mbmf_ros.robots import RobotSpec

_KEYS = ("reached", "cross_track_mean_m", "fell")


def laid(waypoints: np.ndarray, m: np.ndarray) -> Path:
    """The path (W, 2) [m] of a robot's start frame for one that starts at the measurement ``m`` (nm,)."""
    pose = planar_pose(m)
    return Path.from_waypoints(np.array(pose[:2]), to_odom(waypoints, pose))


def truly(
    spec: RobotSpec, name: str, seed: int, waypoints: np.ndarray, measured: np.ndarray, truth: np.ndarray
) -> dict[str, Any]:
    """What a run's row says by the truth.

    Args:
        spec: the robot.
        name: of the path.
        seed: of the run.
        waypoints: (W, 2) [m], robot's start frame.
        measured: by the robot's own odometry, (T + 1, nm), or of each measurement the first 7 numbers, position [m] and
            orientation: at the start, where the path is laid, and at the end of each of T control steps.
        truth: the same where it really was.

    Returns:
        ``true_reached``, ``true_cross_track_mean_m``, ``true_fell``: as in
        :meth:`mbmf_ros.control.follow.PathRun.result`; ``true_success``: every waypoint was passed within the robot's
        ``paths.reach_m`` and without a fall; ``drift_m``: how far the odometry is off at the end [m].
    """
    run = PathRun(spec, name, seed, laid(waypoints, truth[0]))
    for m in truth[1:]:
        if run.finished:
            break
        run.tick(m, None, missed=False)
    there = run.result(0.0, 0.0)
    # The run ends when the odometry is at the goal: the truth need only be near enough to have passed it then.
    success = there["reached"] == there["waypoints"] and not there["fell"]
    drift_m = np.linalg.norm(_displacement(measured) - _displacement(truth))
    told = {f"true_{key}": there[key] for key in _KEYS}
    return {"true_success": success, **told, "drift_m": round(float(drift_m), 5)}


def _displacement(poses: np.ndarray) -> np.ndarray:
    """From the first to the last of the poses (T + 1, 7 or more), start frame, (2,) [m]."""
    yaw = planar_pose(poses[0])[2]
    away = poses[-1, :2] - poses[0, :2]
    return np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]]) @ away
