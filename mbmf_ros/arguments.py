"""What can be chosen when a robot is brought up: the arguments of its launch file and of ``mbmf up``."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mbmf_ros.deployment import DISCOVERY
from mbmf_ros.errors import MbmfError, unknown

LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
BRIDGES = ("sim", "hardware")
CONTROLLERS = ("mpc", "policy")
PLANNERS = ("random_shooting", "icem", "mppi")

Value = bool | int | float | str


def argument(default: Any, text: str, low: float = -math.inf, choices: tuple[str, ...] = ()) -> Any:
    """A field of an argument list: default, help text, smallest value, and the values allowed (empty: any)."""
    return field(default=default, metadata={"help": text, "low": low, "choices": choices})


@dataclass(frozen=True)
class SimArguments:
    """What can be chosen when a robot is brought up, simulated unless the hardware bridge is asked for.

    None means: not chosen, so the parameter file or else the node itself decides.
    """

    namespace: str = argument("", "ROS namespace of the robot")
    robot: str | None = argument(
        None, "the robot of the graphs sim (its name or file) and hardware (by default the one of its hardware file)"
    )
    bridge: str | None = argument(
        None, f"what is behind state and action: {' or '.join(BRIDGES)}, a real robot", choices=BRIDGES
    )
    config: str | None = argument(None, "hardware file of the robot (YAML), or the name of one in config/hardware")
    stand_in: bool = argument(False, "start a stand-in for the robot as well, behind the hardware bridge")
    auto_enable: bool = argument(False, "the hardware bridge enables itself; with stand_in only")
    only: str = argument("", "run only these nodes of the graph here, with commas in between; all if not given")
    without: str = argument("", "nodes of the graph that run on another machine, or not at all")
    discovery: str | None = argument(
        None,
        "who meets the nodes: localhost (this machine) or subnet; ROS_AUTOMATIC_DISCOVERY_RANGE if that is set, else "
        "localhost",
        choices=DISCOVERY,
    )
    use_sim_time: bool = argument(True, "nodes follow the simulation's /clock; never with the hardware bridge")
    publish_clock: bool | None = argument(None, "the simulation publishes /clock; false for all robots but one")
    params_file: str | None = argument(None, "parameters on top of config/<robot>.yaml; sections /** or /**/<node>")
    model_path: str | None = argument(None, "dynamics model (safetensors), or none; the shipped one if not given")
    learn: bool = argument(False, "start without a model (unless model_path is given), explore, learn, go on learning")
    controller: str | None = argument(
        None, "who moves the robot: mpc, or policy: forward while there is no other order", choices=CONTROLLERS
    )
    policy_path: str | None = argument(None, "policy of controller policy: a file, or a folder with policy.safetensors")
    planner: str | None = argument(None, f"planner of the controller: {', '.join(PLANNERS)}", choices=PLANNERS)
    seed: int | None = argument(None, "seed of the simulation's noise and of the planner", low=0)
    demo: bool | None = argument(
        None, "walk the demonstration path after the start; if not given, in simulation, by the MPC"
    )
    sync_mode: bool | None = argument(None, "lock-step: the simulation waits for the controller")
    real_time_factor: float | None = argument(None, "simulated seconds per second; 0: as fast as possible", low=0)
    headless: bool = argument(False, "no cockpit and no RViz")
    cockpit: bool = argument(True, "serve the cockpit, a web page")
    cockpit_port: int | None = argument(None, "TCP port of the cockpit", low=0)
    rviz: bool = argument(False, "start RViz too")
    rviz_config: str | None = argument(None, "RViz set-up; config/ant_sim.rviz if not given")
    record: str | None = argument(
        None, "folder of the log of every transition (MCAP), or none; ~/.ros/mbmf_ros if not given"
    )
    log_level: str = argument("info", f"of all nodes: {', '.join(LOG_LEVELS)}", choices=LOG_LEVELS)

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            value, meta = getattr(self, entry.name), entry.metadata
            if isinstance(value, str) and meta.get("choices") and value not in meta["choices"]:
                raise unknown(entry.name, value, meta["choices"])
            if isinstance(value, (int, float)) and not (meta.get("low", -math.inf) <= value < math.inf):
                raise MbmfError(f"{entry.name}: expected a number of at least {meta['low']:g}, got {value}")
        if not all(part.isidentifier() for part in self.namespace.strip("/").split("/") if self.namespace):
            raise MbmfError(f"namespace: expected a ROS name such as robot1 or lab/robot1, got {self.namespace!r}")


def argument_texts() -> list[tuple[str, str, str]]:
    """Name, default and description of every argument, as text; an empty default means: not chosen."""

    def text(value: Any) -> str:
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    return [(entry.name, text(entry.default), entry.metadata["help"]) for entry in dataclasses.fields(SimArguments)]


def parse_arguments(texts: Mapping[str, str]) -> SimArguments:
    """Arguments from the texts that ``name:=text`` gives; an empty text means: not chosen.

    Raises:
        MbmfError: an unknown name, or a text that does not fit.
    """
    hints = typing.get_type_hints(SimArguments)
    values: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in hints:
            raise unknown("argument", name, hints)
        if text != "":
            values[name] = _parsed(name, text, hints[name])
    return SimArguments(**values)


def _parsed(name: str, text: str, hint: Any) -> Value:
    kinds = set(typing.get_args(hint)) or {hint}
    if bool in kinds:
        if text.lower() in ("true", "1", "false", "0"):
            return text.lower() in ("true", "1")
        raise MbmfError(f"{name}: expected true or false, got {text!r}")
    for kind, words in ((int, "a whole number"), (float, "a number")):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError as error:
                raise MbmfError(f"{name}: expected {words}, got {text!r}") from error
    return text
