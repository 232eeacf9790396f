"""The node graph of a simulated robot, as data.

One description serves ``ros2 launch`` (``launch/*.launch.py``) and ``mbmf up`` (:mod:`mbmf_ros.up`). Nothing here
imports ROS 2.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mbmf_ros.arguments import SimArguments, Value
from mbmf_ros.config import load_yaml
from mbmf_ros.deployment import chosen_nodes, discovery_environment
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.run_folder import RUN_VARIABLE, new_run
from mbmf_ros.shared_files import PACKAGE, shared_file

BACK_OFF_S = 1.0  # before the first restart of a node that died
BAD_INPUT_EXIT = 2  # a node that exits with this said why; starting it again would end the same way


@dataclass(frozen=True)
class Role:
    """What happens when a program dies.

    Attributes:
        restarts: how often it is started again, with growing pauses, before it is given up.
        required: giving it up brings everything else down.
    """

    restarts: int
    required: bool


REQUIRED = Role(restarts=0, required=True)
ESSENTIAL = Role(restarts=3, required=True)
RESTART = Role(restarts=3, required=False)
OPTIONAL = Role(restarts=0, required=False)


@dataclass(frozen=True)
class NodeDescription:
    """One node of the graph.

    Attributes:
        name: of the node, of its executable, and of its module in ``mbmf_ros.nodes``.
        role: what happens when it dies.
        takes: argument -> ROS parameter that it sets.
        owns_time: it publishes /clock, so it cannot follow it.
        window: left out when headless; and unless the argument of this name is true.
    """

    name: str
    role: Role
    takes: Mapping[str, str] = field(default_factory=dict)
    owns_time: bool = False
    window: str = ""


@dataclass(frozen=True)
class Graph:
    """The nodes that make up one robot.

    Attributes:
        name: as users type it.
        robot: name of the robot's spec.
        nodes: the nodes.
    """

    name: str
    robot: str
    nodes: tuple[NodeDescription, ...]


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


_NODES = (
    NodeDescription(
        "sim_bridge",
        REQUIRED,
        {name: name for name in ("real_time_factor", "sync_mode", "publish_clock", "seed")},
        owns_time=True,
    ),
    NodeDescription(
        "mpc_controller",
        ESSENTIAL,
        {"model_path": "model_path", "planner": "planner", "seed": "seed", "learn": "explore"},
    ),
    NodeDescription(
        "dynamics_learner",
        RESTART,
        {"model_path": "model_path", "record": "log_dir", "seed": "seed", "learn": "continuous"},
    ),
    NodeDescription("waypoints", ESSENTIAL, {"demo": "demo"}),
    NodeDescription("display", RESTART),
    NodeDescription("cockpit", RESTART, {"cockpit_port": "port"}, window="cockpit"),
)


ANT_SIM = Graph("ant_sim", "ant", _NODES)
_GRAPHS = {
    graph.name: graph
    for graph in (
        ANT_SIM,
        Graph("swimmer_sim", "swimmer", _NODES),
        Graph("half_cheetah_sim", "half_cheetah_v5", _NODES),  # the paper's control period, 10 ms, is short for a plan
        Graph("hopper_sim", "hopper", _NODES),
    )
}

# Children that share two cores: more threads than one per process only fight. Large thresholds keep glibc from
# returning a plan's buffers to the system and faulting them in again at every control step.
ENVIRONMENT: Mapping[str, str] = {
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "PYTHONUNBUFFERED": "1",
}


def graph(name: str) -> Graph:
    """The graph that users call ``name``.

    Raises:
        MbmfError: there is no such graph.
    """
    if name not in _GRAPHS:
        raise unknown("node graph", name, _GRAPHS)
    return _GRAPHS[name]


def graph_names() -> tuple[str, ...]:
    """Names of all graphs."""
    return tuple(_GRAPHS)


def environment(base: Mapping[str, str] = os.environ, discovery: str | None = None) -> dict[str, str]:
    """What the nodes' environment has beyond ``base``; what the user has set stays, but for a chosen ``discovery``."""
    added = {key: value for key, value in {**ENVIRONMENT, RUN_VARIABLE: new_run()}.items() if key not in base}
    return added | discovery_environment(discovery, base)


def programs(graph: Graph, arguments: SimArguments) -> list[Program]:
    """The processes that bring ``graph`` up.

    Raises:
        MbmfError: a file that was named is missing or malformed.
    """
    files = [shared_file("config", f"{graph.robot}.yaml")]
    if arguments.params_file:
        files.append(Path(arguments.params_file).expanduser())
    for path in files:
        check_params_file(path, graph)
    for name in ("model_path", "rviz_config"):
        path = getattr(arguments, name)
        if path not in (None, "default") and not Path(path).expanduser().is_file():
            raise MbmfError(f"{name}: there is no file {path}")
    here = chosen_nodes([node.name for node in graph.nodes], arguments.only, arguments.without)
    running = []
    for node in graph.nodes:
        if node.name not in here:
            continue
        if node.window and (arguments.headless or not getattr(arguments, node.window)):
            continue
        parameters: dict[str, Value] = {"use_sim_time": arguments.use_sim_time and not node.owns_time}
        for source, parameter in node.takes.items():
            value = getattr(arguments, source)
            if source == "model_path" and value is None and arguments.learn:
                value = "none"
            if value is not None and not (source == "learn" and value is False):
                parameters[parameter] = _place(value) if source in ("model_path", "record") else value
        module = f"{PACKAGE}.nodes.{node.name}"
        running.append(Program(node.name, PACKAGE, node.name, module, parameters, tuple(files), (), node.role))
    if arguments.rviz and not arguments.headless:
        running.append(_rviz(graph, arguments))
    if not running:
        raise MbmfError("there is nothing left to run: look at only, without, headless and cockpit")
    return running


def _place(text: str) -> str:
    """A path as nodes take it, wherever they run; ``none`` is the empty text to them."""
    if text in ("default", "none"):
        return text if text == "default" else ""
    return str(Path(text).expanduser().resolve())


def _rviz(graph: Graph, arguments: SimArguments) -> Program:
    chosen = arguments.rviz_config
    # The set-up of the ant's has nothing that is the ant's own.
    config = Path(chosen).expanduser() if chosen else shared_file("config", "ant_sim.rviz")
    parameters: dict[str, Value] = {"use_sim_time": arguments.use_sim_time}
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


def check_params_file(path: Path, graph: Graph) -> None:
    """Refuse a parameter file that rcl would read in part or not at all.

    The keys of parameters are checked by the nodes, which know theirs.

    Raises:
        MbmfError: the file is missing or malformed, or has a section for a node that is not in ``graph``.
    """
    known = {node.name for node in graph.nodes}

    def check(section: str, content: Any) -> None:
        if not isinstance(content, dict):
            raise MbmfError(f"{path}: section {section!r}: expected a mapping, got {content!r}")
        parameters = content.get("ros__parameters")
        if parameters is None:
            if not content:
                raise MbmfError(f"{path}: section {section!r} is empty; write 'ros__parameters:' below it")
            for name, inner in content.items():
                if not isinstance(inner, dict):
                    raise MbmfError(f"{path}: {name!r} in section {section!r} must stand below 'ros__parameters:'")
                check(str(name), inner)
            return
        if not isinstance(parameters, dict):
            raise MbmfError(f"{path}: section {section!r}: expected parameters, got {parameters!r}")
        node = section.rsplit("/", 1)[-1]
        if "*" not in node and node not in known:
            raise unknown(f"node in {path}:", node, known)
        _check_values(f"{path}: section {section!r}", parameters)

    for section, content in load_yaml(path).items():
        check(str(section), content)


def _check_values(where: str, parameters: Mapping[Any, Any]) -> None:
    """Refuse what YAML can say and ROS parameters cannot."""
    for name, value in parameters.items():
        if value is None:
            raise MbmfError(f"{where}: {name!r} has no value; leave the line out for the default")
        if isinstance(value, dict):
            _check_values(where, value)
        elif isinstance(value, list):
            # Numbers such as 1e5 are text to the YAML reader here, and not to rcl.
            kinds = {type(item) for item in value if not (isinstance(item, str) and re.fullmatch(r"[-+.\deE]+", item))}
            if len(kinds) > 1 or kinds & {list, dict}:
                raise MbmfError(
                    f"{where}: {name!r}: expected a list of one kind (1.0 and 2.5, not 1 and 2.5), got {value}"
                )
