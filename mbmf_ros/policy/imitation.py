"""Imitating the planner: behaviour cloning of its rollouts, then DAgger, in which it says what it would have done; then
improvement in the learned model, and a choice among the policies that this gave.

Every rollout is a file of its own and depends on the seed, its number and the policy that acts only, so a run may be
killed at any time and goes on as if it had not been; how many processes record makes no difference.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mbmf_ros.control.algorithm import EVALUATION_EPISODES, Learner
from mbmf_ros.control.checkpoint import model_info
from mbmf_ros.data.store import Episode
from mbmf_ros.dynamics.io import fingerprint, load_model, save_model
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.cloning import clone, mirrored
from mbmf_ros.policy.expert import check_expert, keep_data
from mbmf_ros.policy.files import LEARNING_FILE, POLICY_FILE
from mbmf_ros.policy.gaussian import GaussianPolicy, PolicyActor
from mbmf_ros.policy.improvement import improve
from mbmf_ros.policy.io import PolicyInfo, load_policy, save_policy
from mbmf_ros.policy.observation import Observation
from mbmf_ros.policy.recipes import ImitationConfig
from mbmf_ros.policy.recording import Recorder, file_of, wanted_of
from mbmf_ros.policy.rollouts import Rollout, labelled, load_rollouts, recorded, roll_out
from mbmf_ros.policy.run_file import keep_run, kept_run
from mbmf_ros.policy.stages import CANDIDATES, outcome_of, stages_of
from mbmf_ros.terminal import busy

_EVALUATION_SEED = 2_000_000  # start states of evaluations are never those of learning


class Imitation:
    """One run of imitation, kept in a folder.

    Args:
        source: the expert's run of Algorithm 1, in a folder.
        learner: what is in that folder.
        config: settings.
        seed: of everything random.
        folder: where to keep the run.
        workers: processes that record.
        robot_name: the robot as users name it.

    Raises:
        MbmfError: the folder holds another run, or the expert cannot do what the settings ask for.
    """

    def __init__(
        self,
        source: Path,
        learner: Learner,
        config: ImitationConfig,
        seed: int,
        folder: Path,
        workers: int = 1,
        robot_name: str = "",
    ):
        check_expert(learner, config)
        self.robot_name = robot_name
        self.learner, self.config, self.seed, self.folder, self.workers = learner, config, seed, folder, workers
        self.source, self.learner_steps = source, learner.steps
        assert learner.model is not None
        self.spec, self.env = learner.spec, learner.env
        self.stages = stages_of(config)
        self.curve: list[dict[str, Any]] = []
        self.wall_s = 0.0
        self.policy: GaussianPolicy | None = None
        identity = {
            "robot": self.spec.name,
            "task": learner.task,
            "seed": seed,
            "expert": {"seed": learner.seed, "steps": self.learner_steps, "model": fingerprint(learner.model)},
            "config": dataclasses.asdict(config),
        }
        self.identity = json.loads(json.dumps(identity))
        self._restore()

    @property
    def steps(self) -> int:
        """Environment steps so far: those of the expert's run and of all recorded rollouts."""
        return self.curve[-1]["steps"] if self.curve else self.learner_steps

    def run(self, progress: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Clone, then DAgger, then, if wanted, improvement and the choice; goes on from where it is."""
        if not self.curve:  # what is recorded from now on is this run's
            keep_run(self.folder, self.identity, self.curve, self.wall_s)
            keep_data(self.learner, self.folder / LEARNING_FILE)
        with Recorder(self.source, self.workers, self.robot_name) as recorder:
            while len(self.curve) <= self.config.rounds:
                self._round(lambda number: self._imitate(number, recorder), progress)
        make = {"act": self._act, "improve": self._improve, "choose": self._choose}
        while (number := len(self.curve)) < len(self.stages):
            self._round(make[self.stages[number]], progress)

    def _round(self, make: Callable[[int], dict[str, Any]], progress: Callable[[dict[str, Any]], None] | None) -> None:
        """The next round: ``make`` it, evaluate, and keep what came out."""
        started, number = time.monotonic(), len(self.curve)
        row = make(number)
        with busy(self._now("evaluating")):
            returns = self.evaluate(_EVALUATION_SEED)
        rollouts = self._recorded(range(number + 1))
        steps = self._steps(rollouts)
        own = [rollout.value for rollout in rollouts if rollout.source == "expert"]
        self.wall_s += time.monotonic() - started
        row = {"round": number, **row, "steps": steps, "returns": returns, "return": float(np.mean(returns))}
        row |= {"expert_return": float(np.mean(own)) if own else None, "wall_s": self.wall_s}
        self.curve.append(row)
        self._save()
        if progress:
            progress(row)

    def _now(self, what: str) -> str:
        """What is under way, and in which round."""
        return f"round {len(self.curve)} of {len(self.stages) - 1}: {what}"

    def evaluate(self, first_seed: int, episodes: int = EVALUATION_EPISODES) -> list[float]:
        """Returns of whole episodes of the policy's mean actions; they cost no budget and are not learnt from."""
        assert self.policy is not None
        actor, steps = PolicyActor(self.spec, self.policy), self.env.reward.steps
        seeds = [first_seed + 1000 * self.seed + episode for episode in range(episodes)]
        return [roll_out(self.env, actor, seed, steps, "policy").value for seed in seeds]

    def _imitate(self, number: int, recorder: Recorder) -> dict[str, Any]:
        """Record what is to be imitated, and clone."""
        wanted = wanted_of(self.config, self.folder, self.seed, number, self.env.reward.steps, self._kept(number))
        recorder.record(wanted, self._now("recording"))
        labels, error = self._fit(number)
        return {"stage": "clone" if number == 0 else "dagger", "labels": labels, "error": error}

    def _improve(self, number: int) -> dict[str, Any]:
        """Make the policy better in the model, let it act, and learn from that."""
        assert self.policy is not None
        rng = np.random.default_rng([self.seed, number, 9])
        with busy(self._now("improving the policy in the model")):
            imagined = improve(self.policy, self.learner, self.config.improvement, int(rng.integers(2**31)))
        values = self._rollouts(number, rng)
        with busy(self._now("training the model")):
            self.learner.aggregate(self._episodes([number]), number)
        return {"stage": "improve", "imagined_reward": imagined, "rollout_returns": values}

    def _act(self, number: int) -> dict[str, Any]:
        """Let the policy that imitates act, and the model learn from everything so far.

        What improvement makes of the policy has to be better than this: it may also be worse.
        """
        values = self._rollouts(number, np.random.default_rng([self.seed, number, 9]))
        with busy(self._now("training the model")):
            self.learner.aggregate(self._episodes(range(number + 1)), number)
        return {"stage": "act", "rollout_returns": values}

    def _rollouts(self, number: int, rng: np.random.Generator) -> list[float]:
        """Returns of whole episodes of the policy, of ``real_steps`` together: they tell how good it is."""
        assert self.policy is not None
        steps, values = 0, []
        with busy(self._now("the policy acts")):
            while steps < self.config.improvement.real_steps:
                made = self._roll_out(self.policy, number, len(values), int(rng.integers(2**31)))
                steps += self.learner.config.action_repeat * len(made)
                values.append(made.value)
                if not steps and len(values) == 20:
                    raise MbmfError(f"the simulation of {self.spec.name!r} diverged at the first step of 20 rollouts")
        return values

    def _choose(self, number: int) -> dict[str, Any]:
        """Let the policies that did best act again, and take the best: few rollouts say little, the luckiest least."""
        config = self.config.improvement
        rng = np.random.default_rng([self.seed, number, 9])
        rounds = [row for row in self.curve if row["stage"] in CANDIDATES]
        rounds.sort(key=lambda row: -np.mean(row["rollout_returns"]))
        best, chosen, finalists = -np.inf, 0, []
        for row in rounds[: config.finalists]:
            policy = load_policy(self._kept(row["round"] + 1), self.spec)[0]
            begin, values = len(finalists) * config.final_episodes, []
            with busy(self._now(f"finalist {len(finalists) + 1} of {config.finalists} acts")):
                for index in range(begin, begin + config.final_episodes):
                    values.append(self._roll_out(policy, number, index, int(rng.integers(2**31))).value)
            finalists.append({"round": row["round"], "rollout_returns": values})
            if np.mean(values) > best:
                best, chosen, self.policy = np.mean(values), row["round"], policy
        return {"stage": "choose", "chosen": chosen, "finalists": finalists}

    def _roll_out(self, policy: GaussianPolicy, number: int, index: int, seed: int) -> Rollout:
        """A whole episode of a policy, recorded unless it was already."""
        file, actor = file_of(self.folder, "rollouts", number, index), PolicyActor(self.spec, policy)
        return recorded(file, self.env, actor, seed, self.env.reward.steps, "policy")

    def _episodes(self, rounds: Iterable[int]) -> list[Episode]:
        """What was recorded in some rounds, to learn from."""
        return [Episode(made.measurements, made.actions, "on_policy") for made in self._recorded(rounds)]

    def _recorded(self, rounds: Iterable[int]) -> list[Rollout]:
        return [made for number in rounds for made in load_rollouts(self.folder / "rollouts", self.spec, number)]

    def _steps(self, rollouts: Iterable[Rollout]) -> int:
        """Environment steps of the expert's run and of ``rollouts``."""
        return self.learner_steps + self.learner.config.action_repeat * sum(map(len, rollouts))

    def _fit(self, number: int) -> tuple[int, float]:
        """Clone from the labels of the remembered rounds: their number, and the error that is left."""
        config = self.config
        measured, u = self._labels(number)
        if not len(measured):
            why = f"the simulation of {self.spec.name!r} diverged at the first step of every episode"
            raise MbmfError(f"nothing to imitate: {why}; make its physics_dt_s smaller, and remove {self.folder}")
        o = Observation(self.spec)(measured)
        if config.clone.symmetries:
            o, u = mirrored(self.spec, o, u)
        seed = int(np.random.default_rng([self.seed, number, 8]).integers(2**31))
        policy = self.policy
        if policy is None or not config.warm_start:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                policy = GaussianPolicy(o.shape[1], u.shape[1], config.policy)
            policy.begin(torch.from_numpy(o))
        with busy(self._now("cloning")):
            error = clone(policy, o, u, config.clone, seed)
        policy.log_std.fill_(float(np.log(config.initial_std or max(error, 1e-3))))
        self.policy = policy
        return len(measured), error

    def _labels(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Measurements and labels of the rounds that are remembered in round ``number``."""
        remembered = self.config.remembered_rounds
        first = max(0, number + 1 - remembered) if remembered else 0
        return labelled(self.folder, range(first, number + 1), self.spec)

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
        model = self.learner.model if len(self.curve) > self.config.rounds + 1 else None  # learnt from what followed
        if model is not None:
            save_model(self._model(len(self.curve)), model, model_info(self.learner, self.identity))
        keep_run(self.folder, self.identity, self.curve, self.wall_s)
        self._write_outcome()
        if model is not None:
            self._model(len(self.curve) - 1).unlink(missing_ok=True)

    @property
    def outcome(self) -> dict[str, Any]:
        """The row of the policy that is the result.

        Raises:
            MbmfError: there is none yet.
        """
        return outcome_of(self.curve)

    def _write_outcome(self) -> None:
        policy, info = load_policy(self._kept(self.outcome["round"] + 1), self.spec)
        save_policy(self.folder / POLICY_FILE, policy, dataclasses.replace(info, steps=self.steps))

    def _restore(self) -> None:
        self.curve, self.wall_s = kept_run(self.folder, self.identity)
        if not self.curve:
            return
        self._check_complete()
        self.policy, _ = load_policy(self._kept(len(self.curve)), self.spec)
        if len(self.curve) > self.config.rounds + 1:
            for episode in self._episodes(range(len(self.curve))):
                self.learner.own.add(episode)
            self.learner.model = load_model(self._model(len(self.curve)), self.spec)[0]
        self._write_outcome()

    def _check_complete(self) -> None:
        """Refuse to go on where recorded steps, or labels that are still learnt from, are missing."""
        last, row = len(self.curve) - 1, self.curve[-1]
        found = {"steps": self._steps(self._recorded(range(last + 1)))}
        if last < self.config.rounds:
            found["labels"] = len(self._labels(last)[1])
        for what, number in found.items():
            if number != row.get(what, number):
                raise MbmfError(
                    f"{self.folder}: expected {row[what]} {what}, found {number}; put the files in rollouts/ and "
                    "replays/ back, or remove the folder to begin anew"
                )

    def _model(self, rounds: int) -> Path:
        return self.folder / f"model_{rounds:02d}.safetensors"

    def _kept(self, rounds: int) -> Path:
        """Where the policy after so many regressions is kept: written before ``run.json`` says that it counts."""
        return self.folder / f"policy_{rounds:02d}.safetensors"
