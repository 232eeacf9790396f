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
from mbmf_ros.control.checkpoint import RUN_FILE, completed, difference, model_info
from mbmf_ros.data.store import Episode
from mbmf_ros.dynamics.io import fingerprint, load_model, save_model
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.cloning import clone, mirrored
from mbmf_ros.policy.expert import check_expert
from mbmf_ros.policy.files import POLICY_FILE
from mbmf_ros.policy.gaussian import GaussianPolicy, PolicyActor
from mbmf_ros.policy.improvement import improve
from mbmf_ros.policy.io import PolicyInfo, load_policy, save_policy
from mbmf_ros.policy.observation import Observation
from mbmf_ros.policy.recipes import ImitationConfig
from mbmf_ros.policy.recording import Guidance, Recorder, Wanted
from mbmf_ros.policy.rollouts import Rollout, labelled, load_rollout, load_rollouts, recorded, roll_out
from mbmf_ros.whole_file import write_whole

_REPLAYED_AT_ONCE = 250  # a file
_CANDIDATES = ("act", "improve")  # stages whose policies act, and may be the result
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
        with Recorder(self.source, self.workers, self.robot_name) as recorder:
            while len(self.curve) <= self.config.rounds:
                self._round(lambda number: self._imitate(number, recorder), progress)
        improvement = self.config.improvement
        if not improvement.rounds:
            return
        stages = [self._act, *[self._improve] * improvement.rounds, *[self._choose] * (improvement.finalists > 1)]
        while (number := len(self.curve)) - self.config.rounds <= len(stages):
            self._round(stages[number - self.config.rounds - 1], progress)

    def _round(self, make: Callable[[int], dict[str, Any]], progress: Callable[[dict[str, Any]], None] | None) -> None:
        """The next round: ``make`` it, evaluate, and keep what came out."""
        started, number = time.monotonic(), len(self.curve)
        row = make(number)
        returns = self.evaluate(_EVALUATION_SEED)
        rollouts = load_rollouts(self.folder / "rollouts", self.spec)
        steps = self.learner_steps + self.learner.config.action_repeat * sum(map(len, rollouts))
        own = [rollout.value for rollout in rollouts if rollout.source == "expert"]
        self.wall_s += time.monotonic() - started
        row = {"round": number, **row, "steps": steps, "returns": returns, "return": float(np.mean(returns))}
        row |= {"expert_return": float(np.mean(own)) if own else None, "wall_s": self.wall_s}
        self.curve.append(row)
        self._save()
        if progress:
            progress(row)

    def evaluate(self, first_seed: int, episodes: int = EVALUATION_EPISODES) -> list[float]:
        """Returns of whole episodes of the policy's mean actions; they cost no budget and are not learnt from."""
        assert self.policy is not None
        actor, steps = PolicyActor(self.spec, self.policy), self.env.reward.steps
        seeds = [first_seed + 1000 * self.seed + episode for episode in range(episodes)]
        return [roll_out(self.env, actor, seed, steps, "policy").value for seed in seeds]

    def _imitate(self, number: int, recorder: Recorder) -> dict[str, Any]:
        """Record what is to be imitated, and clone."""
        recorder.record(self._wanted(number))
        labels, error = self._fit(number)
        return {"stage": "clone" if number == 0 else "dagger", "labels": labels, "error": error}

    def _improve(self, number: int) -> dict[str, Any]:
        """Make the policy better in the model, let it act, and learn from that."""
        assert self.policy is not None
        rng = np.random.default_rng([self.seed, number, 9])
        imagined = improve(self.policy, self.learner, self.config.improvement, int(rng.integers(2**31)))
        values = self._rollouts(number, rng)
        self.learner.aggregate(self._episodes([number]), number)
        return {"stage": "improve", "imagined_reward": imagined, "rollout_returns": values}

    def _act(self, number: int) -> dict[str, Any]:
        """Let the policy that imitates act, and the model learn from everything so far.

        What improvement makes of the policy has to be better than this: it may also be worse.
        """
        values = self._rollouts(number, np.random.default_rng([self.seed, number, 9]))
        self.learner.aggregate(self._episodes(range(number + 1)), number)
        return {"stage": "act", "rollout_returns": values}

    def _rollouts(self, number: int, rng: np.random.Generator) -> list[float]:
        """Returns of whole episodes of the policy, of ``real_steps`` together: they tell how good it is."""
        assert self.policy is not None
        steps, values = 0, []
        while steps < self.config.improvement.real_steps:
            made = self._roll_out(self.policy, number, len(values), int(rng.integers(2**31)))
            steps += self.learner.config.action_repeat * len(made)
            values.append(made.value)
        return values

    def _choose(self, number: int) -> dict[str, Any]:
        """Let the policies that did best act again, and take the best: few rollouts say little, the luckiest least."""
        config = self.config.improvement
        rng = np.random.default_rng([self.seed, number, 9])
        rounds = [row for row in self.curve if row["stage"] in _CANDIDATES]
        rounds.sort(key=lambda row: -np.mean(row["rollout_returns"]))
        best, chosen, finalists = -np.inf, 0, []
        for row in rounds[: config.finalists]:
            policy = load_policy(self._kept(row["round"] + 1), self.spec)[0]
            begin, values = len(finalists) * config.final_episodes, []
            for index in range(begin, begin + config.final_episodes):
                values.append(self._roll_out(policy, number, index, int(rng.integers(2**31))).value)
            finalists.append({"round": row["round"], "rollout_returns": values})
            if np.mean(values) > best:
                best, chosen, self.policy = np.mean(values), row["round"], policy
        return {"stage": "choose", "chosen": chosen, "finalists": finalists}

    def _roll_out(self, policy: GaussianPolicy, number: int, index: int, seed: int) -> Rollout:
        """A whole episode of a policy, recorded unless it was already."""
        file, actor = self._file("rollouts", number, index), PolicyActor(self.spec, policy)
        return recorded(file, self.env, actor, seed, self.env.reward.steps, "policy")

    def _episodes(self, rounds: Iterable[int]) -> list[Episode]:
        """What was recorded in some rounds, to learn from."""
        paths = [path for number in rounds for path in sorted((self.folder / "rollouts").glob(f"{number:02d}_*"))]
        rollouts = [load_rollout(path, self.spec) for path in paths if path.suffix == ".safetensors"]
        return [Episode(rollout.measurements, rollout.actions, "on_policy") for rollout in rollouts]

    def _wanted(self, number: int) -> list[Wanted]:
        """What has to be recorded before the regression of round ``number``, and is not yet."""
        config, steps = self.config, self.env.reward.steps
        wanted = []
        if number == 0:
            for index in range(config.expert_rollouts):
                wanted.append(Wanted("expert", self._file("rollouts", 0, index), 0, steps, config.action_noise))
        else:
            guided = Guidance(config.guide_noise, config.guide_iterations) if config.guided else None
            policy, length = self._kept(number), config.round_steps or steps
            for index in range(config.round_rollouts):
                wanted.append(
                    Wanted("policy", self._file("rollouts", number, index), 0, length, policy=policy, guided=guided)
                )
            replays = config.round_replays if config.guided else 0  # a plan by itself needs what led to a state
            for index, begin in enumerate(range(0, replays, _REPLAYED_AT_ONCE)):
                count = min(_REPLAYED_AT_ONCE, replays - begin)
                wanted.append(
                    Wanted("replay", self._file("replays", number, index), 0, count, policy=policy, guided=guided)
                )
        seeds = np.random.default_rng([self.seed, number, 7]).integers(2**31, size=len(wanted))
        wanted = [dataclasses.replace(each, seed=int(seed)) for each, seed in zip(wanted, seeds, strict=True)]
        return [each for each in wanted if not each.path.exists()]

    def _fit(self, number: int) -> tuple[int, float]:
        """Clone from the labels of the remembered rounds: their number, and the error that is left."""
        observe, config = Observation(self.spec), self.config
        first = max(0, number + 1 - config.remembered_rounds) if config.remembered_rounds else 0
        measured, u = labelled(self.folder, range(first, number + 1), self.spec)
        if not len(u):
            raise MbmfError("no labels to imitate; raise expert_rollouts")
        o = observe(measured)
        labels = len(o)
        if config.clone.symmetries:
            o, u = mirrored(self.spec, o, u)
        seed = int(np.random.default_rng([self.seed, number, 8]).integers(2**31))
        policy = self.policy
        if policy is None or not config.warm_start:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                policy = GaussianPolicy(o.shape[1], u.shape[1], config.policy)
            policy.begin(torch.from_numpy(o))
        error = clone(policy, o, u, config.clone, seed)
        policy.log_std.fill_(float(np.log(config.initial_std or max(error, 1e-3))))
        self.policy = policy
        return labels, error

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
        state = {"identity": self.identity, "curve": self.curve, "wall_s": self.wall_s}
        write_whole(self.folder / RUN_FILE, json.dumps(state).encode())
        self._write_outcome()
        if model is not None:
            self._model(len(self.curve) - 1).unlink(missing_ok=True)

    @property
    def outcome(self) -> dict[str, Any]:
        """The row of the policy that is the result: the last one, or, of those that acted by themselves and unless one
        was chosen, the one whose rollouts returned most.

        These rollouts are part of the budget; the evaluations, which are not, decide nothing.
        """
        if self.curve[-1]["stage"] == "choose":
            return self.curve[-1]
        acted = [row for row in self.curve if row["stage"] in _CANDIDATES]
        return max(acted, key=lambda row: np.mean(row["rollout_returns"])) if acted else self.curve[-1]

    def _write_outcome(self) -> None:
        policy, info = load_policy(self._kept(self.outcome["round"] + 1), self.spec)
        save_policy(self.folder / POLICY_FILE, policy, dataclasses.replace(info, steps=self.steps))

    def _restore(self) -> None:
        file = self.folder / RUN_FILE
        if not file.exists():
            return
        try:
            state = json.loads(file.read_text("utf-8"))
            identity, self.curve, self.wall_s = state["identity"], state["curve"], float(state["wall_s"])
        except (ValueError, KeyError, TypeError) as error:
            raise MbmfError(f"{file} is damaged ({error}); remove the folder to begin anew") from error
        identity = completed(identity, {"config": json.loads(json.dumps(dataclasses.asdict(ImitationConfig())))})
        if identity != self.identity:
            raise MbmfError(f"{self.folder} holds another run: {difference(identity, self.identity)}; choose another")
        self.policy, _ = load_policy(self._kept(len(self.curve)), self.spec)
        if len(self.curve) > self.config.rounds + 1:
            for episode in self._episodes(range(len(self.curve))):
                self.learner.own.add(episode)
            self.learner.model = load_model(self._model(len(self.curve)), self.spec)[0]
        self._write_outcome()

    def _file(self, folder: str, number: int, index: int) -> Path:
        return self.folder / folder / f"{number:02d}_{index:04d}.safetensors"

    def _model(self, rounds: int) -> Path:
        return self.folder / f"model_{rounds:02d}.safetensors"

    def _kept(self, rounds: int) -> Path:
        """Where the policy after so many regressions is kept: written before ``run.json`` says that it counts."""
        return self.folder / f"policy_{rounds:02d}.safetensors"
