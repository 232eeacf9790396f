"""The programs that bring a node graph of :mod:`mbmf_ros.graphs` up.

One description serves ``ros2 launch`` (``launch/*.launch.py``) and ``mbmf up`` (:mod:`mbmf_ros.up`). Nothing here
imports ROS 2.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mbmf_ros.arguments import SimArguments, Value
from mbmf_ros.deployment import chosen_nodes, discovery_environment
from mbmf_ros.errors import MbmfError
from mbmf_ros.graphs import OPTIONAL, Graph, Role, chosen, hardware_file
from mbmf_ros.params_file import check_params_file
from mbmf_ros.policy.files import policy_file
from mbmf_ros.run_folder import RUN_VARIABLE, new_run
from mbmf_ros.shared_files import PACKAGE, shared_file


@dataclass(frozen=True)
class Program:
    """One process to run: a node of this package, or RViz.

    Attributes:
        name: of the node.
        package, executable: as ``ros2 run`` takes them.
        module: Python module to run where ``ros2 run`` is missing; empty for a foreign program.
        parameters: ROS parameters.
        params_files: parameter files, later ones win.
        arguments: command line before ``--ros-args``.
        remappings: names to replace, each with its replacement.
        role: what happens when it dies.
        farewell: it has something to do before it ends, and is given the time for that.
    """

    name: str
    package: str
    executable: str
    module: str
    parameters: Mapping[str, Value]
    params_files: tuple[Path, ...]
    arguments: tuple[str, ...]
    role: Role
    remappings: tuple[tuple[str, str], ...] = ()
    farewell: bool = False


# Children that share two cores: more threads than one per process only fight. Large thresholds keep glibc from
# returning a plan's buffers to the system and faulting them in again at every control step.
ENVIRONMENT: Mapping[str, str] = {
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "PYTHONUNBUFFERED": "1",
}


def environment(base: Mapping[str, str] = os.environ, discovery: str | None = None) -> dict[str, str]:
    """What the nodes' environment has beyond ``base``.

    What the user has set stays, but for a chosen ``discovery``; a range of LOCALHOST stays in meaning.
    """
    added = {key: value for key, value in {**ENVIRONMENT, RUN_VARIABLE: new_run()}.items() if key not in base}
    return added | discovery_environment(discovery, base)


def programs(graph: Graph, arguments: SimArguments) -> list[Program]:
    """The processes that bring ``graph`` up.

    Raises:
        MbmfError: arguments that do not go together, or a file that was named is missing or malformed.
    """
    graph = chosen(graph, arguments)
    simulated = graph.bridge == "sim"
    own = _own_file(graph)
    files = [own] if own else []
    if arguments.params_file:
        files.append(Path(arguments.params_file).expanduser())
    for path in files:
        check_params_file(path, {node.name for node in graph.nodes})
    for name, words in {"model_path": ("default", "none"), "policy_path": (), "rviz_config": ()}.items():
        path = getattr(arguments, name)
        if path is not None and path not in words and not _file(name, path).is_file():
            raise MbmfError(f"{name}: there is no file {_file(name, path)}")
    here = chosen_nodes([node.name for node in graph.nodes], arguments.only, arguments.without)
    running = []
    for node in graph.nodes:
        if node.name not in here:
            continue
        if node.window and (arguments.headless or not getattr(arguments, node.window)):
            continue
        if node.asked and not getattr(arguments, node.asked):
            continue
        parameters: dict[str, Value] = {"use_sim_time": arguments.use_sim_time and simulated and not node.owns_time}
        if not own:
            parameters["robot"] = graph.robot
        if node.name == "cockpit" and not simulated:
            parameters["bridge"] = "hardware_bridge"
        for source, parameter in node.takes.items():
            value = _value(source, arguments, simulated)
            if value is not None:
                parameters[parameter] = value
        module = f"{PACKAGE}.nodes.{node.name}"
        running.append(
            Program(
                node.name, PACKAGE, node.name, module, parameters, tuple(files), (), node.role, farewell=node.farewell
            )
        )
    if arguments.rviz and not arguments.headless:
        running.append(_rviz(arguments, simulated))
    if not running:
        raise MbmfError("there is nothing left to run: look at only, without, headless and cockpit")
    return running


def _own_file(graph: Graph) -> Path | None:
    """The parameter file of the graph's robot, if it comes with one."""
    try:
        return shared_file("config", f"{graph.robot}.yaml")
    except MbmfError:
        return None


def _value(source: str, arguments: SimArguments, simulated: bool) -> Value | None:
    """What an argument says, as nodes take it; None: nothing."""
    value = getattr(arguments, source)
    if source == "learn":
        return value or None
    if source == "demo" and value is None:
        # A real robot does not walk off by itself; and a policy has no use for a path.
        return simulated and arguments.controller != "policy"
    if source == "config":
        return str(hardware_file(value))
    if source == "model_path" and value is None and arguments.learn:
        value = "none"
    return _place(source, value) if source in ("model_path", "policy_path", "record") and value is not None else value


def _place(name: str, text: str) -> str:
    """A path as nodes take it, wherever they run; ``none`` is the empty text to them."""
    if name != "policy_path" and text in ("default", "none"):
        return text if text == "default" else ""
    return str(_file(name, text).resolve())


def _file(name: str, text: str) -> Path:
    """The file, or the folder, that the argument ``name`` means."""
    return policy_file(text) if name == "policy_path" else Path(text).expanduser()


def _rviz(arguments: SimArguments, simulated: bool) -> Program:
    chosen = arguments.rviz_config
    # The set-up of the ant's has nothing that is the ant's own.
    config = Path(chosen).expanduser() if chosen else shared_file("config", "ant_sim.rviz")
    parameters: dict[str, Value] = {"use_sim_time": arguments.use_sim_time and simulated}
    # RViz's tools and its TF listener use absolute names, which would leave the robot's namespace.
    names = ("tf", "tf_static", "goal_pose", "clicked_point", "initialpose")
    relative = tuple((f"/{name}", name) for name in names)
    return Program("rviz2", "rviz2", "rviz2", "", parameters, (), ("-d", str(config)), OPTIONAL, relative)


def rviz_problem(environ: Mapping[str, str] = os.environ) -> str | None:
    """Why RViz cannot be shown here, or None."""
    if not shutil.which("rviz2", path=environ.get("PATH")):
        return "RViz is not installed (rviz2 is not on PATH): going on without it; the cockpit shows the robot too"
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return "there is no display (DISPLAY is not set): going on without RViz; the cockpit shows the robot too"
    return None
