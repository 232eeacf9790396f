"""Environments for other people's learners."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_gymnasium
from stable_baselines3.common.env_checker import check_env as check_stable_baselines

from mbmf_ros.control.environments import Repeated
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.gymnasium_env import IDS, RobotEnv
from mbmf_ros.policy.observation import Observation
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

EPISODE = {"Swimmer-v0": 333}


@pytest.mark.parametrize("name", IDS)
@pytest.mark.filterwarnings("ignore:.*Box observation space.*infinity.*")
def test_the_checkers_pass_and_an_episode_has_the_tasks_length(name: str):
    env = gymnasium.make(name)
    check_gymnasium(env.unwrapped, skip_render_check=True)
    check_stable_baselines(env.unwrapped)
    env.reset(seed=1)
    steps, over = 0, False
    while not over:
        _, _, terminated, truncated, _ = env.step(np.zeros(env.action_space.shape or ()))
        steps, over = steps + 1, terminated or truncated
        if terminated:
            assert "Hopper" in name or "Ant" in name
            return
    assert steps == EPISODE.get(name.removeprefix("mbmf/"), 1000)


def test_gymnasiums_task_is_unchanged():
    ours, theirs = gymnasium.make("mbmf/GymnasiumHalfCheetah-v0"), gymnasium.make("HalfCheetah-v5")
    ours.reset(seed=5)
    theirs.reset(seed=int(np.random.default_rng(np.random.SeedSequence(5)).integers(2**31)))
    rng = np.random.default_rng(0)
    for _ in range(50):
        action = rng.uniform(-1, 1, 6).astype(np.float32)
        assert ours.step(action)[1] == pytest.approx(theirs.step(action)[1])


def test_a_repeated_action_shortens_the_episode():
    env = RobotEnv("hopper_v5", "forward_v5", action_repeat=4)
    assert env.robot_env.reward.steps == 250


def test_an_observation_does_not_depend_on_where_the_robot_is_but_on_where_it_faces():
    for name in ("ant", "swimmer"):
        spec = robot(name)
        observe = Observation(spec)
        here, there = start_measurement(spec), start_measurement(spec, pose=(3.0, -2.0, 0.0))
        np.testing.assert_allclose(observe(here), observe(there), atol=1e-6)
        turned = observe(start_measurement(spec, pose=(0.0, 0.0, 1.0)))
        np.testing.assert_allclose(turned[-2:], [np.cos(1.0), np.sin(1.0)], atol=1e-6)
        assert len(turned) == observe.size == observe(np.stack([here, there])).shape[1]
    assert Observation(robot("hopper")).size == 12


def spoil(env: RobotEnv) -> None:
    """Let the simulation diverge in the next step."""
    inner = env.robot_env.inner if isinstance(env.robot_env, Repeated) else env.robot_env
    data = inner.simulation.data if hasattr(inner, "simulation") else inner._data  # type: ignore[attr-defined]
    data.qvel[4] = np.nan


@pytest.mark.parametrize("repeat", [1, 3])
@pytest.mark.parametrize(("name", "task"), [("swimmer", "forward"), ("swimmer_v5", "forward_v5")])
def test_an_episode_ends_where_the_simulation_diverges(
    name: str, task: str, repeat: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Our simulation says so; Gymnasium's puts the robot back to its start and goes on."""
    monkeypatch.chdir(tmp_path)  # where MuJoCo writes a log file
    env = RobotEnv(name, task, repeat)

    def three_steps() -> tuple[np.ndarray, np.ndarray]:
        env.reset(seed=0)
        for _ in range(2):
            env.step(np.zeros(2))
        seen, _, terminated, truncated, info = env.step(np.zeros(2))
        assert (terminated, truncated, info["diverged"]) == (False, False, False)
        return seen, info["m"]

    last, measured = three_steps()
    spoil(env)
    seen, reward, terminated, truncated, info = env.step(np.zeros(2))
    assert (reward, terminated, truncated, info["diverged"]) == (0.0, True, False, True)
    np.testing.assert_array_equal(seen, last)
    np.testing.assert_array_equal(info["m"], measured)
    np.testing.assert_array_equal(three_steps()[0], last)


def test_a_measurement_that_no_robot_has_is_a_divergence(monkeypatch: pytest.MonkeyPatch):
    env = RobotEnv("hopper")
    seen, info = env.reset(seed=0)
    monkeypatch.setattr(env.robot_env, "step", lambda action: (np.full_like(info["m"], 1e7), 1e7, False))
    after, reward, terminated, _, info = env.step(np.zeros(3))
    assert (reward, terminated, info["diverged"]) == (0.0, True, True)
    np.testing.assert_array_equal(after, seen)


@pytest.mark.parametrize("error", [MbmfError("no such file"), ValueError("the shapes do not fit")])
def test_other_errors_are_not_taken_for_a_divergence(error: Exception, monkeypatch: pytest.MonkeyPatch):
    env = RobotEnv("hopper")
    env.reset(seed=0)

    def failing(action: np.ndarray):
        raise error

    monkeypatch.setattr(env.robot_env, "step", failing)
    with pytest.raises(type(error), match=str(error)):
        env.step(np.zeros(3))


def test_a_simulation_that_always_diverges_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    env = RobotEnv("hopper")

    def lose(episodes: int) -> None:
        for seed in range(episodes):
            env.reset(seed=seed)
            spoil(env)
            assert env.step(np.zeros(3))[2]

    lose(19)
    env.reset(seed=0)
    env.step(np.zeros(3))  # one that went well
    lose(19)
    with pytest.raises(MbmfError, match="diverged at the first step of 20 episodes in a row; make its physics_dt_s"):
        lose(1)
