"""Retraining in a process of its own, so that nothing that controls a robot ever waits for it.

``python -m mbmf_ros.dynamics.retrain FOLDER`` is the worker; :class:`Retraining` starts and watches it. They exchange
files: settings and verdict as JSON, transitions and models as safetensors.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from mbmf_ros.config import override
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.acceptance import behind_of
from mbmf_ros.dynamics.io import load_model, save_model
from mbmf_ros.dynamics.refit import RefitConfig, refit
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
        base_data: a file of transitions to train on too, older than all others; empty for none.
        min_transitions: fewer than this are refused.
        max_memory_mb: a worker that needs more ends, and says so; 0: no limit.
        refit: how to train.
    """

    robot: str
    base_data: str = ""
    min_transitions: int = 1
    max_memory_mb: int = 0
    refit: RefitConfig = field(default_factory=RefitConfig)


@dataclass(frozen=True)
class Verdict:
    """How a retraining ended.

    Attributes:
        accepted: whether the new model may replace the one in force.
        reason: one line for people.
        recent_error, old_error: of the new model on held-out data, None where unknown.
        memory_mb: that the worker needed.
        model: bytes of the new model's file, if accepted.
    """

    accepted: bool
    reason: str
    recent_error: float | None = None
    old_error: float | None = None
    memory_mb: int = 0
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
        return Verdict(**verdict, model=(folder / _MODEL).read_bytes() if verdict["accepted"] else b"")


def work(folder: Path) -> None:
    """Train, validate, and write model and verdict into ``folder``; prints the share done, a line a second.

    Raises:
        MbmfError: unusable data, or training diverged.
    """
    values = json.loads((folder / _TASK).read_text("utf-8"))
    task = override(RetrainTask(values["robot"]), values, "retraining")
    _limit_memory(task.max_memory_mb)
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

    def report(share: float, loss: float) -> None:
        print(f"{share:.4f}", flush=True)

    current, said = load_model(folder / _CURRENT, spec) if (folder / _CURRENT).exists() else (None, None)
    behind = behind_of(said.extra) if said else None
    model, info, judgement = refit(store, current, task.refit, report, behind)
    save_model(folder / _MODEL, model, info)
    errors = (judgement.recent_error, judgement.old_error)
    recent, old = (error if math.isfinite(error) else None for error in errors)  # JSON has no NaN
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    verdict = {"accepted": judgement.accepted, "reason": judgement.reason, "recent_error": recent, "old_error": old}
    (folder / _VERDICT).write_text(json.dumps({**verdict, "memory_mb": memory_mb}), "utf-8")


def _limit_memory(limit_mb: int) -> None:
    """No more than ``limit_mb`` [MB] of data, PyTorch's own included."""
    if limit_mb:
        resource.setrlimit(resource.RLIMIT_DATA, (limit_mb << 20, limit_mb << 20))


def main() -> int:
    """The worker process."""
    os.nice(NICENESS)
    one_thread()
    try:
        work(Path(sys.argv[1]))
    except MbmfError as error:
        print(error, file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "alloc" not in str(error):
            raise
        print("the training needs more memory than it may have: keep fewer transitions, or allow more", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever waited for the result was killed
        shutil.rmtree(sys.argv[1], ignore_errors=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
