"""Goals: what a controller is told to bring about. A goal remembers; the task that it makes for a step is pure."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mbmf_ros.control.path import Path, PathTracker
from mbmf_ros.control.steering import FollowVelocity, FollowVelocityConfig, HoldPosition, HoldPositionConfig, moved
from mbmf_ros.control.survival import Survival
from mbmf_ros.control.tasks import WINDOW_M, FollowPath, FollowPathConfig, Forward, ForwardConfig, Task
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.measurement import yaw_of
from mbmf_ros.robots.spec import ForwardReward, PathLimits


class Goal(Protocol):
    """Something to bring about.

    Attributes:
        name: as statistics show it.
    """

    name: str

    def task(self, m: np.ndarray, model: Dynamics | None, spec: RobotSpec) -> Task | None:
        """The task for the control step that begins with measurement ``m`` (nm,); None: nothing to do, or no model.

        Called once per control step.
        """
        ...


class FollowPathGoal:
    """Walk along a path, once.

    Args:
        path: the path.
        config: the task's weights.
        limits: when a waypoint is reached.
    """

    name = "follow_path"

    def __init__(self, path: Path, config: FollowPathConfig, limits: PathLimits = PathLimits()):  # noqa: B008  # frozen
        self.tracker = PathTracker(path, limits.reach_m, limits.goal_reach_m)
        self.config = config

    def task(self, m: np.ndarray, model: Dynamics | None, spec: RobotSpec) -> Task | None:
        tracker = self.tracker
        if not tracker.done:
            tracker.update(m[:2])
        if tracker.done or model is None:
            return None
        window_m = min(WINDOW_M, max(0.0, tracker.open_m - tracker.progress_m))
        survival = Survival.of(spec)
        return FollowPath(
            tracker.path, tracker.progress_m, model.profile, self.config, spec.dt_s, window_m, survival=survival
        )


class ForwardGoal:
    """Move along the odometry frame's x axis as fast as possible."""

    name = "forward"

    def __init__(self, reward: ForwardReward, config: ForwardConfig):
        self.reward = reward
        self.config = config

    def task(self, m: np.ndarray, model: Dynamics | None, spec: RobotSpec) -> Task | None:
        return None if model is None else Forward(self.reward, model.profile, self.config, spec.dt_s)


class VelocityGoal:
    """Move at a velocity that may be changed at any time.

    Args:
        config: the task's weights and the limits of commands.
        spec: the robot; what its root cannot do is not commanded.

    Attributes:
        command: (3,): forward, left, counter-clockwise, in the robot's frame [m/s, m/s, rad/s].
    """

    name = "velocity"

    def __init__(self, config: FollowVelocityConfig, spec: RobotSpec):
        self.config = config
        self.command = np.zeros(3)
        self._limits = config.limits * ((1, 0, 0) if spec.root == "sagittal" else (1, 1, 1))
        self._reference: np.ndarray | None = None

    def set_command(self, command: np.ndarray) -> None:
        """Move at ``command`` (3,), or as near to it as is allowed, from the next control step on."""
        self.command = np.clip(command, -self._limits, self._limits)

    def task(self, m: np.ndarray, model: Dynamics | None, spec: RobotSpec) -> FollowVelocity | None:
        if model is None:
            return None
        config = self.config
        pose = np.array([m[0], m[1], float(yaw_of(m[3:7]))])
        if self._reference is None:
            self._reference = pose
        else:
            led = moved(self._reference, self.command, np.array(spec.dt_s)) - pose
            led[2] = np.clip((led[2] + np.pi) % (2 * np.pi) - np.pi, -config.leash_rad, config.leash_rad)
            away = float(np.hypot(led[0], led[1]))
            led[:2] *= min(1.0, config.leash_m / away) if away > 0 else 1.0
            self._reference = pose + led
        return FollowVelocity(self._reference, self.command, model.profile, config, spec.dt_s, Survival.of(spec))


class HoldGoal:
    """Stay where the robot is when this goal is first asked, or at ``place`` (2,) [m], odometry frame."""

    name = "hold"

    def __init__(self, config: HoldPositionConfig, place: np.ndarray | None = None):
        self.config = config
        self.place = place
        self._resting = True

    def task(self, m: np.ndarray, model: Dynamics | None, spec: RobotSpec) -> HoldPosition | None:
        """None also while the robot rests."""
        if self.place is None:
            self.place = m[:2].copy()
        config = self.config
        away = float(np.linalg.norm(m[:2] - self.place))
        # Who has left the circle goes well into it before resting again.
        near = away <= config.radius_m * (1.0 if self._resting else 0.5)
        slow = self._resting or float(np.linalg.norm(m[spec.measurement.linear_velocity])) <= config.rest_speed_mps
        self._resting = config.rest and near and slow
        if self._resting or model is None:
            return None
        return HoldPosition(self.place, model.profile, config, spec.dt_s, Survival.of(spec))
