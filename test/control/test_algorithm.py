"""Algorithm 1: it counts every step, learns from what it did, and goes on after a kill as if nothing had happened."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from quick_learning import QUICK_LEARNING  # pyright: ignore[reportMissingImports]

from mbmf_ros.control.algorithm import LearnConfig, Learner, resume
from mbmf_ros.control.environments import environment
from mbmf_ros.control.learn_settings import configured
from mbmf_ros.control.rollout import roll_out
from mbmf_ros.dynamics.dataset import make_dataset
from mbmf_ros.dynamics.io import fingerprint
from mbmf_ros.errors import DivergenceError, MbmfError
from mbmf_ros.robots import robot

torch.set_num_threads(1)
SPEC = robot("swimmer")
QUICK = configured(LearnConfig(), {**QUICK_LEARNING, "random_holdout": 0.25})


class KilledError(Exception):
    """Stands for a signal that nothing can catch."""


def timeless(curve: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "wall_s"} for row in curve]


def test_every_step_counts_and_own_data_is_learnt_from():
    learner = Learner(SPEC, "forward", QUICK, seed=0)
    seen = []
    learner.run(300, lambda steps, value: seen.append(steps))
    assert seen == [120, 180, 240, 300] == [row["steps"] for row in learner.curve]
    assert learner.random.transitions + learner.held.transitions == 120
    assert learner.held.transitions == 30
    assert learner.own.transitions == 180
    assert learner.curve[0]["return"] is None
    for row in learner.curve[1:]:
        assert len(row["returns"]) == 2
        assert row["return"] == pytest.approx(np.mean(row["returns"]))
        assert row["e_h_on_policy"] > 0
        assert row["e_h_random"] > 0


def test_every_control_period_of_a_held_action_counts_as_a_step(tmp_path: Path):
    config = configured(QUICK, {"action_repeat": 4})
    learner = resume(SPEC, "forward", config, 0, tmp_path)
    learner.run(250)
    assert [row["steps"] for row in learner.curve] == [120, 240]  # an episode is 30 periods
    assert learner.own.transitions == 30
    assert learner.spec.dt_s == pytest.approx(4 * SPEC.dt_s)
    again = resume(SPEC, "forward", config, 0, tmp_path)
    assert again.steps == 240
    assert again.model is not None
    assert again.model.spec.dt_s == learner.spec.dt_s
    assert again.evaluate(1) == learner.evaluate(1)


def test_the_curves_return_is_what_the_environment_paid():
    learner = Learner(SPEC, "forward", QUICK, seed=0)
    learner.run(180)
    env = environment(SPEC, "forward")
    episode = learner.own.episodes[0]
    value = roll_out_actions(env, episode.measurements[0], episode.actions)
    assert learner.curve[1]["returns"][0] == pytest.approx(value, rel=1e-6)


def roll_out_actions(env, start: np.ndarray, actions: np.ndarray) -> float:
    env.simulation.reset(start)
    return sum(env.step(action)[1] for action in actions)


def test_the_last_crumbs_of_a_budget_are_left():
    learner = Learner(SPEC, "forward", QUICK, seed=0)
    learner.run(190)
    assert learner.steps == 180


@pytest.mark.parametrize("killed_at", [120, 180])
def test_a_killed_run_goes_on_exactly(tmp_path: Path, killed_at: int):
    whole = resume(SPEC, "forward", QUICK, 3, tmp_path / "whole")
    whole.run(240)

    def die(steps: int, value: str) -> None:
        if steps == killed_at:
            raise KilledError

    first = resume(SPEC, "forward", QUICK, 3, tmp_path / "cut")
    with pytest.raises(KilledError):
        first.run(240, die)
    # Leftovers of an iteration that never became part of the run.
    (tmp_path / "cut" / "own_0009.safetensors.partial").write_bytes(b"torn")
    again = resume(SPEC, "forward", QUICK, 3, tmp_path / "cut")
    assert again.steps == killed_at
    again.run(240)
    assert whole.model is not None
    assert again.model is not None
    assert fingerprint(again.model) == fingerprint(whole.model)
    for one, two in zip(again.own.episodes, whole.own.episodes, strict=True):
        assert one.rewards is not None
        np.testing.assert_array_equal(one.rewards, two.rewards)  # type: ignore[arg-type]
        assert one.terminated == two.terminated
    assert timeless(again.curve) == timeless(whole.curve)
    assert again.evaluate(1) == whole.evaluate(1)


def test_a_run_that_was_not_even_saved_once_begins_anew(tmp_path: Path):
    assert resume(SPEC, "forward", QUICK, 0, tmp_path / "none").steps == 0


def test_what_a_killed_beginning_left_is_not_taken_for_data(tmp_path: Path):
    other = resume(SPEC, "forward", QUICK, 1, None)
    other.run(120)
    other.held.save(tmp_path / "held_0001.safetensors")
    changed = configured(QUICK, {"random_holdout": 0.0})
    resume(SPEC, "forward", changed, 0, tmp_path).run(120)
    assert resume(SPEC, "forward", changed, 0, tmp_path).steps == 120


def test_another_run_in_the_folder_is_refused_and_the_difference_named(tmp_path: Path):
    resume(SPEC, "forward", QUICK, 0, tmp_path).run(120)
    with pytest.raises(MbmfError, match="seed is 0 there, 1 here"):
        resume(SPEC, "forward", QUICK, 1, tmp_path)
    with pytest.raises(MbmfError, match=r"config.dynamics.hidden is 16 there, 8 here"):
        resume(SPEC, "forward", configured(QUICK, {"dynamics": {"hidden": 8}}), 0, tmp_path)


def test_a_run_from_before_a_setting_existed_had_its_default(tmp_path: Path):
    resume(SPEC, "forward", QUICK, 0, tmp_path).run(120)
    state = tmp_path / "run.json"
    kept = json.loads(state.read_text())
    del kept["identity"]["config"]["action_repeat"], kept["identity"]["config"]["refit"]["rollouts"]
    state.write_text(json.dumps(kept))
    assert resume(SPEC, "forward", QUICK, 0, tmp_path).steps == 120
    with pytest.raises(MbmfError, match=r"config.action_repeat is 1 there, 3 here"):
        resume(SPEC, "forward", configured(QUICK, {"action_repeat": 3}), 0, tmp_path)


def test_a_damaged_checkpoint_is_told(tmp_path: Path):
    resume(SPEC, "forward", QUICK, 0, tmp_path).run(120)
    state = tmp_path / "run.json"
    whole = state.read_text()
    state.write_text(whole[: len(whole) // 2])
    with pytest.raises(MbmfError, match="damaged"):
        resume(SPEC, "forward", QUICK, 0, tmp_path)
    changed = json.loads(whole)
    changed["curve"][-1]["steps"] = 999
    state.write_text(json.dumps(changed))
    with pytest.raises(MbmfError, match="expected 999 transitions, found 120"):
        resume(SPEC, "forward", QUICK, 0, tmp_path)


def test_refining_acts_as_the_evaluation_does_for_whole_episodes():
    config = configured(
        QUICK, {"refine_after": 150, "iteration_steps": 30, "replan_every": 3, "evaluation_settings": {"batch_size": 8}}
    )
    learner = Learner(SPEC, "forward", config, seed=0)
    learner.run(600)
    assert [len(episode) for episode in learner.own.episodes] == [30, 333, 117]
    for evaluating, every, batch in ((False, 3, 16), (True, 1, 8)):
        controller = learner.controller(0, evaluating)
        assert (controller.config.replan_every, controller.planner.config.batch_size) == (every, batch)
        assert controller.config.execute_best is not evaluating


def test_own_transitions_get_their_share_of_each_batch():
    learner = Learner(SPEC, "forward", configured(QUICK, {"on_policy_share": 0.9}), seed=0)
    learner.run(180)
    everything = learner.random.episodes + learner.own.episodes
    store = type(learner.random)(SPEC, everything)
    assert learner.model is not None
    data = make_dataset(store, learner.model.profile, True)
    weights = learner._weights(data)
    assert weights is not None
    assert data.transition is not None
    own = data.transition >= learner.random.transitions
    assert float(weights[own].sum()) == pytest.approx(0.9, rel=1e-5)
    assert float(weights.sum()) == pytest.approx(1.0, rel=1e-5)


def test_a_robot_that_lies_there_ends_its_rollout():
    spec = robot("half_cheetah")
    env = environment(spec, "forward")
    start = env.reset(0)
    start[2], start[3:7] = 0.3, (0.0, 0.0, 1.0, 0.0)  # on its back
    env.reset = lambda seed: env.simulation.reset(start)  # type: ignore[method-assign]
    rollout = roll_out(env, lambda m: np.zeros(6), 0, 200, "on_policy", stuck_steps=7)
    assert len(rollout.episode) == 7
    assert not rollout.terminated


def test_what_goes_on_is_told_within_iterations():
    learner = Learner(SPEC, "forward", QUICK, seed=0)
    told = []
    learner.run(180, doing=lambda what, done, total: told.append((what, done, total)))
    assert list(dict.fromkeys(what for what, _, _ in told)) == ["moving at random", "training", "acting", "validating"]
    assert [done for what, done, _ in told if what == "moving at random"] == [0, 30, 60, 90]
    assert [(done, total) for what, done, total in told if what == "acting"] == [(step, 60) for step in range(60)]
    assert ("training", 100, 100) in told


def test_learning_goes_on_where_the_simulation_diverges(monkeypatch: pytest.MonkeyPatch):
    learner = Learner(SPEC, "forward", QUICK, seed=0)
    step, count = learner.env.step, iter(range(10**6))

    def diverging(action: np.ndarray):
        if next(count) in (10, 40, 125):  # in the 11th step of the first rollout, in the first one of another
            raise DivergenceError("the simulation diverged")
        return step(action)

    monkeypatch.setattr(learner.env, "step", diverging)
    told = []
    learner.run(180, lambda steps, how: told.append(how))
    assert learner.steps == 180
    assert [row["diverged"] for row in learner.curve] == [2, 1]
    assert [len(episode) for episode in learner.random.episodes][:2] == [10, 29]
    assert "the simulation diverged in 1 of them" in told[1]


def test_a_simulation_that_always_diverges_is_told(monkeypatch: pytest.MonkeyPatch):
    learner = Learner(SPEC, "forward", QUICK, seed=0)

    def diverging(action: np.ndarray):
        raise DivergenceError("the simulation diverged")

    monkeypatch.setattr(learner.env, "step", diverging)
    with pytest.raises(MbmfError, match="diverged at the first step of 20 rollouts"):
        learner.run(180)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e7])
def test_a_rollout_ends_before_the_step_that_diverged(value: float, monkeypatch: pytest.MonkeyPatch):
    env = environment(SPEC, "forward")
    step, left = env.step, iter(range(3, -100, -1))

    def diverging(action: np.ndarray):
        m, reward, ended = step(action)
        return (m if next(left) else np.full_like(m, value)), reward, ended

    monkeypatch.setattr(env, "step", diverging)
    rollout = roll_out(env, lambda m: np.zeros(2), 0, 20, "on_policy")
    assert (len(rollout.episode), len(rollout.rewards)) == (3, 3)
    assert rollout.diverged
    assert rollout.terminated
    assert np.isfinite(rollout.episode.measurements).all()


def test_evaluations_start_elsewhere_than_learning_and_cost_nothing():
    learner = Learner(SPEC, "forward", QUICK, seed=0)
    learner.run(120)
    returns = learner.evaluate(2)
    assert len(returns) == 2
    assert returns[0] != returns[1]
    assert learner.steps == 120


def test_another_planner_keeps_the_settings_that_it_knows():
    base = configured(LearnConfig(), {"planner_settings": {"min_noise": 0.2, "time_steps": 7}})
    assert configured(base, {}).planner_settings == {"min_noise": 0.2, "time_steps": 7}
    changed = configured(base, {"planner": "mppi", "planner_settings": {"temperature": 0.5}})
    assert changed.planner_settings == {"time_steps": 7, "temperature": 0.5}
    with pytest.raises(MbmfError, match="min_noise"):
        configured(base, {"planner": "mppi", "planner_settings": {"min_noise": 0.5}})


def test_a_misspelt_setting_is_refused():
    with pytest.raises(MbmfError, match="time_steps"):
        configured(LearnConfig(), {"planner_settings": {"timesteps": 3}})
    with pytest.raises(MbmfError, match="episode_steps"):
        configured(LearnConfig(), {"episode_step": 3})
