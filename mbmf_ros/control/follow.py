"""Path-following runs: reading path files, measuring a run, and runs in closed loop without ROS."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import numpy as np

from mbmf_ros.control.path import Path, PathTracker
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.measurement import yaw_of
from mbmf_ros.robots.sim import Simulation, start_measurement

if TYPE_CHECKING:  # measuring runs needs no PyTorch
    from mbmf_ros.control.mpc import MpcController


def load_paths(file: FilePath) -> dict[str, np.ndarray]:
    """Named paths of a JSON file ``{"name": [[x, y], ...], ...}``, metres in the robot's start frame, (W, 2) each.

    Raises:
        MbmfError: the file cannot be read or a path in it is unusable.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise MbmfError(f"cannot read paths from {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise MbmfError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(content, dict) or not content:
        raise MbmfError(f'{file}: expected {{"name": [[x, y], ...], ...}} with at least one path')
    paths = {}
    for name, waypoints in content.items():
        try:
            array = np.asarray(waypoints, dtype=float)
            Path.from_waypoints(np.zeros(2), array)
        except (ValueError, TypeError, OverflowError) as error:
            raise MbmfError(f"{file}: path {name!r}: expected [[x, y], ...] in metres, got {waypoints!r}") from error
        except MbmfError as error:
            raise MbmfError(f"{file}: path {name!r}: {error}") from error
        paths[name] = array
    return paths


def to_odom(waypoints: np.ndarray, pose: Sequence[float]) -> np.ndarray:
    """Waypoints (W, 2) of a frame at planar ``pose`` (x [m], y [m], yaw [rad]) in the odometry frame."""
    x, y, yaw = pose
    rotation = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    return np.asarray(waypoints, dtype=float) @ rotation.T + (x, y)


def planar_pose(m: np.ndarray) -> tuple[float, float, float]:
    """Position [m] and heading [rad] of a measurement (nm,)."""
    return float(m[0]), float(m[1]), float(yaw_of(m[3:7]))


class PathRun:
    """Measures one run along one path, from what a robot measured at each control step.

    A run is a success when every waypoint was passed within the robot's ``paths.reach_m`` (0.5 m for the ant), in
    order, without a fall, in no more time than its ``paths.slowest_mps`` (0.3 m/s) would need. It is ``finished`` when
    the robot is at the last waypoint (within ``paths.goal_reach_m``), on a fall, when a waypoint was missed, and when
    time is up.

    Args:
        spec: the robot.
        name: of the path.
        seed: of the run.
        path: in the odometry frame.
    """

    def __init__(self, spec: RobotSpec, name: str, seed: int, path: Path):
        self.spec = spec
        self.name = name
        self.seed = seed
        self.path = path
        self.limit_steps = int(np.ceil(path.length_m / spec.paths.slowest_mps / spec.dt_s - 1e-9))
        self.fell = False
        self._tracker = PathTracker(path, spec.paths.reach_m, spec.paths.goal_reach_m)
        self.error: str | None = None  # what ended the run from outside
        self._goal_passed = False
        self._cross_track: list[float] = []
        self._plan_s: list[float] = []
        self._missed_deadlines = 0

    @property
    def steps(self) -> int:
        """Control steps so far."""
        return len(self._cross_track)

    @property
    def finished(self) -> bool:
        """Nothing that follows can change whether this run is a success."""
        ended = self._tracker.done or self.fell or bool(self._tracker.missed) or self.error is not None
        return ended or self.steps >= self.limit_steps

    @property
    def success(self) -> bool:
        """See the class; decided once the run is finished."""
        failed = self.fell or bool(self._tracker.missed) or self.error is not None
        return self.finished and self._goal_passed and not failed

    @property
    def reached(self) -> int:
        """Waypoints reached so far."""
        tracker = self._tracker
        return tracker.next_waypoint - len(tracker.missed) + (self._goal_passed and not tracker.done)

    def tick(self, m: np.ndarray, plan_time_s: float | None, missed: bool) -> None:
        """Take in the measurement (nm,) at the end of a control step.

        Args:
            m: the measurement.
            plan_time_s: of the action that was applied, where known.
            missed: that action was late.
        """
        tracker = self._tracker
        tracker.update(m[:2])
        waypoints = self.path.waypoints
        if tracker.next_waypoint >= len(waypoints) - 1:
            self._goal_passed |= bool(np.linalg.norm(waypoints[-1] - m[:2]) <= tracker.radius_m)
        self._cross_track.append(self._tracker.cross_track_m)
        self.fell = self.fell or bool(self.spec.fallen(m))
        self._missed_deadlines += missed
        if plan_time_s is not None:
            self._plan_s.append(plan_time_s)

    def result(self, sim_s: float, wall_s: float) -> dict[str, Any]:
        """The run as a JSON object; lengths in metres, times as the keys say."""
        tracker = self._tracker
        cross_track = np.array(self._cross_track or [np.nan])
        plan_ms = 1e3 * np.array(self._plan_s or [np.nan])
        return {
            "path": self.name,
            "seed": self.seed,
            "success": self.success,
            "waypoints": len(self.path.waypoints),
            "reached": self.reached,
            "cross_track_mean_m": _number(cross_track.mean()),
            "cross_track_p95_m": _number(np.percentile(cross_track, 95)),
            "speed_mean_mps": _number(tracker.progress_m / max(self.steps * self.spec.dt_s, 1e-9)),
            "fell": self.fell,
            "error": self.error,
            "sim_s": _number(sim_s),
            "wall_s": _number(wall_s),
            "plan_ms_p50": _number(np.percentile(plan_ms, 50)),
            "plan_ms_p99": _number(np.percentile(plan_ms, 99)),
            "deadlines": self.steps,
            "deadlines_missed": self._missed_deadlines,
        }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return round(float(value), 5) if np.isfinite(value) else None


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over runs: success rate, falls, cross-track error, speed, plan time, deadlines."""

    def over(key: str, reduce: Callable[[np.ndarray], float] = lambda values: float(values.mean())) -> float | None:
        values = np.array([row[key] for row in rows if row[key] is not None], dtype=float)
        return _number(reduce(values)) if len(values) else None

    return {
        "runs": len(rows),
        "success_rate": over("success"),
        "falls": sum(bool(row["fell"]) for row in rows),
        "cross_track_mean_m": over("cross_track_mean_m"),
        "cross_track_p95_m": over("cross_track_p95_m"),
        "speed_mean_mps": over("speed_mean_mps"),
        "speed_std_mps": over("speed_mean_mps", lambda values: float(values.std())),
        "plan_ms_p50": over("plan_ms_p50"),
        "plan_ms_p99": over("plan_ms_p99", lambda values: float(values.max())),
        "deadlines": sum(row["deadlines"] for row in rows),
        "deadlines_missed": sum(row["deadlines_missed"] for row in rows),
    }


def start_of(spec: RobotSpec, seed: int, noise: float = 0.01) -> np.ndarray:
    """Start state (nm,) of the run with ``seed``: any heading, and joints and velocities perturbed."""
    rng = np.random.default_rng(seed)
    return start_measurement(spec, rng, noise, pose=(0.0, 0.0, rng.uniform(-np.pi, np.pi)))


def follow(
    simulation: Simulation,
    controller: MpcController,
    name: str,
    waypoints: np.ndarray,
    seed: int,
    on_step: Callable[[np.ndarray, np.ndarray], None] | None = None,
) -> dict[str, Any]:
    """One run in lock-step, without ROS.

    Args:
        simulation: the robot.
        controller: with its model.
        name: of the path.
        waypoints: (W, 2) [m] in the robot's start frame.
        seed: of the start state.
        on_step: called with the action and the measurement after it.

    Returns:
        The row that :meth:`PathRun.result` makes.
    """
    started = time.monotonic()
    spec = simulation.spec
    m = simulation.reset(start_of(spec, seed))
    pose = planar_pose(m)
    path = Path.from_waypoints(np.array(pose[:2]), to_odom(waypoints, pose))
    run = PathRun(spec, name, seed, path)
    controller.reset()
    controller.set_path(path)
    while not run.finished:
        try:
            step = controller.act(m)
            m = simulation.step(step.action)
        except MbmfError as error:
            run.error = str(error)
            break
        run.tick(m, step.plan_time_s, missed=False)
        if on_step:
            on_step(step.action, m)
    return run.result(simulation.time_s, time.monotonic() - started)
