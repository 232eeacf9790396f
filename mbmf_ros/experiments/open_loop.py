"""How far ahead do models see? Errors over 1 to 100 steps, ranking of plans, and calibration of the ensemble's spread.

    python -m mbmf_ros.experiments.open_loop --out results/open_loop/ant

Every seed collects data of its own, trains our model and the paper's network on it, and judges both, a linear model and
persistence on held-out sequences: random motion, the controller's own motion, and candidates of the planner, played in
the simulator. All are judged by the numbers of the body profile. Seeds that are done with the same settings
are kept.
"""

from __future__ import annotations

import copy
import csv
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from rich.console import Console
from torch import Tensor

from mbmf_ros.control.presets import preset
from mbmf_ros.data.collect import collect_random
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.baselines import LinearModel, Persistence
from mbmf_ros.dynamics.calibration import calibrate, rank_correlation
from mbmf_ros.dynamics.dataset import make_dataset, split
from mbmf_ros.dynamics.io import load_model, save_model
from mbmf_ros.dynamics.learn import train_model
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.dynamics.training import TrainConfig
from mbmf_ros.dynamics.validation import member_rollouts, relative_error
from mbmf_ros.experiments.body_state import BodyStates
from mbmf_ros.experiments.provenance import revision
from mbmf_ros.experiments.sequences import (
    Sequences,
    Visit,
    Walks,
    played,
    random_sequences,
    returns_of,
    walk,
    windows_of,
)
from mbmf_ros.robots import RobotSpec, StateProfile, profile, robot
from mbmf_ros.robots.sim import ParallelSimulation
from mbmf_ros.threads import one_thread

_CONSOLE = Console(stderr=True)
HORIZONS = (1, 5, 10, 20, 50, 100)
TABLES = ("errors", "ranking", "calibration", "reliability")
_HELD_OUT = 10_000  # seeds of held-out motion start here


@dataclass(frozen=True)
class OpenLoop:
    """Open-loop accuracy."""

    out: Path
    """Folder for the CSV files."""
    scratch: Path = Path("build/open_loop")
    """Folder for models."""
    robot: str = "ant"
    """Robot."""
    task: str = "follow_path"
    """What the controller does: follow_path or forward."""
    transitions: int = 100_000
    """Random transitions to learn from."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of data, training, and held-out motion."""
    sequences: int = 512
    """Sequences of each kind."""
    episodes: int = 10
    """Episodes of the controller."""
    every: int = 10
    """Control steps between two states whose candidates are looked at."""
    dynamics: DynamicsConfig | None = None
    """Our architecture; by default the one tuned for the robot."""
    training: TrainConfig | None = None
    """Our training; likewise."""


@dataclass(frozen=True)
class Model:
    """A model to judge: its profile, and rollouts of its members, (E, K, H + 1, nx)."""

    profile: StateProfile
    rollouts: Callable[[Tensor, Tensor], Tensor]


def main(config: OpenLoop) -> None:
    """Run every seed that has no result yet, then write the CSV files."""
    one_thread()
    spec = robot(config.robot)
    config.out.mkdir(parents=True, exist_ok=True)
    for seed in config.seeds:
        file = config.out / f"seed_{seed}.json"
        if not file.is_file() or json.loads(file.read_text())["config"] != settings_of(config):
            _CONSOLE.print(f"{config.robot}, seed {seed}")
            file.write_text(json.dumps(run(config, spec, seed)) + "\n")
    write_tables(config.out, [json.loads((config.out / f"seed_{seed}.json").read_text()) for seed in config.seeds])


def settings_of(config: OpenLoop) -> dict[str, Any]:
    """What decides about a seed's result, as JSON gives it back."""
    settings = {
        key: value for key, value in dataclasses.asdict(config).items() if key not in ("out", "scratch", "seeds")
    }
    return json.loads(json.dumps(settings))


def run(config: OpenLoop, spec: RobotSpec, seed: int) -> dict[str, Any]:
    """One seed: rows of every table, and where they come from."""
    default = preset("default", spec)
    training = config.training or default.training
    data = collect_random(spec, config.transitions, seed, default.collect, threads=1)
    ours = _trained(config, data, seed, "ours", config.dynamics or default.dynamics, training)
    paper = _trained(config, data, seed, "paper", preset("paper").dynamics, preset("paper").training)
    body = profile(spec, "body")
    linear = LinearModel(body, make_dataset(split(data, training.holdout, seed)[0], body))
    models = {
        "persistence": _single(Persistence(body)),
        "linear": _single(linear),
        "paper": _of(paper),
        "ours": _of(ours),
    }
    walks = walk(ours, config.task, _HELD_OUT + seed, episodes=config.episodes, every=config.every)
    kinds = _kinds(config, spec, walks, seed)
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for kind, sequences in kinds.items():
        tables["errors"] += errors(spec, models, kind, sequences)
        if ours.members > 1:
            calibration, reliability = _calibration(ours, kind, sequences)
            tables["calibration"] += calibration
            tables["reliability"] += reliability
    tables["ranking"] = ranking(spec, models, walks.visits)
    return {
        "seed": seed,
        "robot": spec.name,
        "command": " ".join(["python -m mbmf_ros.experiments.open_loop", *sys.argv[1:]]),
        "revision": revision(),
        "config": settings_of(config),
        "ours": {"dynamics": dataclasses.asdict(ours.config), "training": dataclasses.asdict(training)},
        "load_average": os.getloadavg()[0],
        "tables": {name: [{"seed": seed, **row} for row in rows] for name, rows in tables.items()},
    }


def _trained(
    config: OpenLoop, data: TransitionStore, seed: int, name: str, dynamics: DynamicsConfig, training: TrainConfig
) -> Dynamics:
    """The model, from the scratch folder if it is there."""
    file = config.scratch / f"{config.robot}_{config.transitions}_{name}_{seed}.safetensors"
    if file.is_file():
        model, info = load_model(file, data.spec)
        if model.config == dynamics and info.extra["training"] == dataclasses.asdict(training):
            return model
    model, info, _, _ = train_model(data, dynamics, training, seed, extra={"revision": revision()})
    save_model(file, model, info)
    return model


def _of(model: Dynamics) -> Model:
    return Model(model.profile, lambda x0, u: member_rollouts(model, x0, u))


def _single(model: Persistence | LinearModel) -> Model:
    return Model(model.profile, lambda x0, u: model.imagine(x0, u)[None])


def _kinds(config: OpenLoop, spec: RobotSpec, walks: Walks, seed: int) -> dict[str, Sequences]:
    longest = max(HORIZONS)
    chosen = np.random.default_rng(seed).permutation(len(walks.starts))[: config.sequences]
    starts, actions = (np.stack([rows[i] for i in chosen]) for rows in (walks.starts, walks.candidates))
    return {
        "random": random_sequences(spec, longest, config.sequences, _HELD_OUT + seed, preset("default", spec).collect),
        "on_policy": windows_of(walks.store, longest, config.sequences, seed),
        "candidates": played(spec, starts, actions),
    }


def _predicted(spec: RobotSpec, model: Model, m: np.ndarray, u: np.ndarray) -> tuple[Tensor, Tensor]:
    """Rollouts of the members (E, N, H + 1, nx), and their mean as states of the body profile (N, H + 1, nx_body)."""
    x0 = torch.from_numpy(model.profile.encode(m).astype(np.float32))
    members = model.rollouts(x0, torch.from_numpy(u.astype(np.float32)))
    return members, torch.from_numpy(BodyStates(spec, model.profile)(members.mean(0).double().numpy()))


def errors(
    spec: RobotSpec, models: Mapping[str, Model], kind: str, sequences: Sequences
) -> list[dict[str, str | int | float]]:
    """Normalised RMSE of the change over each horizon, mean over the body state's numbers; 1: nothing changes."""
    body = profile(spec, "body")
    truth = torch.from_numpy(body.encode(sequences.measurements))
    rows = []
    for name, model in models.items():
        _, predicted = _predicted(spec, model, sequences.measurements[:, 0], sequences.actions)
        for horizon in HORIZONS:
            long = torch.from_numpy(sequences.steps >= horizon)
            if not long.any():
                continue
            part = relative_error(body, predicted[long, : horizon + 1], truth[long, : horizon + 1])
            groups = {f"nrmse_{group}": float(part[at].mean()) for group, at in body.slices.items()}
            row = {"kind": kind, "model": name, "horizon": horizon, "sequences": int(long.sum())}
            rows.append({**row, "nrmse": float(part.mean()), **groups})
    return rows


def _calibration(ours: Dynamics, kind: str, sequences: Sequences) -> tuple[list[dict], list[dict]]:
    """Rows of the tables calibration and reliability."""
    of = ours.profile
    x = torch.from_numpy(of.encode(sequences.measurements).astype(np.float32))
    members = member_rollouts(ours, x[:, 0], torch.from_numpy(sequences.actions.astype(np.float32)))
    rows, bins = [], []
    for horizon in HORIZONS:
        long = torch.from_numpy(sequences.steps >= horizon)
        if not long.any():
            continue
        found = calibrate(of, members[:, long], x[long], horizon)
        head = {"kind": kind, "horizon": horizon}
        coverage = {"coverage_68": found.coverage_68, "coverage_95": found.coverage_95}
        rows.append({**head, "error_over_spread": found.ratio, **coverage})
        pairs = zip(found.bin_spread.tolist(), found.bin_error.tolist(), strict=True)
        bins += [
            {**head, "bin": index, "spread": spread, "error": error} for index, (spread, error) in enumerate(pairs)
        ]
    return rows, bins


def ranking(spec: RobotSpec, models: Mapping[str, Model], visits: Sequence[Visit]) -> list[dict[str, Any]]:
    """Rank correlation of predicted and true returns over each round's candidates, per state visited, then averaged.

    "planner" is what the planner itself ranks by: every candidate imagined by one member of our ensemble.
    """
    body, simulation = profile(spec, "body"), ParallelSimulation(spec, threads=1)
    found: dict[tuple[int, str], list[float]] = {}
    for visit in visits:
        for number, (u, imagined) in enumerate(visit.rounds):
            starts = np.repeat(visit.m[None], len(u), axis=0)
            states = body.encode(simulation.rollout(starts, u.double().numpy()))
            judge = copy.copy(visit.task)
            judge.profile = body  # type: ignore[attr-defined]
            true = returns_of(judge, states, u)
            predicted = {"planner": returns_of(visit.task, imagined, u)}
            for name, model in models.items():
                if name != "persistence":
                    _, x = _predicted(spec, model, starts, u.numpy())
                    predicted[name] = returns_of(judge, x, u)
            for name, values in predicted.items():
                found.setdefault((number, name), []).append(rank_correlation(values, true))
    return [
        {
            "round": number + 1,
            "model": name,
            "states": len(values),
            "horizon": len(visits[0].rounds[0][0][0]),
            "spearman_mean": float(np.nanmean(values)),
            "spearman_p10": float(np.nanquantile(values, 0.1)),
        }
        for (number, name), values in sorted(found.items())
    ]


def write_tables(out: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """One CSV file per table, one row per seed and condition; ``provenance.json`` says how they were made."""
    for name in TABLES:
        rows = [row for result in results for row in result["tables"][name]]
        if not rows:
            continue
        with (out / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    facts = [{key: value for key, value in result.items() if key != "tables"} for result in results]
    (out / "provenance.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(OpenLoop, description=__doc__))
