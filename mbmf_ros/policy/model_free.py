"""Model-free runs: learn for a while, evaluate, keep; whatever learns."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from mbmf_ros.control.environments import environment
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.checkpoint import PolicyCheckpoint
from mbmf_ros.policy.files import POLICY_FILE
from mbmf_ros.policy.gaussian import GaussianPolicy, PolicyActor
from mbmf_ros.policy.io import PolicyInfo, save_policy
from mbmf_ros.policy.observation import Observation
from mbmf_ros.policy.rollouts import roll_out
from mbmf_ros.policy.settings import ModelFreeConfig
from mbmf_ros.policy.torch_state import below, module_tensors, restore_module
from mbmf_ros.robots import RobotSpec
from mbmf_ros.terminal import busy

_EVALUATION_SEED = 2**31  # learning draws its start states from seeds below


class PolicyLearner(Protocol):
    """What learns.

    Attributes:
        notes: what it decided by itself, for the result.
    """

    notes: dict[str, Any]

    def begin(self, seed: int) -> None:
        """Become what learning starts from, unless it is that already; a run that goes on does without."""
        ...

    def learn(self, wanted: int, most: int, seed: int, tick: Callable[[int], None]) -> tuple[int, list[float]]:
        """Learn in fresh episodes, in whole updates.

        Args:
            wanted: environment steps, at least.
            most: never more; where no update fits in, nothing is done.
            seed: of everything random.
            tick: told now and then how many environment steps have been made.

        Returns:
            Environment steps made, and the returns of the episodes that ended.
        """
        ...

    def policy(self) -> GaussianPolicy:
        """The policy as it is now, for observations as they are."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """All that it consists of, besides :meth:`added`."""
        ...

    def added(self) -> dict[str, Tensor]:
        """What it has remembered since the last call."""
        ...

    def restore(self, tensors: dict[str, Tensor], added: list[dict[str, Tensor]], notes: Mapping[str, Any]) -> None:
        """Become what :meth:`tensors` and all :meth:`added` were."""
        ...


@dataclass(frozen=True)
class Origin:
    """Where a run comes from.

    Attributes:
        task: what is learnt.
        steps: environment steps that were spent before.
        identity: what makes the run this run, besides robot, task and seed.
    """

    task: str
    steps: int = 0
    identity: dict[str, Any] = field(default_factory=dict)


class ModelFreeRun:
    """Learns until a budget is spent; the folder has all of it after every evaluation.

    Between two evaluations the learner begins with fresh episodes and with random numbers that the seed and the number
    of the evaluation decide. So a run that goes on after an interruption needs neither the state of the simulation nor
    that of any generator to become exactly what it would have been; the episodes that an evaluation interrupts count
    as cut off, not as ended.

    Args:
        spec: the robot.
        config: settings.
        seed: of everything random.
        learner: what learns.
        folder: where the run is kept; one that is there already goes on.
        origin: where the run comes from.

    Attributes:
        curve: one row per evaluation: ``steps``, ``return`` (mean, with mean actions), ``returns``,
            ``stochastic_return`` (mean of the episodes that ended while learning since the last row; None: there was
            none), ``std`` (of the actions), ``wall_s``.
        steps: environment steps spent, those before the run included.
        wall_s: time spent, in all.

    Raises:
        MbmfError: the folder holds another run.
    """

    def __init__(
        self,
        spec: RobotSpec,
        config: ModelFreeConfig,
        seed: int,
        learner: PolicyLearner,
        folder: Path,
        origin: Origin,
    ):
        self.spec, self.config, self.seed, self.learner, self.origin = spec, config, seed, learner, origin
        self.curve: list[dict[str, Any]] = []
        self.steps, self.wall_s = origin.steps, 0.0
        self._env = environment(spec, origin.task, config.action_repeat)
        identity = {"robot": spec.name, "task": origin.task, "seed": seed, **origin.identity}
        self.checkpoint = PolicyCheckpoint(folder, identity, {"config": dataclasses.asdict(type(config)())})
        self.best: GaussianPolicy | None = None
        self._restore()

    def run(self, budget: int, patience: int, report: Callable[[int], None], told: Callable[[str], None]) -> bool:
        """Learn until no update fits in ``budget`` any more.

        Args:
            budget: environment steps, those before the run included.
            patience: stop after so many without a better evaluation; 0: never.
            report: told the steps spent.
            told: told what has been achieved.

        Returns:
            Whether it stopped for lack of progress.
        """
        begun, before = time.monotonic(), self.wall_s
        if not self.curve:
            self.learner.begin(self.seed)
            self._evaluate([], begun, before, told)
        while not (stopped := self._stuck(patience)):
            stretch = int(np.random.SeedSequence([self.seed, len(self.curve)]).generate_state(1)[0] // 2)
            tick = lambda done, spent=self.steps: report(spent + done)  # noqa: E731
            done, returns = self.learner.learn(self.config.evaluate_every, budget - self.steps, stretch, tick)
            if not done:
                break
            self.steps += done
            report(self.steps)
            self._evaluate(returns, begun, before, told)
        return stopped

    def evaluate(self, policy: GaussianPolicy, number: int, episodes: int) -> list[float]:
        """Returns of whole episodes with mean actions; they cost no budget and are not learnt from.

        Args:
            policy: acts.
            number: of the set of start states.
            episodes: how many.
        """
        seeds = _EVALUATION_SEED + 10_000_000 * number + 1000 * self.seed + np.arange(episodes)
        actor, steps = PolicyActor(self.spec, policy), self._env.reward.steps
        return [roll_out(self._env, actor, int(seed), steps, "policy").value for seed in seeds]

    def _evaluate(self, learnt: list[float], begun: float, before: float, told: Callable[[str], None]) -> None:
        """Add a row, and keep the run."""
        policy = self.learner.policy()
        with busy("evaluating"):
            returns = self.evaluate(policy, 0, self.config.episodes)
        self.wall_s = before + time.monotonic() - begun
        row = {
            "steps": self.steps,
            "return": float(np.mean(returns)),
            "returns": returns,
            "stochastic_return": float(np.mean(learnt)) if learnt else None,
            "std": float(policy.log_std.exp().mean()),
            "wall_s": self.wall_s,
        }
        self.curve.append(row)
        if row is self.best_row:
            self.best = policy
            save_policy(self.checkpoint.folder / POLICY_FILE, policy, self._info())
        self._keep()
        noisy = "" if not learnt else f", {row['stochastic_return']:.1f} while learning"
        told(f"{self.steps:>9} steps  return {row['return']:.1f}{noisy}, standard deviation {row['std']:.3f}")

    @property
    def best_row(self) -> dict[str, Any]:
        """The first of the rows with the highest return."""
        return max(self.curve, key=lambda row: row["return"])

    def _stuck(self, patience: int) -> bool:
        return patience > 0 and self.steps - self.best_row["steps"] >= patience

    def _info(self) -> PolicyInfo:
        layout, task = Observation(self.spec).layout_hash, self.origin.task
        made = {**self.checkpoint.identity, "return": self.curve[-1]["return"]}
        return PolicyInfo(self.spec.name, layout, task, self.config.action_repeat, self.steps, made)

    def _keep(self) -> None:
        state = {"curve": self.curve, "notes": self.learner.notes, "wall_s": self.wall_s}
        tensors = {f"learner/{key}": value for key, value in self.learner.tensors().items()}
        assert self.best is not None
        tensors |= module_tensors("best", self.best)
        self.checkpoint.save(len(self.curve), tensors, self.learner.added(), state)

    def _restore(self) -> None:
        kept = self.checkpoint.load()
        if kept is None:
            return
        tensors, added, state = kept
        try:
            self.learner.restore(below("learner", tensors), added, state["notes"])
            self.best = self.learner.policy()
            restore_module("best", self.best, tensors)
            self.curve, self.wall_s = state["curve"], float(state["wall_s"])
            self.steps = self.curve[-1]["steps"]
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise MbmfError(f"{self.checkpoint.folder} is damaged ({error}); remove it to begin anew") from error
