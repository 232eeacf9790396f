"""How many transitions does it take to walk? Success and tracking against training data.

    python -m mbmf_ros.experiments.data_economy --out results/data_economy

For each amount of random data: train, walk the evaluation paths; then one on-policy round of 5000 transitions, retrain
on everything, walk again. Finished conditions are kept: a run that was interrupted goes on where it stopped.
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
from mbmf_ros.control.on_policy import collect_on_policy
from mbmf_ros.control.path_shapes import path_set
from mbmf_ros.control.presets import Preset, make_controller
from mbmf_ros.data.collect import collect_random
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.io import load_model, save_model
from mbmf_ros.dynamics.learn import train_model
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.experiments.provenance import revision
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import Simulation
from mbmf_ros.threads import one_thread

_CONSOLE = Console(stderr=True)
EVALUATION_PATHS = 1000  # seeds from here on; on-policy rounds and tuning used others


@dataclass(frozen=True)
class DataEconomy:
    """Success against training transitions."""

    out: Path
    """Folder for data_economy.csv and one JSON file per condition."""
    scratch: Path = Path("build/data_economy")
    """Folder for models and on-policy data."""
    robot: str = "ant"
    """Robot."""
    transitions: tuple[int, ...] = (25_000, 50_000, 100_000, 200_000)
    """Amounts of random data."""
    on_policy: int = 5_000
    """Transitions of the on-policy round."""
    seeds: int = 10
    """Evaluation seeds: each draws its own paths, start states and headings."""
    training_seed: int = 0
    """Of data collection and training."""


def main(config: DataEconomy) -> None:
    """Run every condition that has no result yet, then write the CSV."""
    one_thread()
    spec = robot(config.robot)
    data = collect_random(spec, max(config.transitions), config.training_seed)
    for count in config.transitions:
        random_data = data.head(count)
        model = _condition(config, f"random_{count}", random_data)
        both = TransitionStore(spec, list(random_data.episodes))
        both.extend(_on_policy(config, model, count))
        _condition(config, f"random_{count}_on_policy_{config.on_policy}", both)
        _write_csv(config)


def _condition(config: DataEconomy, name: str, data: TransitionStore) -> Dynamics:
    """Train on ``data`` and evaluate, unless that is done; returns the model."""
    file, model_file = config.out / f"{name}.json", config.scratch / f"{name}_{config.training_seed}.safetensors"
    if model_file.is_file():
        model, info = load_model(model_file, data.spec)
    else:
        _CONSOLE.print(f"{name}: training")
        model, info, _, _ = train_model(data, seed=config.training_seed, extra={"revision": revision()})
        save_model(model_file, model, info)
    if not file.is_file():
        _CONSOLE.print(f"{name}: walking")
        rows = evaluate(model, config.seeds)
        on_policy = sum(len(episode) for episode in data.episodes if episode.source == "on_policy")
        facts = {
            "condition": name,
            "random": data.transitions - on_policy,
            "on_policy": on_policy,
            "training_seed": config.training_seed,
            "open_loop_error": info.open_loop_error,
            "trained_at": info.extra.get("revision", "unknown"),
            "revision": revision(),
            "command": " ".join(["python -m mbmf_ros.experiments.data_economy", *sys.argv[1:]]),
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**facts, "summary": summary(rows), "runs": rows}, indent=1) + "\n")
        _CONSOLE.print(f"{name}: {summary(rows)}")
    return model


def _on_policy(config: DataEconomy, model: Dynamics, count: int) -> TransitionStore:
    """The on-policy round of a condition, kept on disk."""
    file = config.scratch / f"on_policy_{count}_{config.training_seed}.safetensors"
    if not file.is_file():
        collect_on_policy(model, config.on_policy, seed=config.training_seed + 1).save(file)
    return TransitionStore.load(file, model.spec)


def evaluate(model: Dynamics, seeds: int, settings: Preset | None = None) -> list[dict[str, Any]]:
    """One run per evaluation path and seed, lock-step; every seed has its own paths."""
    controller = make_controller(model.spec, settings or Preset())
    controller.swap(model, 1)
    simulation = Simulation(model.spec)
    rows = []
    for seed in range(seeds):
        for name, waypoints in path_set(EVALUATION_PATHS + seed).items():
            controller.seed(seed)
            rows.append(follow(simulation, controller, name, waypoints, seed))
    return rows


def _write_csv(config: DataEconomy) -> None:
    """One row per condition: means over runs, and the spread over seeds."""
    rows = []
    for file in sorted(config.out.glob("random_*.json")):
        content = json.loads(file.read_text())
        runs = content.pop("runs")
        means = content.pop("summary")
        by_seed = {seed: [run for run in runs if run["seed"] == seed] for seed in sorted({r["seed"] for r in runs})}
        spread = {
            f"{key}_std_over_seeds": float(np.std([summary(group)[key] for group in by_seed.values()]))
            for key in ("success_rate", "cross_track_mean_m", "speed_mean_mps")
        }
        rows.append({**content, "transitions": content["random"] + content["on_policy"], **means, **spread})
    rows.sort(key=lambda row: (row["on_policy"] > 0, row["transitions"]))
    with (config.out / "data_economy.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(tyro.cli(DataEconomy, description=__doc__))
