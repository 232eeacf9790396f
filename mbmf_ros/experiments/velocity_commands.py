"""Velocity commands and holding: how fast a robot moves that is told how fast, and how far it strays when told to stay.

    python -m mbmf_ros.experiments.velocity_commands --out results/velocity

In lock-step and without ROS, with the shipped models and the controller's defaults. Every seed starts elsewhere and is
given each command once, in an order of its own and without a reset in between; at last it is told to hold. A robot that
falls begins anew with the next command. Writes one JSON file per robot and seed, which is kept, and a table of all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console

from mbmf_ros.control.follow import start_of
from mbmf_ros.control.goals import Goal, HoldGoal, VelocityGoal
from mbmf_ros.control.mpc import MpcController
from mbmf_ros.control.presets import make_controller, preset
from mbmf_ros.dynamics.io import default_model_path, load_model
from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments.learning_curves import write_table
from mbmf_ros.experiments.provenance import revision
from mbmf_ros.robots import RobotSpec, robot
from mbmf_ros.robots.measurement import yaw_of
from mbmf_ros.robots.sim import Simulation
from mbmf_ros.threads import one_thread

SHARES = {  # forward, left, counter-clockwise, of the largest commands that the robot takes
    "sagittal": ((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.5, 0.0, 0.0), (-0.5, 0.0, 0.0)),
    "horizontal": ((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.7, 0.0, 0.5), (0.7, 0.0, -0.5)),
    "free": (
        *((0.6, 0.0, 0.0), (-0.6, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, -0.5, 0.0)),
        *((0.4, 0.0, 0.5), (0.4, 0.0, -0.5), (0.0, 0.0, 0.8), (0.0, 0.0, -0.8), (0.4, 0.3, 0.3)),
    ),
}
AXES = ("vx_mps", "vy_mps", "yaw_rate_radps")
COLUMNS = (
    *("robot", "command", "seeds", "falls"),
    *(f"{what}{axis}" for axis in AXES for what in ("commanded_", "mean_", "std_")),
    *("away_mean_m", "away_max_m"),
)


@dataclass(frozen=True)
class VelocityCommands:
    """Velocity commands and holding."""

    out: Path
    """Folder of the results."""
    robots: tuple[str, ...] = ("ant", "half_cheetah_v5", "swimmer")
    """Robots, with a shipped model each."""
    seeds: int = 5
    """Runs of all commands, per robot."""
    settle_steps: int = 40
    """Control steps from a command on that do not count."""
    steps: int = 160
    """Control steps that count."""


def mean_twist(poses: np.ndarray, dt_s: float) -> np.ndarray:
    """Mean velocity forward, to the left, and counter-clockwise (3,) [m/s, m/s, rad/s].

    A gait sways: forward is where a straight line through the headings points.

    Args:
        poses: planar poses (T, 3), ``dt_s`` apart, T at least 2 [m, m, rad].
        dt_s: time between two of them [s].
    """
    times = dt_s * np.arange(len(poses))
    rate, first = np.polyfit(times, np.unwrap(poses[:, 2]), 1)
    heading = first + rate * (times[:-1] + 0.5 * dt_s)
    dx, dy = np.diff(poses[:, :2], axis=0).T
    forward = np.cos(heading) * dx + np.sin(heading) * dy
    left = np.cos(heading) * dy - np.sin(heading) * dx
    return np.array([forward.mean() / dt_s, left.mean() / dt_s, rate])


def run(config: VelocityCommands, spec: RobotSpec, seed: int) -> list[dict[str, Any]]:
    """All commands once, and holding: a row for each."""
    model, _ = load_model(default_model_path(spec), spec)
    controller = make_controller(spec, preset("default", spec), seed=seed)
    controller.swap(model, 1)
    simulation, rng = Simulation(spec), np.random.default_rng(seed)
    tasks, shares = controller.config, np.array(SHARES[spec.root])
    m, rows = simulation.reset(start_of(spec, seed)), []
    for command in rng.permutation(shares * tasks.velocity.limits):
        goal = VelocityGoal(tasks.velocity, spec)
        goal.set_command(command)
        m, poses = _pursue(config, simulation, controller, goal, m)
        row: dict[str, Any] = {"command": goal.command.tolist(), "fell": poses is None}
        if poses is None:
            m = simulation.reset(start_of(spec, seed))
        else:
            row["measured"] = mean_twist(poses[config.settle_steps :], spec.dt_s).tolist()
        rows.append(row)
    hold = HoldGoal(tasks.hold, m[:2].copy())
    _, poses = _pursue(config, simulation, controller, hold, m)
    row = {"command": "hold", "fell": poses is None}
    if poses is not None and hold.place is not None:
        away = np.linalg.norm(poses[config.settle_steps :, :2] - hold.place, axis=1)
        row |= {"away_mean_m": float(away.mean()), "away_max_m": float(away.max())}
    return [*rows, row]


def _pursue(
    config: VelocityCommands, simulation: Simulation, controller: MpcController, goal: Goal, m: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pursue ``goal`` from ``m`` on: the last measurement, and the planar poses (T, 3); None: the robot fell."""
    controller.set_goal(goal)
    poses = [_pose(m)]
    for _ in range(config.settle_steps + config.steps):
        m = simulation.step(controller.act(m).action)
        poses.append(_pose(m))
        if simulation.spec.fallen(m):
            return m, None
    return m, np.array(poses)


def _pose(m: np.ndarray) -> tuple[float, float, float]:
    return float(m[0]), float(m[1]), float(yaw_of(m[3:7]))


def rows_of(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per robot and command: means and standard deviations over seeds of the runs without a fall."""
    out = []
    for name in dict.fromkeys(run["robot"] for run in runs):
        parts = [row for run in runs if run["robot"] == name for row in run["rows"]]
        for command in sorted({json.dumps(row["command"]) for row in parts}):
            same = [row for row in parts if json.dumps(row["command"]) == command]
            stood = [row for row in same if not row["fell"]]
            row = {"robot": name, "command": "hold" if command == '"hold"' else "velocity"}
            row |= {"seeds": len(same), "falls": len(same) - len(stood)}
            if stood and row["command"] == "hold":
                row["away_mean_m"] = float(np.mean([each["away_mean_m"] for each in stood]))
                row["away_max_m"] = max(each["away_max_m"] for each in stood)
            elif row["command"] == "velocity":
                measured = np.array([each["measured"] for each in stood]).reshape(len(stood), len(AXES))
                for index, axis in enumerate(AXES):
                    row[f"commanded_{axis}"] = json.loads(command)[index]
                    row[f"mean_{axis}"] = float(measured[:, index].mean()) if stood else None
                    row[f"std_{axis}"] = float(measured[:, index].std(ddof=1)) if len(stood) > 1 else None
            out.append(row)
    return out


def main(config: VelocityCommands) -> int:
    """Run what has no result yet, then write the table; the exit code."""
    one_thread()
    console = Console(stderr=True)
    config.out.mkdir(parents=True, exist_ok=True)
    for name in config.robots:
        spec = robot(name)
        for seed in range(config.seeds):
            file = config.out / f"{name}_{seed}.json"
            if file.is_file():
                continue
            console.print(f"{name}, seed {seed}")
            command = " ".join(["python -m mbmf_ros.experiments.velocity_commands", *sys.argv[1:]])
            facts = {"robot": name, "seed": seed, "settle_steps": config.settle_steps, "steps": config.steps}
            facts |= {"rows": run(config, spec, seed), "revision": revision(), "command": command}
            file.write_text(json.dumps(facts, indent=1) + "\n")
    runs = [json.loads(file.read_text()) for file in sorted(config.out.glob("*.json"))]
    write_table(config.out / "velocity.csv", COLUMNS, rows_of(runs))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(VelocityCommands, description=__doc__)))
    except MbmfError as error:
        sys.exit(f"error: {error}")
