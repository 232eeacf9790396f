"""The model predictive controller: one plan per control step on the newest model."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import torch

from mbmf_ros.control.goals import FollowPathGoal, Goal
from mbmf_ros.control.path import Path, PathTracker
from mbmf_ros.control.planners import Plan, Planner
from mbmf_ros.control.steering import FollowVelocityConfig, HoldPositionConfig
from mbmf_ros.control.tasks import FollowPathConfig
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec


@dataclass(frozen=True)
class MpcConfig:
    """How the controller drives.

    Attributes:
        follow_path, velocity, hold: weights of the tasks.
        replan_every: control steps between plans; in between, the rows of the last plan are executed.
        execute_best: execute the best candidate instead of the planner's mean: more exploration.
        plan_rows: following rows of the plan handed to the bridge, for when the next answer is late.
        shown_candidates: candidates handed out for display.
    """

    follow_path: FollowPathConfig = field(default_factory=FollowPathConfig)
    velocity: FollowVelocityConfig = field(default_factory=FollowVelocityConfig)
    hold: HoldPositionConfig = field(default_factory=HoldPositionConfig)
    replan_every: int = 1
    execute_best: bool = False
    plan_rows: int = 4
    shown_candidates: int = 24


@dataclass(frozen=True)
class Step:
    """The answer to one measurement.

    Attributes:
        action: (nu,), in [-1, 1].
        plan: following rows (rows, nu).
        idle: there is no path, no model, or the path is done: ``action`` is the safe action.
        plan_time_s: wall time this took [s].
        planned_return, terms: imagined return of the best candidate, and its reward terms.
        progress_m, cross_track_m, done: the robot on its path.
        optimal_xy: predicted positions of the best candidate (H + 1, 2) [m], odometry frame.
        candidates_xy, candidates_return: some of the candidates, (C, H + 1, 2) and (C,).
    """

    action: np.ndarray
    plan: np.ndarray
    idle: bool
    plan_time_s: float
    planned_return: float = float("nan")
    terms: dict[str, float] = field(default_factory=dict)
    progress_m: float = 0.0
    cross_track_m: float = 0.0
    done: bool = False
    optimal_xy: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    candidates_xy: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 2)))
    candidates_return: np.ndarray = field(default_factory=lambda: np.empty(0))


class MpcController:
    """Answers each measurement with an action. Its only memory: the path's progress and the last plan.

    Args:
        spec: the robot.
        planner: the planner.
        config: the controller's settings.
        seed: of the planner's noise.
    """

    def __init__(self, spec: RobotSpec, planner: Planner, config: MpcConfig | None = None, seed: int = 0):
        self.spec = spec
        self.planner = planner
        self.config = config or MpcConfig()
        self.model: Dynamics | None = None
        self.version = 0
        self.goal: Goal | None = None
        self._warm: Plan | None = None
        self._rows: np.ndarray = np.empty((0, spec.nu))  # of the last plan, still to be executed
        self._generator = torch.Generator().manual_seed(seed)

    def swap(self, model: Dynamics, version: int) -> None:
        """Use ``model`` from the next control step on; the warm start is kept.

        Raises:
            MbmfError: the model is another robot's.
        """
        if model.spec.name != self.spec.name:
            raise MbmfError(f"the model is of robot {model.spec.name!r}, this controller drives {self.spec.name!r}")
        self.model, self.version = model, version

    @property
    def tracker(self) -> PathTracker | None:
        """Progress along the path, while there is one."""
        return self.goal.tracker if isinstance(self.goal, FollowPathGoal) else None

    def set_goal(self, goal: Goal | None) -> None:
        """Pursue ``goal`` from the next control step on; None: the safe action."""
        self.goal, self._rows = goal, self._rows[:0]

    def set_path(self, path: Path | None) -> None:
        """Follow ``path`` from the next control step on; None: the safe action."""
        self.set_goal(FollowPathGoal(path, self.config.follow_path, self.spec.paths) if path is not None else None)

    def seed(self, seed: int) -> None:
        """Start the planner's noise anew."""
        self._generator.manual_seed(seed)

    def reset(self) -> None:
        """A new episode: no goal, no warm start."""
        self.set_goal(None)
        self.forget_plan()

    def forget_plan(self) -> None:
        """Plan from nothing at the next control step: what the last plan expected is not what was done since."""
        self._warm, self._rows = None, self._rows[:0]

    def act(self, m: np.ndarray, pending: np.ndarray | None = None) -> Step:
        """The action for measurement ``m`` (nm,).

        Args:
            m: the measurement.
            pending: actions (rows, nu) that are decided already, for one control period each from ``m`` on. The answer
                comes after them: it is planned from where the model says that they lead. Progress is what was measured.

        Raises:
            MbmfError: the measurement is malformed, or no candidate has a finite return.
        """
        started = time.perf_counter()
        problem = self.spec.measurement.problem(m)
        if problem:
            raise MbmfError(f"unusable measurement of {self.spec.name!r}: {problem}")
        goal, model = self.goal, self.model
        task = goal.task(m, model, self.spec) if goal is not None else None
        if task is None or model is None:
            self.forget_plan()
            return self._idle(started)
        if len(self._rows) and self._warm is not None:
            row, self._rows = self._rows[0], self._rows[1:]
            return self._step(started, row, self._rows, self._warm, model)
        x = torch.from_numpy(model.profile.encode(m).astype(np.float32))
        with torch.inference_mode():
            for action in () if pending is None else torch.from_numpy(np.asarray(pending, dtype=np.float32)):
                x = model(x[None], action[None])[0]
            every = self.config.replan_every
            plan = self.planner.plan(x, model, task, self._warm, self._generator, every)
        if not np.isfinite(plan.planned_return):
            self._warm = None
            raise MbmfError("no candidate has a finite imagined return; the model does not fit the robot's state")
        self._warm = plan
        actions = plan.best if self.config.execute_best else plan.actions
        rows = actions[: max(every, 1 + self.config.plan_rows)].double().numpy()
        self._rows = rows[1:every]
        return self._step(started, rows[0], rows[1 : 1 + self.config.plan_rows], plan, model)

    def _step(self, started: float, action: np.ndarray, following: np.ndarray, plan: Plan, model: Dynamics) -> Step:
        shown = slice(None, None, max(1, len(plan.returns) // max(1, self.config.shown_candidates)))
        positions = model.profile.xy(plan.rollouts)
        tracker = self.tracker
        return Step(
            action=action,
            plan=following,
            idle=False,
            plan_time_s=time.perf_counter() - started,
            planned_return=plan.planned_return,
            terms=plan.terms,
            progress_m=tracker.progress_m if tracker else 0.0,
            cross_track_m=tracker.cross_track_m if tracker else 0.0,
            optimal_xy=positions[plan.returns.argmax()].numpy(),
            candidates_xy=positions[shown].numpy(),
            candidates_return=plan.returns[shown].numpy(),
        )

    def _idle(self, started: float) -> Step:
        tracker = self.tracker
        return Step(
            action=np.array(self.spec.safe_action),
            plan=np.empty((0, self.spec.nu)),
            idle=True,
            plan_time_s=time.perf_counter() - started,
            progress_m=tracker.progress_m if tracker else 0.0,
            cross_track_m=tracker.cross_track_m if tracker else 0.0,
            done=tracker is not None and tracker.done,
        )
