"""e(H) on random motion: always there, on what was never learnt from, and without any effect on what is learnt."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from quick_learning import QUICK_LEARNING  # pyright: ignore[reportMissingImports]

from mbmf_ros.control import judging
from mbmf_ros.control.algorithm import LearnConfig, Learner, resume
from mbmf_ros.control.judging import Errors, HeldOut, errors, longest, stretches
from mbmf_ros.control.learn_settings import configured
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.dynamics.io import fingerprint, load_model
from mbmf_ros.robots import robot

torch.set_num_threads(1)
SWIMMER, HOPPER = robot("swimmer"), robot("hopper")
QUICK = configured(LearnConfig(), QUICK_LEARNING)


def timeless(curve: list[dict]) -> list[dict]:
    return [{key: row[key] for key in ("iteration", "steps", "returns", "return")} for row in curve]


@pytest.mark.parametrize("spec", [SWIMMER, HOPPER])
def test_it_is_there_where_nothing_was_held_out_and_changes_nothing(spec, monkeypatch: pytest.MonkeyPatch):
    config = configured(QUICK, {"planner_settings": {"time_steps": 40}}) if spec is HOPPER else QUICK
    judged = Learner(spec, "forward", config, seed=1)
    judged.run(240)
    assert judged.steps == 240
    for row in judged.curve[1:]:
        assert 0 < row["e_h_random"] < math.inf
        assert 0 < row["nrmse_random"] < math.inf
    monkeypatch.setattr(HeldOut, "judge", lambda self, model: Errors(1, 1.0, 1.0, 1.0))
    blind = Learner(spec, "forward", config, seed=1)
    blind.run(240)
    assert timeless(blind.curve) == timeless(judged.curve)
    assert blind.model is not None
    assert judged.model is not None
    assert fingerprint(blind.model) == fingerprint(judged.model)


def test_a_robot_that_falls_is_judged_over_as_many_steps_as_there_are():
    config = configured(QUICK, {"planner_settings": {"time_steps": 50}})
    learner = Learner(HOPPER, "forward", config, seed=0)
    learner.run(240)
    steps = learner.curve[-1]["e_h_random_steps"]
    assert 5 < steps < 50
    made = learner.held_out.made
    assert stretches(made, steps) >= 32 > stretches(made, steps + 1)


def test_what_was_held_out_is_what_it_is_judged_on_if_that_is_long_enough(monkeypatch: pytest.MonkeyPatch):
    learner = Learner(SWIMMER, "forward", configured(QUICK, {"random_holdout": 0.25}), seed=0)
    monkeypatch.setattr(judging, "random_rollout", None, raising=True)  # none is made
    learner.run(120)
    assert learner.model is not None
    assert learner.held_out.judge(learner.model) == errors(learner.model, learner.held, 5)


@pytest.mark.parametrize(
    ("planner", "settings", "steps"),
    [("random_shooting", {}, 15), ("icem", {}, 16), ("mppi", {"time_steps": 9}, 9)],
)
def test_it_is_judged_over_the_horizon_that_the_planner_has(planner: str, settings: dict, steps: int):
    learner = Learner(SWIMMER, "forward", LearnConfig(planner=planner, planner_settings=settings), seed=0)
    assert learner.held_out.horizon == learner.controller(0).planner.config.time_steps == steps


def test_rollouts_made_for_it_are_of_the_seed_and_no_others():
    learners = [Learner(SWIMMER, "forward", QUICK, seed=seed) for seed in (0, 0, 1)]
    learners[0].run(120)
    starts = [learner.held_out.made.episodes[0].measurements[0] for learner in learners]
    assert np.array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0], starts[2])
    learnt = [episode.measurements[0] for episode in learners[0].random.episodes]
    assert not any(np.array_equal(starts[0], start) for start in learnt)
    assert learners[0].steps == 120


def test_a_models_file_says_its_own_error(tmp_path: Path):
    learner = resume(SWIMMER, "forward", QUICK, 0, tmp_path)
    learner.run(180)
    model, info = load_model(tmp_path / "model_0002.safetensors", SWIMMER)
    own = learner.held_out.judge(model)
    assert (info.one_step_error, info.open_loop_error, info.open_loop_steps) == (own.one_step, own.open_loop, 5)
    assert info.one_step_error != learner.curve[-1]["nrmse_random"]  # of the model before it


def test_where_there_is_nothing_to_judge_on_there_are_no_numbers():
    store = TransitionStore(SWIMMER)
    assert longest(store, 5) == 0
    learner = Learner(SWIMMER, "forward", QUICK, seed=0)
    learner.run(120)
    assert learner.model is not None
    assert errors(learner.model, store, 5).entries("x") == {"e_h_x": None, "nrmse_x": None}
    assert errors(learner.model, store, 0).entries("x") == {"e_h_x": None, "nrmse_x": None}
    few = TransitionStore(SWIMMER, [Episode(learner.random.episodes[0].measurements[:4], np.zeros((3, 2)))])
    assert longest(few, 5) == 1  # the only length with all three stretches
