"""Learning recipes: settings of Algorithm 1 per robot and task, read from ``config/learn/``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from mbmf_ros.config import load_yaml
from mbmf_ros.control.algorithm import LearnConfig
from mbmf_ros.control.learn_settings import configured
from mbmf_ros.control.presets import PRESETS
from mbmf_ros.errors import MbmfError, naming, unknown
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.registry import file_beside
from mbmf_ros.shared_files import shared_file

RECIPES = ("default", "paper")

# What all robots of the paper have in common (appendix A); the rest stands in config/learn/paper.yaml.
PAPER = LearnConfig(
    on_policy_share=0.9,
    first=PRESETS["paper"].training,
    refit=PRESETS["paper"].training,
    planner=PRESETS["paper"].planner,
    explore_best=False,
    dynamics=PRESETS["paper"].dynamics,
    exploration=PRESETS["paper"].collect.exploration,
)


def recipe(spec: RobotSpec, task: str, name: str = "default", changes: Mapping[str, Any] | None = None) -> LearnConfig:
    """Settings to learn ``task`` with.

    A robot's own recipe is config/learn/ROBOT.yaml, or ROBOT.yaml beside the file that the robot was named by. A robot
    without one gets the defaults.

    Args:
        spec: the robot.
        task: the task.
        name: ``default``, tuned, or ``paper``.
        changes: nested changes to it.

    Raises:
        MbmfError: no such recipe; a robot that the paper does not have; an unknown key.
    """
    if name not in RECIPES:
        raise unknown("preset", name, RECIPES)
    if name == "paper":
        known = load_yaml(shared_file("config", "learn", "paper.yaml"))
        if spec.name not in known:
            raise MbmfError(
                f"the paper has no robot {spec.name!r}; with --preset paper choose one of {', '.join(known)}"
            )
        return configured(configured(PAPER, known[spec.name]), changes or {})
    file = file_beside(spec, ".yaml")
    if file is None:
        with contextlib.suppress(MbmfError):
            file = shared_file("config", "learn", f"{spec.name}.yaml")
    tasks = load_yaml(file) if file else {}
    own = tasks.get(task)
    with naming(file):
        config = LearnConfig() if own is None else configured(LearnConfig(), own)
    return configured(config, changes or {})
