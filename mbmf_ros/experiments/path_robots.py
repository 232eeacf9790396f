"""Path following from random data only: one model per robot for all of its paths.

    python -m mbmf_ros.experiments.path_robots --robot swimmer --out results/paths

For each training seed: random data, one model, then every kind of path that the robot can walk, in any direction, and
along its own axis forwards, backwards, there and back. Finished seeds are kept: a run that was interrupted goes on.
"""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console

from mbmf_ros.control.follow import follow, summary
from mbmf_ros.control.path_shapes import LINES, path_set, shapes_of
from mbmf_ros.control.presets import make_controller, preset
from mbmf_ros.data.collect import collect_random
from mbmf_ros.dynamics.io import load_model, save_model
from mbmf_ros.dynamics.learn import train_model
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.experiments.data_economy import EVALUATION_PATHS
from mbmf_ros.experiments.provenance import revision
from mbmf_ros.robots import RobotSpec, robot
from mbmf_ros.robots.sim import Simulation
from mbmf_ros.threads import one_thread

_CONSOLE = Console(stderr=True)


@dataclass(frozen=True)
class PathRobots:
    """Path following from random data only."""

    out: Path
    """Folder for paths.csv and one JSON file per robot and training seed."""
    robot: str = "swimmer"
    """Robot."""
    transitions: int = 30_000
    """Random transitions."""
    training_seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of data collection and training."""
    seeds: int = 1
    """Evaluation seeds per model: each draws its own paths, start states and headings."""
    scratch: Path = Path("build/path_robots")
    """Folder for models."""


def main(config: PathRobots) -> None:
    """Run every training seed that has no result yet, then write the CSV."""
    one_thread()
    spec = robot(config.robot)
    for seed in config.training_seeds:
        file = config.out / f"{spec.name}_{config.transitions}_{seed}.json"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(_result(config, spec, seed), indent=1) + "\n")
        _write_csv(config.out)


def _result(config: PathRobots, spec: RobotSpec, seed: int) -> dict[str, Any]:
    """Train, unless that is done, and evaluate."""
    model_file = config.scratch / f"{spec.name}_{config.transitions}_{seed}.safetensors"
    command = " ".join(["python -m mbmf_ros.experiments.path_robots", *sys.argv[1:]])
    if model_file.is_file():
        model, info = load_model(model_file, spec)
    else:
        settings = preset("default", spec)
        _CONSOLE.print(f"{spec.name}, training seed {seed}: collecting and training")
        data = collect_random(spec, config.transitions, seed, settings.collect, threads=1)
        made = {"revision": revision(), "commands": [command], "data": {"random": data.transitions}}
        model, info, _, _ = train_model(data, settings.dynamics, settings.training, seed, extra=made)
        save_model(model_file, model, info)
    _CONSOLE.print(f"{spec.name}, training seed {seed}: walking")
    rows = evaluate(model, range(100 * seed, 100 * seed + config.seeds))
    _CONSOLE.print(f"{spec.name}, training seed {seed}: {summary(rows)}")
    facts = {
        "robot": spec.name,
        "transitions": info.transitions,
        "training_seed": seed,
        "open_loop_error": info.open_loop_error,
        "trained_at": info.extra.get("revision", "unknown"),
        "revision": revision(),
        "command": command,
    }
    return {**facts, "summary": summary(rows), "runs": rows}


def evaluate(model: Dynamics, seeds: range) -> list[dict[str, Any]]:
    """One run per path and seed, lock-step; every seed has its own paths."""
    spec = model.spec
    controller = make_controller(spec, preset("default", spec))
    controller.swap(model, 1)
    simulation = Simulation(spec)
    shapes = list(dict.fromkeys([*shapes_of(spec), *LINES]))
    rows = []
    for seed in seeds:
        for name, waypoints in path_set(EVALUATION_PATHS + seed, shapes, 1, spec.paths.length_m).items():
            controller.seed(seed)
            rows.append(follow(simulation, controller, name, waypoints, seed))
    return rows


def _write_csv(folder: Path) -> None:
    """One row per robot and amount of data: means over runs, and the spread over training seeds."""
    files = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    rows = []
    for key in sorted({(content["robot"], content["transitions"]) for content in files}):
        group = [content for content in files if (content["robot"], content["transitions"]) == key]
        means = summary([run for content in group for run in content["runs"]])
        spread = {
            f"{name}_std_over_seeds": float(np.std([content["summary"][name] for content in group]))
            for name in ("success_rate", "cross_track_mean_m", "speed_mean_mps")
        }
        rows.append({"robot": key[0], "transitions": key[1], "training_seeds": len(group), **means, **spread})
    with (folder / "paths.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(tyro.cli(PathRobots, description=__doc__))
