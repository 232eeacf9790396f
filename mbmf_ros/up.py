"""``mbmf up``: brings a node graph up where ``ros2 launch`` is not installed, or to walk a file of paths."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from mbmf_ros.arguments import SimArguments, argument
from mbmf_ros.bringup import Program, environment, programs, rviz_problem
from mbmf_ros.deployment import enclave, network_problem, sender_environment, shared_memory_problem
from mbmf_ros.errors import MbmfError
from mbmf_ros.graphs import REQUIRED, Graph, chosen, graph, graph_names
from mbmf_ros.supervisor import Command, Supervisor


@dataclass(frozen=True)
class UpConfig(SimArguments):
    """Bring a node graph up; Ctrl-C takes it down again.

    With ``--paths`` it walks a file of paths, ``{"name": [[x, y], ...], ...}`` in metres in the robot's start frame,
    and ends with exit code 0 if every path succeeded.
    """

    graph: tyro.conf.Positional[str] = field(
        default="ant_sim", metadata={"help": f"what to bring up: {', '.join(graph_names())}"}
    )
    paths: Path | None = field(default=None, metadata={"help": "JSON file of paths to walk, one after the other"})
    json: Path | None = field(default=None, metadata={"help": "write the results of --paths here"})
    up_timeout_s: float = argument(60.0, "how long the graph may take to come up, with --paths [s]", low=0)


def run_up(config: UpConfig) -> int:
    """Bring the graph up and see to it until it ends; returns the exit code.

    0: stopped by Ctrl-C, or every path succeeded; 1: a required node died, or a path failed; 2: bad input; 3: the graph
    did not come up; 130: stopped before every path was walked.

    Raises:
        MbmfError: bad input.
    """
    commands, remarks = plan(config)
    supervisor = Supervisor(commands)
    for remark in remarks:
        supervisor.say(remark)
    return supervisor.run()


def plan(config: UpConfig) -> tuple[list[Command], list[str]]:
    """What to run, and remarks for the user.

    Raises:
        MbmfError: bad input.
    """
    if config.json and not config.paths:
        raise MbmfError("--json: there are no results without --paths FILE")
    if config.paths and config.learn and config.model_path is None:
        raise MbmfError("--learn starts without a model, which cannot walk --paths: name one with --model-path as well")
    if config.paths and config.model_path == "none":
        raise MbmfError("--paths: they are walked with a model; leave --model-path none out")
    if config.paths and config.controller == "policy":
        raise MbmfError("--paths: they are walked by the MPC, a policy moves forward; leave --controller policy out")
    behind = chosen(graph(config.graph), config)
    if config.paths and behind.bridge == "hardware" and not config.stand_in:
        raise MbmfError("--paths: each path begins at the start, where nobody can put a real robot back to from here")
    if config.paths:
        _check_paths(config)
        config = dataclasses.replace(config, demo=False)
    running, remarks = programs(behind, config), []
    _check_ros()
    problem = rviz_problem()
    if problem and any(program.name == "rviz2" for program in running):
        running = [program for program in running if program.name != "rviz2"]
        remarks.append(problem)
    remarks += filter(None, [network_problem(config.discovery), shared_memory_problem(config.discovery)])
    extra = environment(discovery=config.discovery)
    if sys.stdout.isatty():
        extra["RCUTILS_COLORIZED_OUTPUT"] = "1"
    commands = [_command(program, config, extra) for program in running]
    if config.paths:
        commands.append(_client(config, behind, running, extra))
    return commands, remarks


def _check_paths(config: UpConfig) -> None:
    """Fail now rather than after the graph has come up."""
    from mbmf_ros.control.follow import load_paths  # PyTorch takes a second to import

    assert config.paths is not None
    load_paths(config.paths)
    if config.json:
        folder = config.json.expanduser().resolve().parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MbmfError(f"--json: cannot make the folder {folder}: {error.strerror}") from error


def _check_ros() -> None:
    for module in ("rclpy", "mbmf_ros.msg"):
        if importlib.util.find_spec(module) is None:
            raise MbmfError(
                f"ROS 2 is needed for this, and {module} cannot be imported. With ROS 2 installed: colcon build, then "
                "source install/setup.bash; without: make setup, then .venv/bin/mbmf"
            )


def _command(program: Program, config: UpConfig, extra: dict[str, str]) -> Command:
    """The process of a node of this package, run by this Python; or of RViz."""
    start = (sys.executable, "-m", program.module) if program.module else (shutil.which(program.executable) or "",)
    ros = ["--ros-args", *_namespace(config), "--log-level", config.log_level, "-r", f"__node:={program.name}"]
    ros += ["--enclave", enclave(config.namespace, program.name)]
    for old, new in program.remappings:
        ros += ["-r", f"{old}:={new}"]
    for path in program.params_files:
        ros += ["--params-file", str(path)]
    for name, value in program.parameters.items():
        ros += ["-p", f"{name}:={json.dumps(value)}"]  # JSON is YAML, and quotes what would be read as another type
    extra = extra | sender_environment(program.name, config.discovery)
    return Command(program.name, (*start, *program.arguments, *ros), program.role, extra, farewell=program.farewell)


def _client(config: UpConfig, behind: Graph, running: list[Program], extra: dict[str, str]) -> Command:
    """The process that walks the paths; everything ends with it."""
    what = {
        "paths": str(config.paths),
        "json": str(config.json.expanduser()) if config.json else None,
        "robot": behind.robot,
        "bridge": behind.bridge,
        "nodes": [program.name for program in running if program.module],
        "seed": config.seed or 0,
        "up_timeout_s": config.up_timeout_s,
    }
    argv = (sys.executable, "-m", "mbmf_ros.up_client", json.dumps(what), "--ros-args", *_namespace(config))
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        extra = {**extra, "FORCE_COLOR": "1"}
    return Command("paths", argv, REQUIRED, extra, leads=True)


def _namespace(config: UpConfig) -> list[str]:
    return ["-r", f"__ns:=/{config.namespace.strip('/')}"] if config.namespace.strip("/") else []
