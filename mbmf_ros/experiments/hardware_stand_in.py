"""Does the ant walk behind a robot's own topics? Success against actuator delay, sensor noise and packet loss.

    python -m mbmf_ros.experiments.hardware_stand_in --out results/hardware_stand_in
    python -m mbmf_ros.experiments.hardware_stand_in --out results/hardware_stand_in --ros

The first in lock-step without ROS: each of delay, noise and loss is varied about the headline condition (5 ms,
datasheet, 1 %), with and without latency compensation. The second varies the delay in real time over the full graph,
stand-in and hardware bridge in processes of their own.

The bridge compensates for the delay that the robot's file names, here 10 ms whatever it really is: nobody knows it
exactly. Finished conditions are kept, so that a run that was interrupted goes on where it stopped; a folder with some
of another revision, or of other options, is refused.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
import yaml
from rich.console import Console

from mbmf_ros.config import load_yaml
from mbmf_ros.control.path_shapes import path_set, shapes_of
from mbmf_ros.control.presets import make_controller, preset
from mbmf_ros.dynamics.io import default_model_path, load_model
from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments.data_economy import EVALUATION_PATHS
from mbmf_ros.experiments.provenance import revision
from mbmf_ros.experiments.stand_in_run import Loop
from mbmf_ros.experiments.stand_in_table import summarised, write_csv
from mbmf_ros.experiments.stand_in_truth import truly
from mbmf_ros.graphs import hardware_file
from mbmf_ros.hardware.config import HardwareConfig, parse_hardware
from mbmf_ros.hardware.stand_in.config import StandInConfig
from mbmf_ros.hardware.stand_in.noise import noise_preset
from mbmf_ros.supervisor import Command, Supervisor
from mbmf_ros.threads import one_thread
from mbmf_ros.up import UpConfig, plan
from mbmf_ros.whole_file import write_whole

_CONSOLE = Console(stderr=True)


@dataclass(frozen=True)
class Condition:
    """One robot, and what its bridge does about delays."""

    delay_ms: float
    noise: str
    loss: float
    assumed_ms: float | None
    """Actuator delay that the robot's file names [ms]; None: it is not compensated for."""

    @property
    def compensated(self) -> bool:
        """Commands are sent ahead."""
        return self.assumed_ms is not None

    @property
    def name(self) -> str:
        """Of its file."""
        how = "plain" if self.assumed_ms is None else f"assumed_{self.assumed_ms:g}ms"
        return f"{self.delay_ms:g}ms_{self.noise}_{100 * self.loss:g}pct_{how}"


@dataclass(frozen=True)
class HardwareStandIn:
    """Success of paths behind the hardware stand-in."""

    out: Path
    """Folder for hardware_stand_in.csv and one JSON file per condition; a new one runs them all."""
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
    assumed_ms: float | None = 10.0
    """Actuator delay that the robot's file names, whatever it really is [ms]; None: what it really is."""
    known_ms: tuple[float, ...] = (40,)
    """Of the delays, those for which lock-step compensates with the true one as well [ms]."""
    full: bool = False
    """All combinations, rather than one thing varied at a time."""
    seeds: int | None = None
    """Evaluation seeds: each draws its own paths, and seeds noise, loss and start state. Not given: 2, over ROS 1."""
    shapes: tuple[str, ...] = ()
    """Kinds of path (all that the robot can walk if not given)."""
    per_shape: int = 3
    """Paths of each kind and seed."""
    plan_time_ms: float = 20.0
    """What a plan is taken to need in lock-step [ms]."""
    ros: bool = False
    """In real time over the full graph; only the delay is varied unless full."""

    @property
    def mode(self) -> str:
        """How it is run."""
        return "ros" if self.ros else "lockstep"

    @property
    def seed_numbers(self) -> range:
        """The evaluation seeds."""
        return range(self.seeds if self.seeds is not None else 1 if self.ros else 2)


def conditions(config: HardwareStandIn) -> list[Condition]:
    """What is run, without repetitions; the headline first."""
    headline = config.delays_ms[0], config.noises[0], config.losses[0]
    every = list(itertools.product(config.delays_ms, config.noises, config.losses))
    if not config.full:
        every = [one for one in every if sum(a != b for a, b in zip(one, headline, strict=True)) <= 1]
    if config.ros and not config.full:
        every = [one for one in every if one[1:] == headline[1:]]
    out = []
    for delay, noise, loss in every:
        for compensated in config.compensation:
            assumed = delay if config.assumed_ms is None else config.assumed_ms
            out.append(Condition(delay, noise, loss, assumed if compensated else None))
        known = True in config.compensation and not config.ros and delay in config.known_ms
        if known and (noise, loss) == headline[1:]:
            out.append(Condition(delay, noise, loss, delay))
    return list(dict.fromkeys(out))


def main(config: HardwareStandIn) -> None:
    """Run every condition that has no result yet, then write the CSV.

    Raises:
        MbmfError: bad input, results of another revision, or a graph that did not come up.
    """
    _check(config)
    wanted = {condition: parse_hardware(_described(config, condition)) for condition in conditions(config)}
    for condition in wanted:
        _robot(condition, 0)
    started_from, command = revision(), " ".join(["python -m mbmf_ros.experiments.hardware_stand_in", *sys.argv[1:]])
    options = {key: value for key, value in dataclasses.asdict(config).items() if key != "out"}
    options["seeds"] = len(config.seed_numbers)
    _check_kept(config, json.loads(json.dumps({"revision": started_from, **options})))
    for condition, hardware in wanted.items():
        file = config.out / f"{config.mode}_{condition.name}.json"
        if file.is_file():
            continue
        _CONSOLE.print(f"{config.mode}: {condition.name}")
        if config.ros and (now := revision()) != started_from:
            raise MbmfError(f"the nodes would start from revision {now}, what there is is of {started_from}")
        rows = _over_ros(config, hardware, condition) if config.ros else _in_lock_step(config, hardware, condition)
        facts = {
            "mode": config.mode,
            **dataclasses.asdict(condition),
            "compensated": condition.compensated,
            "robot": hardware.robot,
            "seeds": len(config.seed_numbers),
            "cores": os.cpu_count(),
            "load_average": os.getloadavg()[0],
            "revision": started_from,
            "command": command,
            "config": options,
        }
        content = {**facts, "summary": summarised(rows), "runs": rows}
        write_whole(file, (json.dumps(content, indent=1) + "\n").encode())
        _CONSOLE.print(f"{condition.name}: {content['summary']}")
    write_csv(config.out)


def _check(config: HardwareStandIn) -> None:
    for name in ("delays_ms", "noises", "losses", "compensation"):
        if not getattr(config, name):
            raise MbmfError(f"--{name.replace('_', '-')}: expected at least one")
    for name, count in (("seeds", len(config.seed_numbers)), ("per-shape", config.per_shape)):
        if count < 1:
            raise MbmfError(f"--{name}: expected at least 1, got {count}")


def _check_kept(config: HardwareStandIn, options: dict[str, Any]) -> None:
    """Results that are there already must be of this revision, and comparable."""
    for file in sorted(config.out.glob(f"{config.mode}_*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        theirs = {**content["config"], "revision": content["revision"]}
        for key in ("revision", "config", "seeds", "shapes", "per_shape", "plan_time_ms"):
            if theirs[key] != options[key]:
                what = f"{file} has {key} {theirs[key]!r}, and now it is {options[key]!r}"
                raise MbmfError(f"{what}: name another folder with --out, or remove the file")


def _described(config: HardwareStandIn, condition: Condition) -> dict[str, Any]:
    """The robot's file, with the latencies that the bridge shall believe in."""
    content = load_yaml(hardware_file(config.config))
    latency = dict(content.get("latency", {}))
    if not config.ros:  # messages arrive at once
        latency |= {"sensor": 0.0, "planning": 1e-3 * config.plan_time_ms}
    if condition.assumed_ms is not None:
        latency["actuator"] = 1e-3 * condition.assumed_ms
    return {**content, "latency": latency}


def _robot(condition: Condition, seed: int) -> StandInConfig:
    noise_preset(condition.noise)
    return StandInConfig(
        noise=condition.noise,
        seed=seed,
        actuator_delay=1e-3 * condition.delay_ms,
        packet_loss=float(condition.loss),
    )


def _paths(config: HardwareStandIn, hardware: HardwareConfig, seed: int) -> dict[str, np.ndarray]:
    spec = hardware.spec
    shapes = config.shapes or shapes_of(spec)
    return path_set(EVALUATION_PATHS + seed, shapes, config.per_shape, spec.paths.length_m)


def _in_lock_step(config: HardwareStandIn, hardware: HardwareConfig, condition: Condition) -> list[dict[str, Any]]:
    """One row per path and seed."""
    one_thread()
    spec = hardware.spec
    controller = make_controller(spec, preset("default", spec))
    model, _ = load_model(default_model_path(spec), spec)
    controller.swap(model, 1)
    rows = []
    for seed in config.seed_numbers:
        for index, (name, waypoints) in enumerate(_paths(config, hardware, seed).items()):
            controller.seed(seed)
            robot = _robot(condition, 1000 * seed + index)  # no two runs with the same biases
            loop = Loop(hardware, robot, controller, condition.compensated, 1e-3 * config.plan_time_ms)
            rows.append(loop.follow(name, waypoints, seed))
    return rows


def _over_ros(config: HardwareStandIn, hardware: HardwareConfig, condition: Condition) -> list[dict[str, Any]]:
    """One row per path and seed, of graphs that are brought up for each seed."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="mbmf_ros_stand_in_") as folder:
        scratch = Path(folder)
        robot_file, params, out = scratch / "robot.yaml", scratch / "params.yaml", scratch / "out.json"
        robot_file.write_text(yaml.safe_dump(_described(config, condition)))
        params.write_text(yaml.safe_dump(_parameters(condition)))
        for seed in config.seed_numbers:
            paths = _paths(config, hardware, seed)
            (scratch / "paths.json").write_text(json.dumps({name: path.tolist() for name, path in paths.items()}))
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
            code = Supervisor([_watching(command) for command in plan(up)[0]]).run()
            done = json.loads(out.read_text())["runs"] if out.is_file() else []
            if len(done) < len(paths):
                raise MbmfError(f"only {len(done)} of {len(paths)} paths were walked (exit code {code}); see above")
            for row, (name, waypoints) in zip(done, paths.items(), strict=True):
                trace = {key: np.array(poses) for key, poses in row.pop("trace").items()}
                rows.append(row | truly(hardware.spec, name, seed, waypoints, **trace))
    return rows


def _watching(command: Command) -> Command:
    """The client that walks the paths shall hear where the robot really is as well."""
    client = {"mbmf_ros.up_client": "mbmf_ros.stand_in_client"}
    return dataclasses.replace(command, argv=tuple(client.get(word, word) for word in command.argv))


def _parameters(condition: Condition) -> dict[str, Any]:
    robot = _robot(condition, 0)
    told = {key: getattr(robot, key) for key in ("noise", "actuator_delay", "packet_loss")}
    bridge = {"latency_compensation": condition.compensated}
    return {
        "/**/hardware_stand_in": {"ros__parameters": told},
        "/**/hardware_bridge": {"ros__parameters": bridge},
    }


if __name__ == "__main__":
    try:
        main(tyro.cli(HardwareStandIn, description=__doc__))
    except MbmfError as error:
        sys.exit(f"error: {error}")
