"""Settings of imitation per robot, read from ``config/policy/``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mbmf_ros.config import load_yaml, override
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.policy.cloning import CloneConfig
from mbmf_ros.policy.imitation import ImitationConfig
from mbmf_ros.policy.improvement import ImprovementConfig
from mbmf_ros.policy.settings import PRESETS, settings_of
from mbmf_ros.robots import RobotSpec
from mbmf_ros.shared_files import shared_file

# What all robots of the paper have in common (appendix A and B); the rest stands in config/policy/paper.yaml.
PAPER = ImitationConfig(
    action_noise=0.005,
    guided=False,
    round_replays=0,
    remembered_rounds=0,
    initial_std=1.0,
    improvement=ImprovementConfig(rounds=0),
    clone=CloneConfig(min_updates=0, batch_size=500, learning_rate=1e-4, cosine=False, symmetries=False),
)


def imitation_recipe(spec: RobotSpec, preset: str, changes: Mapping[str, Any]) -> ImitationConfig:
    """Settings to imitate the planner of a robot with: those of ``config/policy/ROBOT.yaml``, section ``imitate``.

    Args:
        spec: the robot.
        preset: ``default``, tuned, or ``paper``.
        changes: nested changes to it.

    Raises:
        MbmfError: no such preset; a robot that the paper does not have; an unknown key.
    """
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    if preset == "default":
        base, values = ImitationConfig(), settings_of(spec, "imitate")
    else:
        robots = load_yaml(shared_file("config", "policy", "paper.yaml"))
        if spec.name not in robots:
            known = ", ".join(robots)
            raise MbmfError(f"the paper has no robot {spec.name!r}; with --preset paper choose one of {known}")
        base, values = PAPER, robots[spec.name]["imitate"]
    return override(override(base, values, "imitate"), changes, "imitate")
