"""Random motion that the models of a run of Algorithm 1 never learn from, and how well they predict it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mbmf_ros.control.environments import Environment
from mbmf_ros.control.planners import make_planner
from mbmf_ros.control.rollout import Rollout, roll_out
from mbmf_ros.data.exploration import random_actions
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.dynamics.validation import validate
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec

if TYPE_CHECKING:
    from mbmf_ros.control.algorithm import LearnConfig

_STRETCHES = 256  # predicted, at most
_ENOUGH_STRETCHES = 32
_FEWEST_ROLLOUTS, _MOST_ROLLOUTS = 5, 60
_STREAM = 2  # of the run's seed: neither a rollout's nor a training's
_LOST_ROLLOUTS = 20


@dataclass(frozen=True)
class Errors:
    """How well a model predicts; not a number where nothing is long enough.

    Attributes:
        steps: H.
        e_h: the paper's e(H), as in :class:`mbmf_ros.dynamics.validation.Validation`.
        one_step, open_loop: the normalised error of one step and of H steps open loop, as there.
    """

    steps: int
    e_h: float
    one_step: float
    open_loop: float

    def entries(self, name: str) -> dict[str, float | None]:
        """e(H) and the one-step error for a curve's row, which has no NaN."""
        pairs = {f"e_h_{name}": self.e_h, f"nrmse_{name}": self.one_step}
        return {key: None if math.isnan(value) else value for key, value in pairs.items()}


def errors(model: Dynamics, store: TransitionStore, steps: int) -> Errors:
    """Errors of ``model`` on a sample of all stretches of a store, over one step and ``steps``."""
    result = validate(model, store, (1, steps) if steps else (), count=_STRETCHES)
    e_h, nrmse = result.e_h.get(steps, math.nan), result.nrmse
    return Errors(steps, e_h, nrmse.get(1, math.nan), nrmse.get(steps, math.nan))


class HeldOut:
    """Random motion to judge models on.

    That is what the run held out of its random data. Where that has no stretch of the planner's horizon without a fall,
    rollouts are made for validation only: out of budget, never learnt from, from a stream of the seed's own.

    Args:
        env: where they are made.
        config: of the run; they are made as its random data is.
        seed: of the run.
        kept: what it held out; may grow.

    Attributes:
        horizon: the planner's.

    Raises:
        MbmfError: there is no such planner, or it has no such settings.
    """

    def __init__(self, env: Environment, config: LearnConfig, seed: int, kept: TransitionStore):
        self.env, self.config, self.seed, self.kept = env, config, seed, kept
        self.horizon: int = make_planner(config.planner, config.planner_settings).config.time_steps
        self._made: TransitionStore | None = None

    def judge(self, model: Dynamics) -> Errors:
        """Its errors over the planner's horizon, or, where the robot falls sooner, over as many steps as there are.

        The one-step error is on what was held out, if anything was.
        """
        kept = errors(model, self.kept, self.horizon)
        if not math.isnan(kept.e_h):
            return kept
        made = errors(model, self.made, longest(self.made, self.horizon))
        return made if math.isnan(kept.one_step) else replace(made, one_step=kept.one_step)

    @property
    def made(self) -> TransitionStore:
        """The rollouts made for validation only: several, more of them where the robot falls early."""
        if self._made is None:
            self._made, rng = TransitionStore(self.env.spec), np.random.default_rng([self.seed, 0, _STREAM])
            length = max(self.config.random_episode_steps, 2 * self.horizon)
            for number in range(_MOST_ROLLOUTS):
                if number >= _FEWEST_ROLLOUTS and stretches(self._made, self.horizon) >= _STRETCHES:
                    break
                keep(self._made, random_rollout(self.env, self.config, rng, length))
        return self._made


def random_rollout(env: Environment, config: LearnConfig, rng: np.random.Generator, steps: int) -> Rollout:
    """At most ``steps`` random actions from a random start."""
    plan = iter(random_actions(config.exploration, rng, steps, env.spec.nu))
    return roll_out(env, lambda m: next(plan), int(rng.integers(2**31)), steps, "random", config.stuck_steps)


def keep(store: TransitionStore, rollout: Rollout, diverged: int = 0) -> None:
    """Add what there is of a rollout.

    Args:
        store: where to.
        rollout: whose simulation may have diverged at its first step.
        diverged: how many did so far, this one included.

    Raises:
        MbmfError: there is nothing but such rollouts.
    """
    if len(rollout.episode):
        store.add(rollout.episode)
    elif diverged >= _LOST_ROLLOUTS and not store.transitions:
        raise MbmfError(
            f"the simulation of {store.spec.name!r} diverged at the first step of {diverged} rollouts; make its "
            "physics_dt_s smaller, or look for what is wrong with its model"
        )


def stretches(store: TransitionStore, steps: int) -> int:
    """How many stretches of so many steps without a fall there are."""
    return sum(max(0, _upright(store.spec, episode) - steps) for episode in store.episodes)


def longest(store: TransitionStore, most: int) -> int:
    """The longest length of stretches, up to ``most`` steps, of which there are enough; 0 if there are none."""
    enough = min(_ENOUGH_STRETCHES, stretches(store, 1))
    return next((steps for steps in range(most, 0, -1) if 0 < enough <= stretches(store, steps)), 0)


def _upright(spec: RobotSpec, episode: Episode) -> int:
    """States before the first fall."""
    fallen = np.flatnonzero(spec.fallen(episode.measurements))
    return int(fallen[0]) if len(fallen) else len(episode.measurements)
