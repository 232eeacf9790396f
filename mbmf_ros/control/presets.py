"""Named sets of settings: the tuned default, and the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from mbmf_ros.config import override
from mbmf_ros.control.mpc import MpcConfig, MpcController
from mbmf_ros.control.planners import make_planner
from mbmf_ros.control.tasks import FollowPathConfig
from mbmf_ros.data.collect import CollectConfig
from mbmf_ros.data.exploration import ExplorationConfig
from mbmf_ros.dynamics.model import DynamicsConfig
from mbmf_ros.dynamics.training import TrainConfig
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.robots import RobotSpec


@dataclass(frozen=True)
class Preset:
    """Settings of the whole method.

    Attributes:
        planner: its name; its options are its own defaults.
        collect, dynamics, training, mpc: settings of each part.
    """

    planner: str = "icem"
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
PRESETS: Mapping[str, Preset] = {"default": Preset(), "paper": PAPER}


def preset(name: str) -> Preset:
    """The preset ``name``.

    Raises:
        MbmfError: there is no such preset.
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


def make_controller(spec: RobotSpec, settings: Preset, assignments: Sequence[str] = (), seed: int = 0) -> MpcController:
    """A controller without a model.

    Args:
        spec: the robot.
        settings: where to start from.
        assignments: changes to it: ``planner.KEY=VALUE`` or ``follow_path.KEY=VALUE``.
        seed: of the planner's noise.

    Raises:
        MbmfError: an assignment that is none, or of an unknown key.
    """
    sections: dict[str, dict[str, Any]] = {"planner": {}, "follow_path": {}}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        section, dot, name = key.partition(".")
        if not (equals and dot):
            raise MbmfError(f"expected SECTION.KEY=VALUE, for example planner.batch_size=256, got {assignment!r}")
        if section not in sections:
            raise unknown("section", section, sections)
        sections[section][name] = _value(assignment, value)
    task = override(settings.mpc.follow_path, sections["follow_path"], "follow_path")
    planner = make_planner(settings.planner, sections["planner"])
    return MpcController(spec, planner, replace(settings.mpc, follow_path=task), seed)


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
