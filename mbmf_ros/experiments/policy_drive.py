"""A policy drives a robot in the whole graph, in real time, and so does the MPC: speed, return, and time to answer.

    python -m mbmf_ros.experiments.policy_drive --policy FOLDER --seconds 50 --repeats 3 --out results/policy_drive

It brings up what ``mbmf up ant_sim --headless`` does, afresh for every run, by turns with ``--controller policy`` and
with the MPC told to move forward (``task: forward``); both with the same model, which is what the policy falls back on.
Every run begins upright, by a reset, and writes a CSV with a row per control step and a JSON with what came out;
``summary.csv`` has a row per controller. :mod:`mbmf_ros.experiments.drive_analysis` says what the numbers mean.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from mbmf_ros.bringup import environment
from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments.drive_analysis import analyse, summarise, table
from mbmf_ros.experiments.live_analysis import read_rows
from mbmf_ros.experiments.provenance import revision
from mbmf_ros.graphs import REQUIRED, graph
from mbmf_ros.policy.files import policy_file
from mbmf_ros.robots import robot
from mbmf_ros.supervisor import INTERRUPTED_EXIT, Command, Supervisor
from mbmf_ros.up import UpConfig, plan

CONTROLLERS = ("policy", "mpc")


@dataclass(frozen=True)
class PolicyDrive:
    """Let a policy and the MPC drive, by turns."""

    policy: Path
    """A policy file, or a folder with policy.safetensors."""
    out: Path
    """Folder of the results."""
    model: Path | None = None
    """Dynamics model of both; the shipped one if not given."""
    seconds: float = 50.0
    """Robot time of a run [s]."""
    repeats: int = 3
    """Runs of each controller."""
    seed: int = 0
    """Of the first run's simulation and planner; it grows by one with every repeat."""
    graph: str = "ant_sim"
    """What is brought up."""


def main(config: PolicyDrive) -> int:
    """Do all runs; the exit code is that of the first graph that did not end well, else 0."""
    spec = robot(graph(config.graph).robot)
    if spec.forward is None:
        raise MbmfError(f"robot {spec.name!r} has no reward for moving forward: its spec's `forward` is not set")
    if not (config.seconds > 0 and config.repeats > 0):
        raise MbmfError("--seconds and --repeats: expected more than 0")
    config.out.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[dict[str, Any]]] = {controller: [] for controller in CONTROLLERS}
    for repeat in range(config.repeats):
        for controller in CONTROLLERS:
            name = f"{controller}_{repeat}"
            file, before, began_s = config.out / f"{name}.csv", os.getloadavg()[0], time.monotonic()
            code = _drive(config, controller, repeat, file)
            if code == INTERRUPTED_EXIT:
                return code
            if code != 0:
                raise MbmfError(f"{name}: the graph ended with exit code {code}; what its nodes said stands above")
            facts = {"controller": controller, "repeat": repeat, **analyse(read_rows(file), spec.forward, spec.dt_s)}
            facts |= {"wall_s": round(time.monotonic() - began_s, 1), "load_before": before, **_provenance(config)}
            (config.out / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
            print(json.dumps(facts, indent=1), flush=True)
            runs[controller].append(facts)
    summaries = {controller: summarise(runs[controller]) for controller in CONTROLLERS}
    with (config.out / "summary.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, ["controller", *summaries[CONTROLLERS[0]]])
        writer.writeheader()
        writer.writerows({"controller": controller, **row} for controller, row in summaries.items())
    print(table(summaries))
    return 0


def _drive(config: PolicyDrive, controller: str, repeat: int, file: Path) -> int:
    """One run, which writes ``file``; the exit code of the graph."""
    file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="mbmf_ros_drive_") as scratch:
        parameters = Path(scratch) / "forward.yaml"
        forward = {"/**/mpc_controller": {"ros__parameters": {"task": "forward"}}}
        parameters.write_text(json.dumps(forward), encoding="utf-8")
        by_policy = controller == "policy"
        up = UpConfig(
            graph=config.graph,
            headless=True,
            demo=False,
            controller=controller,
            policy_path=str(config.policy) if by_policy else None,
            params_file=None if by_policy else str(parameters),
            model_path=str(config.model) if config.model else None,
            seed=config.seed + repeat,
            record=f"{scratch}/log",
        )
        commands, _ = plan(up)
        what = json.dumps({"csv": str(file), "seconds": config.seconds})
        argv = (sys.executable, "-m", "mbmf_ros.drive_client", what, "--ros-args")
        extra = {**commands[0].environment, **environment()}
        return Supervisor([*commands, Command("drive", argv, REQUIRED, extra, leads=True)]).run()


def _provenance(config: PolicyDrive) -> dict[str, Any]:
    """Where the numbers of a run that has just ended come from."""
    file = policy_file(config.policy)
    return {
        "load_after": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "niceness": os.nice(0),
        "policy": str(file),
        "policy_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "model": str(config.model) if config.model else "shipped",
        "seconds": config.seconds,
        "seed": config.seed,
        "revision": revision(),
        "command": " ".join(["python -m mbmf_ros.experiments.policy_drive", *sys.argv[1:]]),
    }


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(PolicyDrive, description=__doc__)))
    except MbmfError as error:
        sys.exit(f"error: {error}")
