"""What does training an ensemble cost, against one network and against mbrl-lib?

    python benchmarks/training_cost.py --mbrl-python ENV/bin/python --out results/training_cost

mbrl-lib needs an environment of its own (pip install mbrl==0.2.0 --no-deps, hydra-core, omegaconf, termcolor, tqdm,
imageio, tensorboard, matplotlib, gymnasium, and the same torch). Every timing is one pass of every member over all
transitions on one thread. Each condition is a process of its own; they take turns, and medians over the rounds are
compared. Wall time and processor time are both recorded: on an idle machine one thread has them equal, on a busy one
only the latter says what the work costs. The ratios are the result, the times are this machine's. With --device cuda
the same is computed on a GPU.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from mbmf_ros.data.collect import collect_random
from mbmf_ros.dynamics.dataset import make_dataset
from mbmf_ros.dynamics.device import usable_device
from mbmf_ros.experiments.provenance import revision
from mbmf_ros.robots import profile, robot

_WORKER = Path(__file__).with_name("training_epoch.py")


@dataclass(frozen=True)
class TrainingCost:
    """Wall time of a training epoch."""

    out: Path
    """Folder for training_cost.csv and provenance.json."""
    mbrl_python: Path | None = None
    """Python of the environment with mbrl-lib; without it that comparison is left out."""
    hidden: tuple[int, ...] = (200,)
    """Widths of both hidden layers."""
    batch_sizes: tuple[int, ...] = (32, 64, 128, 256)
    """Transitions per member and gradient step."""
    members: int = 5
    """Networks in the ensemble."""
    transitions: int = 100_000
    """Transitions in an epoch."""
    rounds: int = 7
    """Timings of each condition."""
    device: str = "cpu"
    """Where it is computed, as PyTorch names it."""


def main(config: TrainingCost) -> None:
    """Time everything, then write and print the table."""
    usable_device(config.device)
    spec = robot("ant")
    body = profile(spec)
    data = make_dataset(collect_random(spec, config.transitions, 0), body)
    n = body.n_inner
    conditions: list[tuple[str, str, int, int]] = [
        ("ensemble", "ours", config.members, 0),
        ("one network", "ours", 1, 0),
        ("one network, plain", "plain", 1, 0),
    ]
    if config.mbrl_python is not None:
        conditions.append(("mbrl-lib", "mbrl", config.members, 0))
        conditions.append(("mbrl-lib, our use of the processor", "mbrl", config.members, 1))
    load_before = os.getloadavg()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mbmf_ros_cost_") as folder:
        file = Path(folder) / "data.npz"
        np.savez(
            file,
            inner=data.inputs[:, :n].numpy(),
            actions=data.inputs[:, n:].numpy(),
            change=data.outputs[:, :n].numpy(),
            displacement=data.outputs[:, n:].numpy(),
        )
        for hidden in config.hidden:
            for batch in config.batch_sizes:
                times = _times(config, conditions, [hidden, batch, file])
                rows += _rows(hidden, batch, len(data), times)
                for row in rows[-len(conditions) :]:
                    print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
    _write(config, rows, load_before)


def _times(
    config: TrainingCost, conditions: list[tuple[str, str, int, int]], arguments: list[Any]
) -> dict[str, list[dict[str, float]]]:
    """What every epoch of every condition took; the conditions take turns."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    workers: dict[str, subprocess.Popen[str]] = {}
    times: dict[str, list[dict[str, float]]] = {name: [] for name, *_ in conditions}
    try:
        for name, kind, members, tuned in conditions:
            python = str(config.mbrl_python) if kind == "mbrl" else sys.executable
            command = [python, str(_WORKER), kind, *map(str, [members, *arguments, tuned, config.device])]
            workers[name] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
        for _ in range(config.rounds):
            for name, worker in workers.items():
                assert worker.stdin
                assert worker.stdout
                worker.stdin.write("\n")
                worker.stdin.flush()
                line = worker.stdout.readline()
                if not line:
                    raise SystemExit(f"{name}: the worker ended with code {worker.wait()}")
                times[name].append(json.loads(line))
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()
    return times


def _rows(hidden: int, batch: int, transitions: int, times: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """One row per condition: medians per 1e5 transitions, and what the ensemble costs relative to it."""
    rows = []
    for name, taken in times.items():
        row: dict[str, Any] = {"hidden": hidden, "batch_size": batch, "condition": name}
        for clock in ("wall_s", "cpu_s"):
            values = [1e5 / transitions * each[clock] for each in taken]
            row |= {f"{clock}_median": statistics.median(values), f"{clock}_min": min(values)}
            row[f"{clock}_max"] = max(values)
            ensemble = 1e5 / transitions * statistics.median(each[clock] for each in times["ensemble"])
            row[f"ensemble_over_this_{clock[:-2]}"] = ensemble / statistics.median(values)
        rows.append(row)
    return rows


def _write(config: TrainingCost, rows: list[dict[str, Any]], load_before: tuple[float, ...]) -> None:
    config.out.mkdir(parents=True, exist_ok=True)
    with (config.out / "training_cost.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    words = ["ENV/bin/python" if word == str(config.mbrl_python) else word for word in sys.argv[1:]]
    facts = {
        "command": " ".join(["python benchmarks/training_cost.py", *words]),
        "revision": revision(),
        "members": config.members,
        "transitions": config.transitions,
        "rounds": config.rounds,
        "device": config.device if config.device == "cpu" else torch.cuda.get_device_name(config.device),
        "torch": torch.__version__,
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "load_average_before": load_before,
        "load_average_after": os.getloadavg(),
    }
    (config.out / "provenance.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(TrainingCost, description=__doc__))
