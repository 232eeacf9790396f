"""The planner as the one to imitate: from a run of Algorithm 1 (`mbmf learn`)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mbmf_ros.control.algorithm import LearnConfig, Learner, resume
from mbmf_ros.control.checkpoint import EVALUATION, RUN_FILE
from mbmf_ros.control.learn_settings import configured
from mbmf_ros.control.planners import planner_defaults
from mbmf_ros.control.recipes import recipe
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.io import recorded_robot
from mbmf_ros.policy.observation import Observation
from mbmf_ros.policy.recipes import ImitationConfig
from mbmf_ros.policy.run_file import check_source
from mbmf_ros.robots import RobotSpec, robot


def open_run(folder: Path, robot_name: str = "") -> Learner:
    """The run that ``mbmf learn`` keeps in ``folder``.

    Args:
        folder: the run.
        robot_name: the robot as users name it, for one of a file of theirs; by default the run says.

    Raises:
        MbmfError: there is none, or it is damaged, or another robot's or command's.
    """
    file = folder / RUN_FILE
    try:
        state = json.loads(file.read_text("utf-8"))
        identity = state["identity"]
        check_source(folder, identity, "learn")
        spec = robot(robot_name) if robot_name else recorded_robot(str(identity["robot"]))
        task, seed = str(identity["task"]), int(identity["seed"])
        if spec.name != identity["robot"]:
            raise MbmfError(f"{folder} is a run of robot {identity['robot']!r}, not {spec.name!r}")
        config = configured(LearnConfig(), identity["config"])
        if EVALUATION[0] not in identity["config"]:
            config = configured(config, state.get("evaluation") or _by_recipe(spec, task, config))
    except OSError as error:
        raise MbmfError(f"{folder} holds no run ({file.name}: {error.strerror}); make one with `mbmf learn`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise MbmfError(f"{file} is damaged ({error}); choose another run, or make one with `mbmf learn`") from error
    learner = resume(spec, task, config, seed, folder)
    if learner.model is None or not learner.own.episodes:
        raise MbmfError(f"{folder}: nothing but random motion so far; let `mbmf learn` go on with a larger --budget")
    return learner


def _by_recipe(spec: RobotSpec, task: str, config: LearnConfig) -> dict[str, Any]:
    """How a run that does not say so is evaluated: as the tuned recipe says, if it is of that."""
    tuned = recipe(spec, task)
    same = (tuned.planner, tuned.planner_settings) == (config.planner, config.planner_settings)
    return {key: getattr(tuned, key) for key in EVALUATION} if same else {}


def keep_data(learner: Learner, path: Path) -> None:
    """Write all that a run of Algorithm 1 recorded, with its rewards; nothing where not all of them are known."""
    data = TransitionStore(learner.spec, [*learner.random.episodes, *learner.held.episodes, *learner.own.episodes])
    path.unlink(missing_ok=True)  # another run's, if one was killed here before it began
    if all(episode.rewards is not None for episode in data.episodes):
        data.save(path)


def expert_of(learner: Learner, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """The planner as the run evaluates it: maps measurements (nm,), one after the other, to actions (nu,)."""
    controller = learner.controller(seed, evaluating=True)
    return lambda m: controller.act(m).action


def teacher_of(learner: Learner, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """The same asked about what others do: it plans at every measurement."""
    controller = learner.controller(seed, evaluating=True)
    controller.config = dataclasses.replace(controller.config, replan_every=1)
    return lambda m: controller.act(m).action


def check_expert(learner: Learner, config: ImitationConfig) -> None:
    """Refuse, before hours of work, what the expert cannot do.

    Raises:
        MbmfError: its model's states are not what policies see, or its planner does not start from a plan.
    """
    model, planner = learner.model, learner.config.planner
    assert model is not None
    if not Observation(learner.spec).fits(model.profile):
        if config.guided or config.improvement.rounds:
            raise MbmfError(
                f"the expert's model has the state profile {model.profile.name!r}, policies see 'body'; use --preset "
                "paper, or --set guided=false improvement.rounds=0"
            )
    elif config.guided and config.rounds and "noise" not in vars(planner_defaults(planner)):
        raise MbmfError(f"planner {planner!r} does not start from a plan; add --set guided=false")
