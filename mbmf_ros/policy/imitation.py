"""Imitating the planner: behaviour cloning of its rollouts, then DAgger, in which it says what it would have done.

Every rollout is a file of its own and depends on the seed, its number and the policy that acts only, so a run may be
killed at any time and goes on as if it had not been; how many processes record makes no difference.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.control.algorithm import EVALUATION_EPISODES, Learner
from mbmf_ros.control.checkpoint import difference
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.cloning import CloneConfig, clone, mirrored
from mbmf_ros.policy.expert import newest
from mbmf_ros.policy.gaussian import GaussianPolicy, PolicyActor, PolicyConfig
from mbmf_ros.policy.io import PolicyInfo, load_policy, save_policy
from mbmf_ros.policy.observation import Observation
from mbmf_ros.policy.recording import Recorder, Wanted
from mbmf_ros.policy.rollouts import Rollout, load_rollouts, roll_out

RUN_FILE = "run.json"
POLICY_FILE = "policy.safetensors"
_EVALUATION_SEED = 2_000_000  # start states of evaluations are never those of learning


@dataclass(frozen=True)
class ImitationConfig(Ranged):
    """Settings of one imitation.

    Attributes:
        expert_rollouts: whole episodes in which the expert acts.
        action_noise: standard deviation of the noise on its actions then (paper, section V-C: 0.005); labels are
            without noise.
        relabelled_steps: so many of the newest transitions that the expert's run has learnt from are labelled too; they
            cost no environment steps.
        rounds: of DAgger.
        round_rollouts: episodes per round in which the policy acts and the expert labels.
        round_steps: their longest length; 0: whole episodes.
        warm_start: go on from the last round's weights; else train anew each round.
        initial_std: the policy's standard deviation afterwards; 0: what is left of the labels' error.
        clone: each regression.
        policy: architecture.
    """

    expert_rollouts: int = ranged(5, 0)
    action_noise: float = ranged(0.05, 0.0, 1.0)
    relabelled_steps: int = ranged(10000, 0)
    rounds: int = ranged(4, 0)
    round_rollouts: int = ranged(4, 1)
    round_steps: int = ranged(0, 0)
    warm_start: bool = True
    initial_std: float = ranged(0.0, 0.0, 10.0)
    clone: CloneConfig = field(default_factory=CloneConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)


class Imitation:
    """One run of imitation, kept in a folder.

    Args:
        source: the expert's run of Algorithm 1, in a folder.
        learner: what is in that folder.
        config: settings.
        seed: of everything random.
        folder: where to keep the run.
        workers: processes that record.

    Raises:
        MbmfError: the folder holds another run.
    """

    def __init__(
        self, source: Path, learner: Learner, config: ImitationConfig, seed: int, folder: Path, workers: int = 1
    ):
        self.learner, self.config, self.seed, self.folder, self.workers = learner, config, seed, folder, workers
        self.source = source
        self.spec, self.env = learner.spec, learner.env
        self.curve: list[dict[str, Any]] = []
        self.wall_s = 0.0
        self.policy: GaussianPolicy | None = None
        identity = {
            "robot": self.spec.name,
            "task": learner.task,
            "seed": seed,
            "expert": {"seed": learner.seed, "steps": learner.steps},
            "config": dataclasses.asdict(config),
        }
        self.identity = json.loads(json.dumps(identity))
        self._restore()

    @property
    def steps(self) -> int:
        """Environment steps so far: those of the expert's run, of its recorded rollouts and of DAgger."""
        return self.curve[-1]["steps"] if self.curve else self.learner.steps

    def run(self, progress: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Clone, then DAgger; goes on from where it is."""
        while len(self.curve) <= self.config.rounds:
            started, number = time.monotonic(), len(self.curve)
            with Recorder(self.source, self.workers) as recorder:
                recorder.record(self._wanted(number))
            rollouts = load_rollouts(self.folder / "rollouts", self.spec)
            labelled = [*load_rollouts(self.folder / "labels", self.spec), *rollouts]
            labels = sum(len(rollout.labels) for rollout in labelled)
            error = self._fit(labelled, number)
            returns = self.evaluate(_EVALUATION_SEED)
            own = [rollout.value for rollout in rollouts if rollout.source == "expert"]
            self.wall_s += time.monotonic() - started
            steps = self.learner.steps + self.learner.config.action_repeat * sum(map(len, rollouts))
            row = {"round": number, "steps": steps, "labels": labels, "error": error, "returns": returns}
            row |= {"return": float(np.mean(returns)), "expert_return": float(np.mean(own)) if own else None}
            self.curve.append({**row, "wall_s": self.wall_s})
            self._save()
            if progress:
                progress(self.curve[-1])

    def evaluate(self, first_seed: int, episodes: int = EVALUATION_EPISODES) -> list[float]:
        """Returns of whole episodes of the policy's mean actions; they cost no budget and are not learnt from."""
        assert self.policy is not None
        actor, steps = PolicyActor(self.spec, self.policy), self.env.reward.steps
        seeds = [first_seed + 1000 * self.seed + episode for episode in range(episodes)]
        return [roll_out(self.env, actor, seed, steps, "policy").value for seed in seeds]

    def _wanted(self, number: int) -> list[Wanted]:
        """What has to be recorded before the regression of round ``number``, and is not yet."""
        config, steps = self.config, self.env.reward.steps
        rollouts, labels = self.folder / "rollouts", self.folder / "labels"
        wanted = []
        if number == 0:
            for index in range(config.expert_rollouts):
                path = rollouts / f"00_{index:04d}.safetensors"
                wanted.append(Wanted("expert", path, 0, steps, config.action_noise))
            for index in range(newest(self.learner, config.relabelled_steps)):
                wanted.append(Wanted("label", labels / f"{index:04d}.safetensors", 0, steps, episode=index))
        else:
            policy, length = self.folder / POLICY_FILE, config.round_steps or steps
            for index in range(config.round_rollouts):
                path = rollouts / f"{number:02d}_{index:04d}.safetensors"
                wanted.append(Wanted("policy", path, 0, length, policy=policy))
        seeds = np.random.default_rng([self.seed, number, 7]).integers(2**31, size=len(wanted))
        wanted = [dataclasses.replace(each, seed=int(seed)) for each, seed in zip(wanted, seeds, strict=True)]
        return [each for each in wanted if not each.path.exists()]

    def _fit(self, labelled: list[Rollout], number: int) -> float:
        observe, config = Observation(self.spec), self.config
        asked = [rollout for rollout in labelled if len(rollout.labels)]
        o = np.concatenate([observe(rollout.measurements[:-1]) for rollout in asked])
        u = np.concatenate([rollout.labels for rollout in asked])
        if config.clone.symmetries:
            o, u = mirrored(self.spec, o, u)
        seed = int(np.random.default_rng([self.seed, number, 8]).integers(2**31))
        policy = self.policy
        if policy is None or not config.warm_start:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                policy = GaussianPolicy(o.shape[1], u.shape[1], config.policy)
        error = clone(policy, o, u, config.clone, seed)
        policy.log_std.fill_(float(np.log(config.initial_std or max(error, 1e-3))))
        self.policy = policy
        return error

    def _save(self) -> None:
        assert self.policy is not None
        info = PolicyInfo(
            robot=self.spec.name,
            layout_hash=Observation(self.spec).layout_hash,
            task=self.learner.task,
            action_repeat=self.learner.config.action_repeat,
            steps=self.steps,
            extra={"by": "mbmf imitate", "identity": self.identity, "return": self.curve[-1]["return"]},
        )
        save_policy(self._kept(len(self.curve)), self.policy, info)
        state = {"identity": self.identity, "curve": self.curve, "wall_s": self.wall_s}
        draft = self.folder / f"{RUN_FILE}.partial"
        draft.write_text(json.dumps(state), "utf-8")
        draft.replace(self.folder / RUN_FILE)
        save_policy(self.folder / POLICY_FILE, self.policy, info)
        self._kept(len(self.curve) - 1).unlink(missing_ok=True)

    def _restore(self) -> None:
        file = self.folder / RUN_FILE
        if not file.exists():
            return
        try:
            state = json.loads(file.read_text("utf-8"))
            identity, self.curve, self.wall_s = state["identity"], state["curve"], float(state["wall_s"])
        except (ValueError, KeyError, TypeError) as error:
            raise MbmfError(f"{file} is damaged ({error}); remove the folder to begin anew") from error
        if identity != self.identity:
            raise MbmfError(f"{self.folder} holds another run: {difference(identity, self.identity)}; choose another")
        self.policy, info = load_policy(self._kept(len(self.curve)), self.spec)
        save_policy(self.folder / POLICY_FILE, self.policy, info)

    def _kept(self, rounds: int) -> Path:
        """Where the policy after so many regressions is kept: written before ``run.json`` says that it counts."""
        return self.folder / f"policy_{rounds:02d}.safetensors"
