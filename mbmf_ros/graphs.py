"""Which nodes make up a robot, simulated or real, as data. Nothing here imports ROS 2."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mbmf_ros.arguments import SimArguments
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.shared_files import shared_file

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
        asked: left out unless the argument of this name is true.
        farewell: it has something to do before it ends, and is given the time for that.
    """

    name: str
    role: Role
    takes: Mapping[str, str] = field(default_factory=dict)
    owns_time: bool = False
    window: str = ""
    asked: str = ""
    farewell: bool = False


@dataclass(frozen=True)
class Graph:
    """The nodes that make up one robot.

    Attributes:
        name: as users type it.
        robot: name of the robot's spec; empty: the arguments say.
        nodes: the nodes.
        bridge: what is behind the topics `state` and `action`: sim or hardware.
    """

    name: str
    robot: str
    nodes: tuple[NodeDescription, ...]
    bridge: str = "sim"


_SIM_BRIDGE = NodeDescription(
    "sim_bridge",
    REQUIRED,
    {name: name for name in ("real_time_factor", "sync_mode", "publish_clock", "seed")},
    owns_time=True,
)
# A bridge that comes back is disabled, unless it was told to enable itself: nobody moves who was not asked to.
_HARDWARE_BRIDGE = NodeDescription(
    "hardware_bridge",
    ESSENTIAL,
    {"config": "config", "stand_in": "stand_in", "auto_enable": "safety.auto_enable"},
    farewell=True,
)
_STAND_IN = NodeDescription("hardware_stand_in", REQUIRED, {"config": "config", "seed": "seed"}, asked="stand_in")
_REST = (
    NodeDescription(
        "mpc_controller",
        ESSENTIAL,
        {
            **{name: name for name in ("controller", "policy_path", "model_path", "planner", "seed")},
            "learn": "explore",
        },
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
_NODES = {"sim": (_SIM_BRIDGE, *_REST), "hardware": (_HARDWARE_BRIDGE, *_REST, _STAND_IN)}


ANT_SIM = Graph("ant_sim", "ant", _NODES["sim"])
_GRAPHS = {
    graph.name: graph
    for graph in (
        ANT_SIM,
        Graph("swimmer_sim", "swimmer", _NODES["sim"]),
        # The paper's control period, 10 ms, is short for a plan.
        Graph("half_cheetah_sim", "half_cheetah_v5", _NODES["sim"]),
        Graph("hopper_sim", "hopper", _NODES["sim"]),
        Graph("sim", "", _NODES["sim"]),
        Graph("hardware", "", _NODES["hardware"], bridge="hardware"),
    )
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


def chosen(graph: Graph, arguments: SimArguments) -> Graph:
    """The graph with the robot and behind the bridge that the arguments ask for.

    Raises:
        MbmfError: arguments that do not go together, or with the graph; or a hardware file that is not usable.
    """
    if arguments.policy_path and arguments.controller != "policy":
        raise MbmfError("policy_path: is for a policy as the controller; add controller:=policy")
    bridge = arguments.bridge or graph.bridge
    robot = _named(arguments.robot) or graph.robot
    if graph.robot and robot != graph.robot:
        raise MbmfError(f"robot: {graph.name} is of {graph.robot}, got {robot}; take the graph {bridge}")
    if bridge == "sim":
        if graph.bridge == "hardware":
            raise MbmfError(f"bridge: graph {graph.name} has no simulator, take {robot or 'ant'}_sim")
        for name in ("config", "stand_in", "auto_enable"):
            if getattr(arguments, name):
                raise MbmfError(f"{name}: is for a robot behind the hardware bridge; add bridge:=hardware")
        return dataclasses.replace(graph, robot=_known(robot))
    for name in ("sync_mode", "real_time_factor", "publish_clock"):
        if getattr(arguments, name) is not None:
            raise MbmfError(f"{name}: only the simulator has it, and this is the hardware bridge; leave it out")
    if arguments.auto_enable and not arguments.stand_in:
        raise MbmfError("auto_enable: a real robot is enabled by hand, by the service hardware_bridge/enable")
    robot = _robot_of_file(hardware_file(arguments.config, robot), robot)
    return dataclasses.replace(graph, robot=robot, nodes=_NODES["hardware"], bridge="hardware")


def hardware_file(config: str | None, robot: str = "") -> Path:
    """The hardware file that users call ``config``: a path, or the name of one that comes with the package.

    Raises:
        MbmfError: there is none.
    """
    if not config:
        example = f", for example config:={robot or 'ant'}_stand_in"
        raise MbmfError(f"config: expected the robot's hardware file{example} (docs/hardware.md)")
    path = Path(config).expanduser()
    if path.suffix == ".yaml" and path.is_file():
        return path.resolve()
    if path.suffix or len(path.parts) > 1:
        raise MbmfError(f"config: there is no file {config}; expected one that ends in .yaml")
    return shared_file("config", "hardware", f"{config}.yaml")


def _named(robot: str | None) -> str:
    """A robot as nodes are told it, wherever they run: its name, or the full path of its file."""
    file, colon, name = (robot or "").partition(":")
    return f"{Path(file).expanduser().resolve()}{colon}{name}" if file.endswith(".py") else robot or ""


def _known(name: str) -> str:
    """The robot's name as it is, if there is such a robot."""
    from mbmf_ros.robots import robot  # MuJoCo takes a while to import

    if not name:
        raise MbmfError(
            "robot: expected the robot to simulate: its name, robot:=hopper_v5, or its file, robot:=FILE.py"
        )
    robot(name)
    return name


def _robot_of_file(file: Path, wanted: str) -> str:
    """The robot that a hardware file is of; the one that is ``wanted``, if any is."""
    from mbmf_ros.hardware.config import load_hardware  # PyTorch takes a second to import

    hardware = load_hardware(file)
    if wanted and wanted != hardware.robot:
        raise MbmfError(f"config: {file} is of robot {hardware.robot}, expected {wanted}")
    return hardware.robot
