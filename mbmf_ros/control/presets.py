"""Named sets of settings: the tuned default, and the paper's."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

import yaml

from mbmf_ros.config import load_yaml, override
from mbmf_ros.control.mpc import MpcConfig, MpcController
from mbmf_ros.control.planners import PLANNERS, make_planner
from mbmf_ros.control.tasks import FollowPathConfig
from mbmf_ros.data.collect import CollectConfig
from mbmf_ros.data.exploration import ExplorationConfig
from mbmf_ros.dynamics.model import DynamicsConfig
from mbmf_ros.dynamics.training import TrainConfig
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.registry import file_beside
from mbmf_ros.shared_files import shared_file

TASKS = ("follow_path", "velocity", "hold")


@dataclass(frozen=True)
class Preset:
    """Settings of the whole method.

    Attributes:
        planner: its name.
        planners: changes to the planners' own defaults, by name of the planner.
        collect, dynamics, training, mpc: settings of each part.
    """

    planner: str = "icem"
    planners: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    collect: CollectConfig = field(default_factory=CollectConfig)
    dynamics: DynamicsConfig = field(default_factory=DynamicsConfig)
    training: TrainConfig = field(default_factory=TrainConfig)
    mpc: MpcConfig = field(default_factory=MpcConfig)


# The paper's ant (appendix A): uniform random actions, one network of 2 x 500 ReLU on the world-frame state, Adam 1e-3
# with batches of 512 for 60 epochs on noisy data, random shooting with K = 7000 and H = 15, and the reward of Alg. 2,
# progress along the path less distance from it, with the weights of progress and distance alone.
PAPER = Preset(
    planner="random_shooting",
    collect=CollectConfig(start_noise=0.001**0.5, exploration=ExplorationConfig(kind="uniform")),
    dynamics=DynamicsConfig(profile="paper", members=1, hidden=500, activation="relu"),
    training=TrainConfig(
        epochs=60,
        min_updates=0,
        batch_size=512,
        cosine=False,
        input_noise=0.01,
        target_noise=0.01,
        symmetries=False,
    ),
    mpc=MpcConfig(
        follow_path=FollowPathConfig(speed_cap_mps=1e3, tilt=0.0, height=0.0, joint_speed=0.0, effort=0.0),
    ),
)
# What differs for its other robots when they follow trajectories: K, H, epochs. Gymnasium's v5 are the same robots.
_PAPER_ROBOTS = {"swimmer": (5000, 5, 70), "half_cheetah": (1000, 10, 40)}
_DRIVING = ("/**/mpc_controller", "ros__parameters")  # what a robot's controller needs, in config/ROBOT.yaml
PRESETS: Mapping[str, Preset] = {"default": Preset(), "paper": PAPER}


def preset(name: str, spec: RobotSpec | None = None) -> Preset:
    """The preset ``name``; the default one as tuned for a robot, the paper's with its numbers for it.

    For a robot that the paper has not these are the ant's.

    What a robot's controller needs beyond the defaults stands in config/ROBOT.yaml, which its node reads as well; how
    its random data is drawn and learnt from, in the section random_data of config/learn/ROBOT.yaml. A robot that was
    named by its file has both beside it: ROBOT.yaml is the latter.

    Raises:
        MbmfError: there is no such preset, or a file that is not as it should be.
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    if spec is None:
        return PRESETS[name]
    return tuned(PRESETS[name], spec) if name == "default" else _papers(PRESETS[name], spec)


def _papers(settings: Preset, spec: RobotSpec) -> Preset:
    """The paper's settings with its numbers for a robot."""
    numbers = _PAPER_ROBOTS.get(spec.name.removesuffix("_v5"))
    if numbers is None:
        return settings
    candidates, horizon, epochs = numbers
    planners = {settings.planner: {"batch_size": candidates, "time_steps": horizon}}
    return replace(settings, planners=planners, training=replace(settings.training, epochs=epochs))


def tuned(settings: Preset, spec: RobotSpec) -> Preset:
    """The settings with what ``spec``'s files say put in; a robot without files gets them as they are.

    Raises:
        MbmfError: a file that is not as it should be.
    """
    file = _file(f"{spec.name}.yaml")
    driving = _section(file, *_DRIVING)
    learning = _section(file_beside(spec, ".yaml") or _file("learn", f"{spec.name}.yaml"), "random_data")
    tasks = {key: driving[key] for key in ("follow_path", "velocity", "hold", "replan_every") if key in driving}
    changes = {**learning, "mpc": tasks}
    changes |= {"planner": driving["planner"]} if "planner" in driving else {}
    planners = {name: _section(file, *_DRIVING, name) for name in PLANNERS if name in driving}
    return replace(override(settings, changes, f"settings of {spec.name}"), planners=planners)


def _file(*parts: str) -> FilePath | None:
    with contextlib.suppress(MbmfError):
        return shared_file("config", *parts)
    return None


def _section(file: FilePath | None, *names: str) -> dict[str, Any]:
    """A nested section of a YAML file; empty where it is not there.

    Raises:
        MbmfError: it is no section, or one that it is in is none.
    """
    content = load_yaml(file) if file else {}
    for depth, name in enumerate(names, start=1):
        content = content.get(name)
        content = {} if content is None else content
        if not isinstance(content, dict):
            where = ": ".join(names[:depth])
            raise MbmfError(f"{file}: {where}: expected a mapping of keys to values, got {content!r}")
    return content


def make_controller(spec: RobotSpec, settings: Preset, assignments: Sequence[str] = (), seed: int = 0) -> MpcController:
    """A controller without a model.

    Args:
        spec: the robot.
        settings: where to start from.
        assignments: changes to it: ``planner.KEY=VALUE``, or the same of a task: follow_path, velocity, hold.
        seed: of the planner's noise.

    Raises:
        MbmfError: an assignment that is none, or of an unknown key.
    """
    sections: dict[str, dict[str, Any]] = {"planner": {}, **{task: {} for task in TASKS}}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        section, dot, name = key.partition(".")
        if not (equals and dot):
            raise MbmfError(f"expected SECTION.KEY=VALUE, for example planner.batch_size=256, got {assignment!r}")
        if section not in sections:
            raise unknown("section", section, sections)
        sections[section][name] = _value(assignment, value)
    tasks = {task: override(getattr(settings.mpc, task), sections[task], task) for task in TASKS}
    planner = make_planner(settings.planner, {**settings.planners.get(settings.planner, {}), **sections["planner"]})
    return MpcController(spec, planner, replace(settings.mpc, **tasks), seed)


def _value(assignment: str, text: str) -> Any:
    """The value in ``text``, read as YAML; 1e-3 is a number too."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise MbmfError(f"{assignment!r}: the value is not valid YAML") from error
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
