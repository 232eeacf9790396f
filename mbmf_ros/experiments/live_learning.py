"""A robot learns to walk while it runs, over ROS and in real time; then a motor loses most of its strength.

    python -m mbmf_ros.experiments.live_learning --seed 0 --out results/live_learning

It brings up what ``mbmf up ant_sim --learn`` brings up, without any shipped weights. Each seed takes ``weaken_s`` +
``after_s`` seconds and writes one CSV with a row per simulated second, one JSON with what came out, and anew the table
of all seeds.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from mbmf_ros.bringup import environment
from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments.live_analysis import analyse, read_rows
from mbmf_ros.experiments.provenance import revision
from mbmf_ros.graphs import REQUIRED, graph
from mbmf_ros.robots import robot
from mbmf_ros.supervisor import Command, Supervisor
from mbmf_ros.up import UpConfig, plan


@dataclass(frozen=True)
class LiveLearning:
    """Learn live; then weaken a motor."""

    out: Path
    """Folder of the results."""
    seed: int = 0
    """Of the simulation, the exploration, the planner and the training."""
    graph: str = "ant_sim"
    """What is brought up."""
    weaken_s: float = 900.0
    """Simulated time at which the motor is weakened [s]."""
    after_s: float = 300.0
    """Simulated time to go on after that [s]."""
    strength: float = 0.3
    """What is left of the motor's torque."""
    motor: int | None = None
    """Index of the motor; another one for every seed if not given."""
    lock_step: bool = False
    """Time waits for the controller's answers: what is learned can then be told on a computer that is too busy."""
    params_file: str | None = None
    """Parameters of the nodes on top of the defaults."""


def main(config: LiveLearning) -> int:
    """Run one seed; the exit code is that of the graph."""
    spec = robot(graph(config.graph).robot)
    motor = config.motor if config.motor is not None else (3 * config.seed + 1) % spec.nu
    if not 0 <= motor < spec.nu:
        raise MbmfError(f"--motor: expected 0 to {spec.nu - 1} for robot {spec.name!r}, got {motor}")
    config.out.mkdir(parents=True, exist_ok=True)
    name = f"seed_{config.seed}"
    file = config.out / f"{name}.csv"
    with tempfile.TemporaryDirectory(prefix="mbmf_ros_live_") as scratch:
        up = UpConfig(
            graph=config.graph,
            learn=True,
            headless=True,
            seed=config.seed,
            sync_mode=config.lock_step or None,
            record=f"{scratch}/log",
            params_file=config.params_file,
        )
        commands, _ = plan(up)
        what = {
            "csv": str(file),
            "robot": spec.name,
            "weaken_s": config.weaken_s,
            "end_s": config.weaken_s + config.after_s,
            "motor": motor,
            "strength": config.strength,
        }
        argv = (sys.executable, "-m", "mbmf_ros.live_client", json.dumps(what), "--ros-args")
        extra = {**commands[0].environment, **environment()}
        started = time.monotonic()
        code = Supervisor([*commands, Command("live", argv, REQUIRED, extra, leads=True)]).run()
        wall_s = time.monotonic() - started
    rows = read_rows(file) if file.is_file() else []
    if not rows:
        raise MbmfError(f"the graph was not up for a second (exit code {code}); what its nodes said stands above")
    facts = {
        "seed": config.seed,
        "motor": spec.actuated_joints[motor],
        "strength": config.strength,
        "weaken_s": config.weaken_s,
        **analyse(rows, config.weaken_s),
        "exit_code": code,
        "wall_s": round(wall_s, 1),
        "niceness": os.nice(0),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "revision": revision(),
        "command": " ".join(["python -m mbmf_ros.experiments.live_learning", *sys.argv[1:]]),
        "config": {key: value for key, value in dataclasses.asdict(config).items() if key != "out"},
    }
    (config.out / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    _write_table(config.out)
    print(json.dumps(facts, indent=1))
    return code


def _write_table(folder: Path) -> None:
    """One row per seed."""
    results = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("seed_*.json"))]
    rows = [{key: value for key, value in result.items() if not isinstance(value, (dict, list))} for result in results]
    with (folder / "live_learning.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(LiveLearning, description=__doc__)))
    except MbmfError as error:
        sys.exit(f"error: {error}")
