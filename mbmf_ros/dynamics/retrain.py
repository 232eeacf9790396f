"""Retraining in a process of its own, so that nothing that controls a robot ever waits for it.

``python -m mbmf_ros.dynamics.retrain FOLDER`` is the worker; :class:`Retraining` starts and watches it. They exchange
files: settings and verdict as JSON, transitions and models as safetensors.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mbmf_ros.config import override
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.io import load_model, save_model
from mbmf_ros.dynamics.learn import train_model
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.dynamics.training import TrainConfig
from mbmf_ros.dynamics.validation import validate
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot
from mbmf_ros.threads import one_thread

NICENESS = 15
_TASK, _VERDICT = "task.json", "verdict.json"
_NEW, _CURRENT, _MODEL = "transitions.safetensors", "current.safetensors", "model.safetensors"


@dataclass(frozen=True)
class RetrainTask:
    """What the worker is told.

    Attributes:
        robot: name of the spec.
        base_data: a file of transitions to train on too; empty for none.
        min_transitions: fewer than this are refused.
        seed: of initial weights and batches.
        dynamics, training: architecture, and how to fit.
    """

    robot: str
    base_data: str = ""
    min_transitions: int = 1
    seed: int = 0
    dynamics: DynamicsConfig = field(default_factory=DynamicsConfig)
    training: TrainConfig = field(default_factory=TrainConfig)


@dataclass(frozen=True)
class Verdict:
    """How a retraining ended.

    Attributes:
        accepted: whether the new model may replace the one in force.
        reason: one line for people.
        model: bytes of the new model's file, if accepted.
    """

    accepted: bool
    reason: str
    model: bytes = b""


class Retraining:
    """A worker process under way.

    Args:
        task: what to do.
        store: the transitions to train on.
        current: bytes of the file of the model in force, which the new one must not fall behind.

    Raises:
        OSError: the temporary files cannot be written, or the process cannot be started.
    """

    def __init__(self, task: RetrainTask, store: TransitionStore, current: bytes | None):
        self.progress = 0.0  # share done
        self._folder = tempfile.TemporaryDirectory(prefix="mbmf_ros_retrain_")
        folder = Path(self._folder.name)
        (folder / _TASK).write_text(json.dumps(dataclasses.asdict(task)), "utf-8")
        if store.episodes:
            store.save(folder / _NEW)
        if current is not None:
            (folder / _CURRENT).write_bytes(current)
        self._errors = (folder / "errors.txt").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mbmf_ros.dynamics.retrain", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )
        assert self._process.stdout
        os.set_blocking(self._process.stdout.fileno(), False)
        self._unread = b""

    @property
    def pid(self) -> int:
        """Of the worker."""
        return self._process.pid

    def poll(self) -> Verdict | None:
        """Read the progress; the verdict once the worker has ended. Never blocks."""
        ended = self._process.poll() is not None
        assert self._process.stdout
        *lines, self._unread = (self._unread + (self._process.stdout.read() or b"")).split(b"\n")
        if lines:
            self.progress = float(lines[-1])
        if not ended:
            return None
        try:
            return self._verdict()
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Stop the worker and remove its files."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()
        self._folder.cleanup()

    def _verdict(self) -> Verdict:
        folder = Path(self._folder.name)
        if self._process.returncode:
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines()
            return Verdict(False, said[-1] if said else f"the worker ended with code {self._process.returncode}")
        verdict = json.loads((folder / _VERDICT).read_text("utf-8"))
        model = (folder / _MODEL).read_bytes() if verdict["accepted"] else b""
        return Verdict(verdict["accepted"], verdict["reason"], model)


def moving(store: TransitionStore) -> TransitionStore:
    """The episodes in which anything but the safe action was applied: standing still teaches nothing."""
    safe = np.array(store.spec.safe_action)
    return TransitionStore(store.spec, [episode for episode in store.episodes if (episode.actions != safe).any()])


def hold_out(store: TransitionStore, share: float) -> tuple[TransitionStore, TransitionStore]:
    """Episodes to train on and to validate on, about ``share`` of them.

    The choice depends on each episode's own content: a model is not validated on what it, or a model retrained here
    before it, was trained on. One from ``mbmf train`` splits otherwise: with ``base_data`` that it was trained on, the
    comparison favours it.

    Raises:
        MbmfError: fewer than two episodes.
    """
    if len(store.episodes) < 2:
        raise MbmfError(f"expected at least 2 episodes, one to validate on, got {len(store.episodes)}; go on recording")
    draws = [zlib.crc32(episode.measurements[0].tobytes()) / 2**32 for episode in store.episodes]
    border = min(max(share, min(draws)), sorted(draws)[-2])  # at least one episode on either side
    train, held = TransitionStore(store.spec), TransitionStore(store.spec)
    for episode, draw in zip(store.episodes, draws, strict=True):
        (held if draw <= border else train).episodes.append(episode)
    return train, held


def compare(model: Dynamics, current: Dynamics | None, held: TransitionStore) -> tuple[bool, str]:
    """Whether ``model`` is finite and no worse open loop on ``held`` than ``current``; and why, for people."""
    new = validate(model, held).nrmse
    horizon = max(new, default=0)
    error = new.get(horizon, math.nan)
    if not math.isfinite(error):
        return False, "refused: the new model's predictions are not finite, or no held-out episode is long enough"
    now = f"error over {horizon} steps {error:.3f}"
    if current is None or current.profile.name != model.profile.name:
        return True, f"accepted: {now}"
    before = validate(current, held).nrmse[horizon]
    if error > before:
        return False, f"refused: {now}, the model in force has {before:.3f}"
    return True, f"accepted: {now}, before {before:.3f}"


def work(folder: Path) -> None:
    """Train, validate, and write model and verdict into ``folder``; prints the share done, a line a second.

    Raises:
        MbmfError: unusable data, or training diverged.
    """
    values = json.loads((folder / _TASK).read_text("utf-8"))
    task = override(RetrainTask(values["robot"]), values, "retraining")
    spec = robot(task.robot)
    store = TransitionStore(spec)
    if task.base_data:
        store.extend(TransitionStore.load(Path(task.base_data), spec))
    if (folder / _NEW).exists():
        store.extend(TransitionStore.load(folder / _NEW, spec))
    if store.transitions < task.min_transitions:
        raise MbmfError(
            f"{store.transitions} transitions are too few, expected {task.min_transitions}; go on recording"
        )
    train, held = hold_out(store, task.training.holdout)

    def report(share: float, loss: float) -> None:
        print(f"{share:.4f}", flush=True)

    model, info, _, _ = train_model(train, task.dynamics, task.training, task.seed, report, held=held)
    current = load_model(folder / _CURRENT, spec)[0] if (folder / _CURRENT).exists() else None
    accepted, reason = compare(model, current, held)
    save_model(folder / _MODEL, model, info)
    (folder / _VERDICT).write_text(json.dumps({"accepted": accepted, "reason": reason}), "utf-8")


def main() -> int:
    """The worker process."""
    os.nice(NICENESS)
    one_thread()
    try:
        work(Path(sys.argv[1]))
    except MbmfError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever waited for the result was killed
        shutil.rmtree(sys.argv[1], ignore_errors=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
