"""Environments for other people's learners."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_gymnasium
from stable_baselines3.common.env_checker import check_env as check_stable_baselines

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
