"""Recording of rollouts for imitation, on several processes."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbmf_ros.control.algorithm import Learner
from mbmf_ros.policy.expert import expert_of, open_run
from mbmf_ros.policy.gaussian import PolicyActor
from mbmf_ros.policy.io import load_policy
from mbmf_ros.policy.rollouts import Rollout, roll_out, save_rollout
from mbmf_ros.terminal import progress
from mbmf_ros.threads import one_thread

_opened: dict[Path, Learner] = {}  # in a worker


@dataclass(frozen=True)
class Wanted:
    """A rollout to record.

    Attributes:
        kind: ``expert`` acts, ``policy`` acts and the expert labels, or ``label``: what the run recorded is labelled.
        path: the file to write.
        seed: of the start and of everything random.
        steps: longest length.
        noise: standard deviation of the noise on the expert's actions.
        policy: file of the policy that acts.
        episode: which of the run's own episodes to label, from the last one on.
    """

    kind: str
    path: Path
    seed: int
    steps: int
    noise: float = 0.0
    policy: Path = Path()
    episode: int = 0


class Recorder:
    """Records on ``workers`` processes; with one, in this one.

    Args:
        source: folder of the expert's run.
        workers: processes.
    """

    def __init__(self, source: Path, workers: int):
        self.source, self.workers = source, workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._pool is None:
            return
        if kind is not None:  # nobody waits for rollouts that nobody wants any more
            for worker in multiprocessing.active_children():
                worker.terminate()
        self._pool.shutdown(cancel_futures=True)

    def record(self, wanted: Sequence[Wanted]) -> None:
        """Record all of ``wanted``."""
        if not wanted:
            return
        with progress("recording", len(wanted)) as report:
            if self.workers == 1 or len(wanted) == 1:
                for done, each in enumerate(wanted):
                    _record(self.source, each)
                    report(done + 1)
                return
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, context, initializer=_begin)
            tasks = [self._pool.submit(_record, self.source, each) for each in wanted]
            for done, task in enumerate(tasks):
                task.result()
                report(done + 1)


def _begin() -> None:
    """In a new process: Ctrl-C is for the first one, which ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    one_thread()


def _record(source: Path, wanted: Wanted) -> None:
    if source not in _opened:
        _opened[source] = open_run(source)
    learner = _opened[source]
    save_rollout(wanted.path, _rollout(learner, wanted), learner.spec)


def _rollout(learner: Learner, wanted: Wanted) -> Rollout:
    env, spec = learner.env, learner.spec
    expert = expert_of(learner, wanted.seed)
    if wanted.kind == "label":
        episode = learner.own.episodes[-1 - wanted.episode]
        labels = np.stack([expert(m) for m in episode.measurements[:-1]])
        unknown = np.zeros(len(episode))  # a run keeps no rewards
        return Rollout(episode.measurements, episode.actions, unknown, False, labels, "learning")
    if wanted.kind == "policy":
        actor = PolicyActor(spec, load_policy(wanted.policy, spec)[0])
        return roll_out(env, actor, wanted.seed, wanted.steps, "policy", expert)
    rng, labels = np.random.default_rng(wanted.seed), []

    def act(m: np.ndarray) -> np.ndarray:
        labels.append(expert(m))
        return labels[-1] + wanted.noise * rng.standard_normal(spec.nu)

    made = roll_out(env, act, wanted.seed, wanted.steps, "expert")
    return Rollout(made.measurements, made.actions, made.rewards, made.terminated, np.stack(labels), "expert")
