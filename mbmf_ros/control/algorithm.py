"""Algorithm 1 of the paper: random data, train, act, aggregate, retrain; with checkpoints after every iteration."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.control.checkpoint import EVALUATION, Checkpoint
from mbmf_ros.control.environments import environment
from mbmf_ros.control.goals import ForwardGoal
from mbmf_ros.control.judging import HeldOut, errors, keep, random_rollout
from mbmf_ros.control.mpc import MpcConfig, MpcController
from mbmf_ros.control.planners import make_planner
from mbmf_ros.control.rollout import Actor, roll_out
from mbmf_ros.control.tasks import ForwardConfig
from mbmf_ros.data.exploration import ExplorationConfig
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.dynamics.dataset import Dataset, make_dataset
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.dynamics.training import TrainConfig, fit
from mbmf_ros.robots import RobotSpec

EVALUATION_EPISODES = 5
Doing = Callable[[str, int, int], None]
"""Told what goes on: what, how much of it is done, of how much."""
_EVALUATION_SEED = 1_000_000  # start states of evaluations are never those of learning


@dataclass(frozen=True)
class LearnConfig(Ranged):
    """Settings of one run of Algorithm 1 besides the budget.

    Attributes:
        random_steps: environment steps of random actions before the first training.
        random_episode_steps: longest random rollout.
        random_holdout: share of the random rollouts that is only validated on.
        iteration_steps: environment steps between trainings; a whole number of episodes, so it may be more.
        episode_steps: longest rollout while learning.
        refine_after: once so many environment steps are taken, learning acts as the evaluation does, for whole
            episodes: first variety, then practice; 0: never.
        stuck_steps: after so many steps in a row in which the robot has fallen a rollout while learning ends.
        warm_start: go on from the last weights (the paper); else train anew each time.
        on_policy_share: share of the model's own transitions in each batch (the paper's 90 %); 0: as they come.
        first: the training on random data alone.
        refit: each training after it.
        planner: name of the planner; its settings are in ``planner_settings``.
        planner_settings: changes to the planner's defaults.
        evaluation_settings: further changes to them for the evaluation.
        explore_best: while learning execute the best candidate, not the planner's mean as in the evaluation.
        replan_every: control steps between plans while learning.
        evaluation_replan_every: the same in the evaluation.
        action_repeat: every action is held for so many control periods, each of which counts as an environment step;
            other settings in steps mean the longer ones, but for ``random_steps`` and ``iteration_steps``.
        forward: what only the planner sees.
        dynamics: architecture.
        exploration: the random actions.
    """

    random_steps: int = ranged(1000, 1)
    random_episode_steps: int = ranged(250, 1)
    random_holdout: float = ranged(0.1, 0.0, 0.5)
    iteration_steps: int = ranged(1000, 1)
    episode_steps: int = ranged(250, 1)
    refine_after: int = ranged(0, 0)
    stuck_steps: int = ranged(20, 1)
    warm_start: bool = True
    on_policy_share: float = ranged(0.0, 0.0, 1.0)
    first: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=0, min_updates=2000))
    refit: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=0, min_updates=500))
    planner: str = "icem"
    planner_settings: dict[str, Any] = field(default_factory=dict)
    evaluation_settings: dict[str, Any] = field(default_factory=dict)
    explore_best: bool = True
    replan_every: int = ranged(1, 1)
    evaluation_replan_every: int = ranged(1, 1)
    action_repeat: int = ranged(1, 1)
    forward: ForwardConfig = field(default_factory=ForwardConfig)
    dynamics: DynamicsConfig = field(default_factory=lambda: DynamicsConfig(hidden=200))
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)


class Learner:
    """One run of Algorithm 1.

    Every iteration depends on the seed, its own number, the data and the model only: a run that goes on from a
    checkpoint is the run that was not interrupted.

    Args:
        spec: the robot.
        task: what to learn; see :func:`mbmf_ros.control.environments.environment`.
        config: settings.
        seed: of everything random.
        checkpoint: where to keep the run; None: nowhere.
    """

    def __init__(
        self, spec: RobotSpec, task: str, config: LearnConfig, seed: int, checkpoint: Checkpoint | None = None
    ):
        self.task, self.config, self.seed = task, config, seed
        self.env = environment(spec, task, config.action_repeat)
        self.spec = spec = self.env.spec  # with the control period that actions are held for
        Dynamics(spec, config.dynamics)  # refuses what does not exist before steps are taken
        self.checkpoint = checkpoint
        self.random, self.held, self.own = TransitionStore(spec), TransitionStore(spec), TransitionStore(spec)
        self.held_out = HeldOut(self.env, config, seed, self.held)
        self.evaluated = TransitionStore(spec)  # by the last evaluation
        self.model: Dynamics | None = None
        self.curve: list[dict[str, Any]] = []
        self.wall_s = 0.0
        self._doing: Doing = lambda what, done, total: None

    @property
    def steps(self) -> int:
        """Environment steps taken so far; those of evaluations do not count."""
        return self.random_steps + self.own.transitions * self.config.action_repeat

    @property
    def random_steps(self) -> int:
        """Those of random motion; a run begun with a smaller budget than the recipe's random steps has fewer."""
        return (self.random.transitions + self.held.transitions) * self.config.action_repeat

    def controller(self, seed: int, evaluating: bool = False) -> MpcController:
        """A controller with the present model and the task as its goal."""
        config = self.config
        settings = {**config.planner_settings, **(config.evaluation_settings if evaluating else {})}
        every = config.evaluation_replan_every if evaluating else config.replan_every
        mpc = MpcConfig(replan_every=every, execute_best=config.explore_best and not evaluating)
        controller = MpcController(self.spec, make_planner(config.planner, settings), mpc, seed)
        if self.model is not None:
            controller.swap(self.model, 1)
        controller.set_goal(ForwardGoal(self.env.reward, config.forward))
        return controller

    def run(self, budget: int, progress: Callable[[int, str], None] | None = None, doing: Doing | None = None) -> None:
        """Learn until ``budget`` environment steps are used; goes on from where it is.

        An iteration of less than a quarter of its length is not begun: that much of the budget may stay unused.

        Args:
            budget: see above.
            progress: called after each iteration with the steps so far and how it went.
            doing: called all the time within them.
        """
        self._doing = doing or self._doing
        while self.model is None or budget - self.steps >= self.config.iteration_steps / 4:
            started = time.monotonic()
            if self.model is None:
                returns, facts = [], self._explore(min(self.config.random_steps, budget))
            else:
                returns, facts = self._act(budget)
            self._train(len(self.curve))
            self.wall_s += time.monotonic() - started
            row = {"iteration": len(self.curve), "steps": self.steps, "returns": returns, "wall_s": self.wall_s}
            row["return"] = float(np.mean(returns)) if returns else None
            self.curve.append({**row, **facts})
            if self.checkpoint is not None:
                self.checkpoint.save(self)
            if progress:
                how = f"return of its rollouts {row['return']:.1f}" if returns else "random data"
                lost = f"; the simulation diverged in {facts['diverged']} of them" if facts["diverged"] else ""
                progress(self.steps, how + lost)

    def evaluate(
        self, episodes: int = EVALUATION_EPISODES, progress: Callable[[int], None] | None = None
    ) -> list[float]:
        """Returns of whole episodes with the present model; they cost no budget and are not learnt from."""
        values, self.evaluated = [], TransitionStore(self.spec)
        for episode in range(episodes):
            number = _EVALUATION_SEED + 1000 * self.seed + episode
            controller = self.controller(number, evaluating=True)
            act: Actor = lambda m, controller=controller: controller.act(m).action  # noqa: E731
            rollout = roll_out(self.env, act, number, self.env.reward.steps, "evaluation")
            values.append(rollout.value)
            keep(self.evaluated, rollout)
            if progress:
                progress(episode + 1)
        return values

    def judge(self) -> dict[str, Any]:
        """How well the present model predicts what it has not learnt from: random motion, and the last evaluation."""
        assert self.model is not None
        return self._errors(self.evaluated)

    def aggregate(self, episodes: list[Episode], number: int) -> None:
        """Learn from ``episodes`` too: data of the run's own, made elsewhere; ``number`` counts such trainings.

        Neither the curve nor the checkpoint knows of it.
        """
        for episode in episodes:
            self.own.add(episode)
        self._train(len(self.curve) + number)

    # One iteration ------------------------------------------------------------------------------------------------

    def _streams(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, len(self.curve)])

    def _explore(self, steps: int) -> dict[str, Any]:
        """Random data; every so manieth rollout is held out. How many rollouts ended in a divergence."""
        config, rng = self.config, self._streams()
        every = round(1 / config.random_holdout) if config.random_holdout else 0
        rollouts = diverged = 0
        while left := (steps - self.steps) // config.action_repeat:
            self._doing("moving at random", self.steps, steps)
            rollout = random_rollout(self.env, config, rng, min(config.random_episode_steps, left))
            rollouts, diverged = rollouts + 1, diverged + rollout.diverged
            keep(self.held if every and rollouts % every == 0 else self.random, rollout, diverged)
        return {"diverged": diverged}

    def _act(self, budget: int) -> tuple[list[float], dict[str, Any]]:
        """Own data: returns of its rollouts, how many diverged, and how well the model predicted it."""
        config, rng = self.config, self._streams()
        fresh, returns, diverged = TransitionStore(self.spec), [], 0
        left = (budget - self.steps) // config.action_repeat
        wanted = min(-(-config.iteration_steps // config.action_repeat), left)
        refining = 0 < config.refine_after <= self.steps
        longest = self.env.reward.steps if refining else config.episode_steps
        while fresh.transitions < wanted:
            controller = self.controller(int(rng.integers(2**31)), refining)
            act = self._told(controller, fresh.transitions, wanted)
            length = min(longest, left - fresh.transitions)
            rollout = roll_out(self.env, act, int(rng.integers(2**31)), length, "on_policy", config.stuck_steps)
            diverged += rollout.diverged
            keep(fresh, rollout, diverged)
            returns.append(rollout.value)
        assert self.model is not None
        self._doing("validating", 0, 1)
        facts = {"diverged": diverged, **self._errors(fresh)}
        self.own.extend(fresh)
        return returns, facts

    def _told(self, controller: MpcController, done: int, wanted: int) -> Actor:
        """What acts for ``controller``, and says after how many steps of the iteration."""
        taken, repeat = itertools.count(done), self.config.action_repeat

        def act(m: np.ndarray) -> np.ndarray:
            self._doing("acting", next(taken) * repeat, wanted * repeat)
            return controller.act(m).action

        return act

    def _errors(self, own: TransitionStore) -> dict[str, Any]:
        """On random motion and on ``own``, neither of which the model has learnt from."""
        assert self.model is not None
        random = self.held_out.judge(self.model)
        on_policy = errors(self.model, own, self.held_out.horizon).entries("on_policy")
        return {**random.entries("random"), "e_h_random_steps": random.steps, **on_policy}

    def _train(self, iteration: int) -> None:
        config, first = self.config, self.model is None
        model = self.model
        if model is None or not config.warm_start:
            model = Dynamics(self.spec, config.dynamics, self.seed)
        everything = TransitionStore(self.spec, [*self.random.episodes, *self.own.episodes])
        training = config.first if first else config.refit
        data = make_dataset(everything, model.profile, training.symmetries)
        seed = int(np.random.default_rng([self.seed, iteration, 1]).integers(2**31))
        warm, recorded = config.warm_start and not first, everything.transitions
        self._doing("training", 0, 100)
        told = lambda share, loss: self._doing("training", round(100 * share), 100)  # noqa: E731
        fit(model, data, None, training, seed, recorded, warm, self._weights(data), told)
        self.model = model.requires_grad_(False)

    def _weights(self, data: Dataset) -> torch.Tensor | None:
        """Probabilities that give the model's own transitions their share (paper, section IV-D)."""
        share = self.config.on_policy_share
        if not share or not self.own.transitions or data.transition is None:
            return None
        own = data.transition >= self.random.transitions
        return torch.where(own, share / own.sum().clamp_min(1), (1 - share) / (~own).sum().clamp_min(1))


def resume(spec: RobotSpec, task: str, config: LearnConfig, seed: int, folder: Path | None) -> Learner:
    """The run kept in ``folder`` if it is this one, else a new run that will be kept there.

    Raises:
        MbmfError: the folder holds another run.
    """
    settings, defaults = dataclasses.asdict(config), dataclasses.asdict(LearnConfig())
    if not config.refine_after:  # the evaluation decides nothing: it may be repeated with other settings
        for key in EVALUATION:
            del settings[key], defaults[key]
    identity = {"robot": spec.name, "task": task, "seed": seed, "config": settings}
    checkpoint = Checkpoint(folder, identity, {"config": defaults}) if folder is not None else None
    learner = Learner(spec, task, config, seed, checkpoint)
    if learner.checkpoint is not None:
        learner.checkpoint.restore(learner)
    return learner
