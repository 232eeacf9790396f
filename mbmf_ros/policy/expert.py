"""The planner as the one to imitate: from a run of Algorithm 1 (`mbmf learn`)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mbmf_ros.control.algorithm import LearnConfig, Learner, configured, resume
from mbmf_ros.control.checkpoint import RUN_FILE
from mbmf_ros.control.recipes import recipe
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot


def open_run(folder: Path) -> Learner:
    """The run that ``mbmf learn`` keeps in ``folder``.

    Raises:
        MbmfError: there is none, or it is damaged.
    """
    file = folder / RUN_FILE
    try:
        identity = json.loads(file.read_text("utf-8"))["identity"]
        spec, task, seed = robot(str(identity["robot"])), str(identity["task"]), int(identity["seed"])
        config = configured(LearnConfig(), identity["config"])
    except OSError as error:
        raise MbmfError(f"{folder} holds no run ({file.name}: {error.strerror}); make one with `mbmf learn`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise MbmfError(f"{file} is damaged ({error}); choose another run, or make one with `mbmf learn`") from error
    if "evaluation_settings" not in identity["config"]:  # a run that they decided nothing about
        config = dataclasses.replace(config, evaluation_settings=recipe(spec, task).evaluation_settings)
    learner = resume(spec, task, config, seed, folder)
    if learner.model is None:
        raise MbmfError(f"{folder} holds no model yet; let `mbmf learn` take a few steps more")
    return learner


def expert_of(learner: Learner, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """The planner as the run evaluates it: maps measurements (nm,), one after the other, to actions (nu,)."""
    controller = learner.controller(seed, evaluating=True)
    return lambda m: controller.act(m).action
