"""Recording of rollouts for imitation, on several processes."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbmf_ros.children import die_with
from mbmf_ros.control.algorithm import Learner
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.expert import expert_of, open_run, teacher_of
from mbmf_ros.policy.gaussian import PolicyActor
from mbmf_ros.policy.guide import Guide
from mbmf_ros.policy.io import load_policy
from mbmf_ros.policy.recipes import ImitationConfig
from mbmf_ros.policy.rollouts import Labels, Rollout, roll_out, save_labels, save_rollout
from mbmf_ros.terminal import progress
from mbmf_ros.threads import one_thread

_REPLAYED_AT_ONCE = 250  # a file
_opened: dict[Path, Learner] = {}  # in a worker


@dataclass(frozen=True)
class Wanted:
    """A rollout to record.

    Attributes:
        kind: ``expert`` acts, ``policy`` acts and the expert labels, or ``replay``: states of the expert's run are
            labelled.
        path: the file to write.
        seed: of the start and of everything random.
        steps: longest length; of a replay the number of states.
        noise: standard deviation of the noise on the expert's actions.
        policy: file of the policy that acts.
        guided: how the expert labels; None: by itself.
    """

    kind: str
    path: Path
    seed: int
    steps: int
    noise: float = 0.0
    policy: Path = Path()
    guided: Guidance | None = None


@dataclass(frozen=True)
class Guidance:
    """See :class:`mbmf_ros.policy.guide.Guide`."""

    noise: float
    iterations: int


def file_of(folder: Path, kind: str, number: int, index: int) -> Path:
    """Where an imitation in ``folder`` keeps what it recorded in round ``number``; ``kind``: rollouts or replays."""
    return folder / kind / f"{number:02d}_{index:04d}.safetensors"


def wanted_of(config: ImitationConfig, folder: Path, seed: int, number: int, steps: int, policy: Path) -> list[Wanted]:
    """What has to be recorded before the regression of round ``number``, and is not yet.

    Args:
        config: settings.
        folder: of the imitation.
        seed: of the imitation.
        number: of the round; in the first, 0, the expert acts.
        steps: of a whole episode.
        policy: file of the policy that acts in the others.
    """
    wanted = []
    if number == 0:
        for index in range(config.expert_rollouts):
            wanted.append(Wanted("expert", file_of(folder, "rollouts", 0, index), 0, steps, config.action_noise))
    else:
        guided = Guidance(config.guide_noise, config.guide_iterations) if config.guided else None
        length = config.round_steps or steps
        for index in range(config.round_rollouts):
            file = file_of(folder, "rollouts", number, index)
            wanted.append(Wanted("policy", file, 0, length, policy=policy, guided=guided))
        replays = config.round_replays if config.guided else 0  # a plan by itself needs what led to a state
        for index, begin in enumerate(range(0, replays, _REPLAYED_AT_ONCE)):
            count, file = min(_REPLAYED_AT_ONCE, replays - begin), file_of(folder, "replays", number, index)
            wanted.append(Wanted("replay", file, 0, count, policy=policy, guided=guided))
    seeds = np.random.default_rng([seed, number, 7]).integers(2**31, size=len(wanted))
    wanted = [dataclasses.replace(each, seed=int(drawn)) for each, drawn in zip(wanted, seeds, strict=True)]
    return [each for each in wanted if not each.path.exists()]


class Recorder:
    """Records on ``workers`` processes; with one, in this one.

    Args:
        source: folder of the expert's run.
        workers: processes.
        robot_name: the robot as users name it; see :func:`mbmf_ros.policy.expert.open_run`.
    """

    def __init__(self, source: Path, workers: int, robot_name: str = ""):
        self.source, self.workers, self.robot_name = source, workers, robot_name
        self._pool: ProcessPoolExecutor | None = None
        self._others = set(multiprocessing.active_children())

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._pool is None:
            return
        if kind is not None:  # nobody waits for rollouts that nobody wants any more
            for worker in set(multiprocessing.active_children()) - self._others:
                worker.terminate()
        self._pool.shutdown(cancel_futures=True)

    def record(self, wanted: Sequence[Wanted], what: str = "recording") -> None:
        """Record all of ``wanted``; ``what`` stands at the progress bar."""
        if not wanted:
            return
        with progress(what, len(wanted)) as report:
            if self.workers == 1 or len(wanted) == 1:
                for done, each in enumerate(wanted):
                    _record(self.source, self.robot_name, each)
                    report(done + 1)
                return
            if self._pool is None:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(self.workers, context, initializer=_begin, initargs=(os.getpid(),))
            usual = signal.signal(signal.SIGINT, signal.SIG_IGN)  # new processes have it from their first moment
            try:
                tasks = [self._pool.submit(_record, self.source, self.robot_name, each) for each in wanted]
            finally:
                signal.signal(signal.SIGINT, usual)
            try:
                for done, task in enumerate(tasks):
                    task.result()
                    report(done + 1)
            except BrokenProcessPool as error:
                way_out = "is there too little memory? With --workers 1 less is needed; what was recorded is kept"
                raise MbmfError(f"a recording process died; {way_out}") from error


def _begin(parent: int) -> None:
    """In a new process: Ctrl-C is for the first one, which ends this one; so does its death."""
    die_with(parent)
    one_thread()


def _record(source: Path, robot_name: str, wanted: Wanted) -> None:
    if source not in _opened:
        _opened[source] = open_run(source, robot_name)
    learner = _opened[source]
    env, spec = learner.env, learner.spec
    if wanted.kind == "expert":
        save_rollout(wanted.path, _of_expert(learner, wanted), spec)
        return
    policy, guided = load_policy(wanted.policy, spec)[0], wanted.guided
    if guided is None:
        expert = teacher_of(learner, wanted.seed)
    else:
        expert = Guide(learner, policy, guided.noise, guided.iterations, wanted.seed)
    if wanted.kind == "policy":
        made = roll_out(env, PolicyActor(spec, policy), wanted.seed, wanted.steps, "policy", expert)
        save_rollout(wanted.path, made, spec)
        return
    seen = np.concatenate([episode.measurements[:-1] for episode in learner.own.episodes])
    chosen = seen[np.random.default_rng(wanted.seed).integers(len(seen), size=wanted.steps)]
    save_labels(wanted.path, Labels(chosen, np.stack([expert(m) for m in chosen])), spec)


def _of_expert(learner: Learner, wanted: Wanted) -> Rollout:
    expert, rng, labels = expert_of(learner, wanted.seed), np.random.default_rng(wanted.seed), []

    def act(m: np.ndarray) -> np.ndarray:
        labels.append(expert(m))
        return labels[-1] + wanted.noise * rng.standard_normal(learner.spec.nu)

    made = roll_out(learner.env, act, wanted.seed, wanted.steps, "expert")
    told = np.stack(labels)[: len(made)]  # a step that diverges is labelled, and left out
    return Rollout(made.measurements, made.actions, made.rewards, made.terminated, told, "expert")
