"""Goals: what a controller is told to bring about. A goal remembers; the task that it makes for a step is pure."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mbmf_ros.control.path import Path, PathTracker
from mbmf_ros.control.tasks import FollowPath, FollowPathConfig, Forward, ForwardConfig, Task
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.spec import ForwardReward


class Goal(Protocol):
    """Something to bring about.

    Attributes:
        name: as statistics show it.
    """

    name: str

    def task(self, m: np.ndarray, model: Dynamics | None, spec: RobotSpec) -> Task | None:
        """The task for the control step that begins with measurement ``m`` (nm,); None: nothing to do, or no model."""
        ...


class FollowPathGoal:
    """Walk along a path, once."""

    name = "follow_path"

    def __init__(self, path: Path, config: FollowPathConfig):
        self.tracker = PathTracker(path)
        self.config = config

    def task(self, m: np.ndarray, model: Dynamics | None, spec: RobotSpec) -> Task | None:
        tracker = self.tracker
        if not tracker.done:
            tracker.update(m[:2])
        if tracker.done or model is None:
            return None
        return FollowPath(tracker.path, tracker.progress_m, model.profile, self.config, spec.dt_s)


class ForwardGoal:
    """Move along the odometry frame's x axis as fast as possible."""

    name = "forward"

    def __init__(self, reward: ForwardReward, config: ForwardConfig):
        self.reward = reward
        self.config = config

    def task(self, m: np.ndarray, model: Dynamics | None, spec: RobotSpec) -> Task | None:
        return None if model is None else Forward(self.reward, model.profile, self.config, spec.dt_s)
