"""Does the ant walk behind a robot's own topics? Success against actuator delay, sensor noise and packet loss.

    python -m mbmf_ros.experiments.hardware_stand_in --out results/hardware_stand_in
    python -m mbmf_ros.experiments.hardware_stand_in --out results/hardware_stand_in --ros

The first in lock-step without ROS: each of delay, noise and loss is varied about the headline condition (5 ms,
datasheet, 1 %), with and without latency compensation. The second walks the headline condition in real time over the
full graph, stand-in and hardware bridge in processes of their own. Finished conditions are kept: a run that was
interrupted goes on where it stopped.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
import yaml
from rich.console import Console

from mbmf_ros.config import load_yaml
from mbmf_ros.control.follow import summary
from mbmf_ros.control.path_shapes import path_set, shapes_of
from mbmf_ros.control.presets import make_controller, preset
from mbmf_ros.dynamics.io import default_model_path, load_model
from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments.data_economy import EVALUATION_PATHS
from mbmf_ros.experiments.provenance import revision
from mbmf_ros.experiments.stand_in_run import Loop
from mbmf_ros.graphs import hardware_file
from mbmf_ros.hardware.config import HardwareConfig, load_hardware
from mbmf_ros.hardware.stand_in.config import StandInConfig
from mbmf_ros.hardware.stand_in.noise import noise_preset
from mbmf_ros.supervisor import Supervisor
from mbmf_ros.threads import one_thread
from mbmf_ros.up import UpConfig, plan

_CONSOLE = Console(stderr=True)


@dataclass(frozen=True)
class Condition:
    """One robot, and what its bridge does about delays."""

    delay_ms: float
    noise: str
    loss: float
    compensated: bool

    @property
    def name(self) -> str:
        """Of its file."""
        how = "compensated" if self.compensated else "plain"
        return f"{self.delay_ms:g}ms_{self.noise}_{100 * self.loss:g}pct_{how}"


@dataclass(frozen=True)
class HardwareStandIn:
    """Success of paths behind the hardware stand-in."""

    out: Path
    """Folder for hardware_stand_in.csv and one JSON file per condition."""
    config: str = "ant_stand_in"
    """Hardware file of the robot: a path, or the name of one in config/hardware."""
    delays_ms: tuple[float, ...] = (5, 0, 10, 20, 40)
    """Actuator delays [ms]; the first is the headline's."""
    noises: tuple[str, ...] = ("datasheet", "clean", "bad")
    """Noise presets; the first is the headline's."""
    losses: tuple[float, ...] = (0.01, 0.0, 0.05)
    """Shares of lost messages; the first is the headline's."""
    compensation: tuple[bool, ...] = (True, False)
    """With and without latency compensation."""
    full: bool = False
    """All combinations, rather than one thing varied at a time."""
    seeds: int = 1
    """Evaluation seeds: each draws its own paths, and seeds noise, loss and start state."""
    shapes: tuple[str, ...] = ()
    """Kinds of path (all that the robot can walk if not given)."""
    per_shape: int = 3
    """Paths of each kind and seed."""
    plan_time_ms: float = 20.0
    """What a plan is taken to need in lock-step [ms]."""
    ros: bool = False
    """In real time over the full graph; the headline condition alone unless full."""


def conditions(config: HardwareStandIn) -> list[Condition]:
    """What is run, without repetitions; the headline first."""
    delay, noise, loss = config.delays_ms[0], config.noises[0], config.losses[0]
    every = [(d, n, p) for d in config.delays_ms for n in config.noises for p in config.losses]
    if not config.full:
        every = [one for one in every if (one[0] != delay) + (one[1] != noise) + (one[2] != loss) <= 1]
    if config.ros and not config.full:
        every = [(delay, noise, loss)]
    return [Condition(*one, compensated) for one in every for compensated in config.compensation]


def main(config: HardwareStandIn) -> None:
    """Run every condition that has no result yet, then write the CSV.

    Raises:
        MbmfError: bad input, or a graph that did not come up.
    """
    hardware = load_hardware(hardware_file(config.config))
    for name in config.noises:
        noise_preset(name)
    config.out.mkdir(parents=True, exist_ok=True)
    for condition in conditions(config):
        mode = "ros" if config.ros else "lockstep"
        file = config.out / f"{mode}_{condition.name}.json"
        if file.is_file():
            continue
        _CONSOLE.print(f"{mode}: {condition.name}")
        rows = _over_ros(config, hardware, condition) if config.ros else _in_lock_step(config, hardware, condition)
        facts = {
            "mode": mode,
            **dataclasses.asdict(condition),
            "robot": hardware.robot,
            "seeds": config.seeds,
            "cores": os.cpu_count(),
            "load_average": os.getloadavg()[0],
            "revision": revision(),
            "command": " ".join(["python -m mbmf_ros.experiments.hardware_stand_in", *sys.argv[1:]]),
            "config": {key: value for key, value in dataclasses.asdict(config).items() if key != "out"},
        }
        file.write_text(json.dumps({**facts, "summary": summary(rows), "runs": rows}, indent=1) + "\n")
        _CONSOLE.print(f"{condition.name}: {summary(rows)}")
    write_csv(config.out)


def _paths(config: HardwareStandIn, hardware: HardwareConfig, seed: int) -> dict[str, np.ndarray]:
    spec = hardware.spec
    shapes = config.shapes or shapes_of(spec)
    return path_set(EVALUATION_PATHS + seed, shapes, config.per_shape, spec.paths.length_m)


def _in_lock_step(config: HardwareStandIn, hardware: HardwareConfig, condition: Condition) -> list[dict[str, Any]]:
    """One row per path and seed."""
    one_thread()
    spec, plan_time_s = hardware.spec, 1e-3 * config.plan_time_ms
    # The bridge knows what the robot's maker says: its delay. Messages arrive at once here.
    known = dataclasses.replace(hardware.latency, actuator=1e-3 * condition.delay_ms, sensor=0.0, planning=plan_time_s)
    hardware = dataclasses.replace(hardware, latency=known)
    controller = make_controller(spec, preset("default", spec))
    model, _ = load_model(default_model_path(spec), spec)
    controller.swap(model, 1)
    rows = []
    for seed in range(config.seeds):
        for index, (name, waypoints) in enumerate(_paths(config, hardware, seed).items()):
            controller.seed(seed)
            robot = StandInConfig(
                noise=condition.noise,
                seed=1000 * seed + index,  # no two runs with the same biases
                actuator_delay=1e-3 * condition.delay_ms,
                packet_loss=condition.loss,
            )
            loop = Loop(hardware, robot, controller, condition.compensated, plan_time_s)
            rows.append(loop.follow(name, waypoints, seed))
    return rows


def _over_ros(config: HardwareStandIn, hardware: HardwareConfig, condition: Condition) -> list[dict[str, Any]]:
    """One row per path and seed, of graphs that are brought up for each seed."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="mbmf_ros_stand_in_") as folder:
        scratch = Path(folder)
        content = load_yaml(hardware_file(config.config))
        content["latency"] = {**content.get("latency", {}), "actuator": 1e-3 * condition.delay_ms}
        robot_file, params, out = scratch / "robot.yaml", scratch / "params.yaml", scratch / "out.json"
        robot_file.write_text(yaml.safe_dump(content))
        params.write_text(yaml.safe_dump(_parameters(condition)))
        for seed in range(config.seeds):
            paths = {name: path.tolist() for name, path in _paths(config, hardware, seed).items()}
            (scratch / "paths.json").write_text(json.dumps(paths))
            up = UpConfig(
                graph="hardware",
                config=str(robot_file),
                stand_in=True,
                headless=True,
                record="none",
                seed=seed,
                params_file=str(params),
                paths=scratch / "paths.json",
                json=out,
            )
            code = Supervisor(plan(up)[0]).run()
            done = json.loads(out.read_text())["runs"] if out.is_file() else []
            if len(done) < len(paths):
                raise MbmfError(f"only {len(done)} of {len(paths)} paths were walked (exit code {code}); see above")
            rows += done
    return rows


def _parameters(condition: Condition) -> dict[str, Any]:
    robot = {
        "noise": condition.noise,
        "actuator_delay": 1e-3 * condition.delay_ms,
        "packet_loss": float(condition.loss),
    }
    bridge = {"latency_compensation": condition.compensated}
    return {
        "/**/hardware_stand_in": {"ros__parameters": robot},
        "/**/hardware_bridge": {"ros__parameters": bridge},
    }


def write_csv(folder: Path) -> None:
    """One row per condition: means over its runs."""
    rows = []
    for file in sorted(folder.glob("*_*.json")):
        content = json.loads(file.read_text())
        runs: Sequence[dict[str, Any]] = content["runs"]
        plain = {key: value for key, value in content.items() if not isinstance(value, (dict, list))}
        truly = [run["true_success"] for run in runs if "true_success" in run]
        held = [run["held"] for run in runs if "held" in run]
        rows.append(
            {
                **{key: plain[key] for key in ("mode", "delay_ms", "noise", "loss", "compensated")},
                **content["summary"],
                "true_success_rate": float(np.mean(truly)) if truly else None,
                "held_mean": float(np.mean(held)) if held else None,
                **{key: plain[key] for key in ("robot", "seeds", "revision", "command")},
            }
        )
    rows.sort(key=lambda row: (row["mode"], row["noise"], row["loss"], row["delay_ms"], not row["compensated"]))
    with (folder / "hardware_stand_in.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    try:
        main(tyro.cli(HardwareStandIn, description=__doc__))
    except MbmfError as error:
        sys.exit(f"error: {error}")
