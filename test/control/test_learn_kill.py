"""`mbmf learn` killed by a signal that nothing can catch, at any moment: it goes on to exactly the same result."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from unittest import mock

import torch

from mbmf_ros.cli import main
from mbmf_ros.dynamics.io import fingerprint, load_model

SETTINGS = (
    "random_steps=120",
    "random_episode_steps=30",
    "random_holdout=0.25",
    "iteration_steps=30",
    "episode_steps=30",
    "planner_settings.batch_size=8",
    "planner_settings.time_steps=4",
    "dynamics.hidden=16",
    "first.min_updates=20",
    "refit.min_updates=10",
)
ITERATIONS = 6
BUDGET = 120 + 30 * (ITERATIONS - 1)
PROCESSES = multiprocessing.get_context("forkserver")  # each is one of its own; the imports are done once for all
PROCESSES.set_forkserver_preload(["mbmf_ros.cli", "mbmf_ros.control.recipes", "mbmf_ros.robots.sim", __name__])


def learn(folder: Path, fatal: str) -> None:
    """Learn; end by that signal at the moment when the file ``fatal`` would become whole."""
    torch.set_num_threads(1)
    replace = Path.replace

    def unless_fatal(draft: Path, target: Path) -> Path:
        if target.name == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(draft, target)

    words = ["learn", "--robot", "swimmer", "--seed", "5", "--episodes", "1", "--budget", str(BUDGET)]
    words += ["--folder", str(folder), "--json", str(folder.with_suffix(".json")), "--set", *SETTINGS]
    with mock.patch.object(Path, "replace", unless_fatal):
        raise SystemExit(main(words))


def begin(folder: Path, fatal: str = "") -> ForkServerProcess:
    process = PROCESSES.Process(target=learn, args=(folder, fatal))
    process.start()
    return process


def ended(process: ForkServerProcess) -> int | None:
    process.join(120)
    return process.exitcode


def iterations(folder: Path) -> int:
    """How many the run has, by the file that makes them count."""
    file = folder / "run.json"
    return len(json.loads(file.read_text())["curve"]) if file.exists() else 0


def kill_once(process: ForkServerProcess, condition: Callable[[], bool]) -> bool:
    """Kill it as soon as the condition holds; whether it did before the end."""
    while process.exitcode is None:
        if condition():
            process.kill()
            return ended(process) == -signal.SIGKILL
        process.join(0.0002)
    return False


def result(folder: Path) -> tuple[str, list[dict], list[float]]:
    model, _ = load_model(folder / f"model_{ITERATIONS:04d}.safetensors")
    out = json.loads(folder.with_suffix(".json").read_text())
    curve = [{key: value for key, value in row.items() if key != "wall_s"} for row in out["curve"]]
    return fingerprint(model), curve, out["final_returns"]


def test_a_killed_run_ends_as_if_it_had_not_been_killed(tmp_path: Path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert ended(begin(whole)) == 0

    for fatal, there, kept in (
        ("model_0001.safetensors", "random_0001.safetensors", 0),
        ("model_0003.safetensors", "own_0003.safetensors", 2),
        ("run.json", "model_0003.safetensors", 2),
    ):
        assert ended(begin(cut, fatal)) == -signal.SIGKILL
        assert (cut / there).exists()
        assert iterations(cut) == kept
    moment = random.Random(0).uniform(0.0, 0.15)
    seen: list[float] = []

    def soon_after_the_fourth() -> bool:
        if iterations(cut) >= 4:
            seen.append(time.monotonic())
        return bool(seen) and time.monotonic() - seen[0] > moment

    killed = kill_once(begin(cut), soon_after_the_fourth)  # anywhere in an iteration
    assert killed or iterations(cut) == ITERATIONS
    assert ended(begin(cut)) == 0
    assert iterations(cut) == ITERATIONS
    assert result(cut) == result(whole)
    assert not list(cut.glob(f"model_{ITERATIONS - 1:04d}.*"))
