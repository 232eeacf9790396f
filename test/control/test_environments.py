"""Environments: the paper's rewards, and Gymnasium's own seen through measurements."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest

from mbmf_ros.control.environments import Repeated, environment
from mbmf_ros.control.rollout import roll_out
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import Simulation

V5 = ["ant", "half_cheetah_v5", "hopper_v5", "swimmer_v5"]


@pytest.mark.parametrize("name", V5)
def test_gymnasiums_task_is_unchanged_and_our_simulation_is_its_physics(name: str):
    spec = robot(name)
    ours, theirs, simulation = environment(spec, "forward_v5"), gymnasium.make(spec.gymnasium_id), Simulation(spec)
    theirs.reset(seed=5)
    m = simulation.reset(ours.reset(5))
    rng = np.random.default_rng(0)
    assert theirs.action_space.shape == (spec.nu,)
    assert theirs.unwrapped.dt == pytest.approx(spec.dt_s)  # type: ignore[attr-defined]
    for _ in range(8):
        action = rng.uniform(-1, 1, spec.nu)
        control = np.empty(spec.nu)
        control[ours._measured.actuators] = action  # type: ignore[attr-defined]
        _, reward, terminated, _, _ = theirs.step(control)
        measured, value, ended = ours.step(action)
        m = simulation.step(action)
        assert (value, ended) == (reward, terminated)
        np.testing.assert_allclose(measured, m, atol=1e-6)
        if ended:
            break


def test_gymnasiums_noisy_start_quaternions_are_usable_measurements():
    env = environment(robot("ant"), "forward_v5")
    for seed in range(40):
        assert env.spec.measurement.problem(env.reset(seed)) is None


@pytest.mark.parametrize(("name", "effort", "bonus"), [("swimmer", 0.005, 0.0), ("half_cheetah", 0.05, 0.0)])
def test_the_papers_reward_is_the_speed_of_the_centre_of_mass_less_effort(name: str, effort: float, bonus: float):
    spec = robot(name)
    env = environment(spec, "forward")
    env.reset(1)
    rng, speeds, dt = np.random.default_rng(1), [], spec.dt_s
    before = env.simulation.center_of_mass()[0]  # type: ignore[attr-defined]
    start = before
    for _ in range(40):
        action = rng.uniform(-1, 1, spec.nu)
        _, reward, ended = env.step(action)
        speeds.append(reward - bonus + effort * float(action @ action))
        assert not ended
    travelled = env.simulation.center_of_mass()[0] - start  # type: ignore[attr-defined]
    assert np.sum(speeds) * dt == pytest.approx(travelled, abs=0.25 * abs(travelled) + 0.02)


@pytest.mark.parametrize(
    ("name", "height", "pitch", "alive"),
    [
        ("hopper", 1.2, 0.0, True),
        ("hopper", 0.69, 0.0, False),
        ("hopper", 1.2, 0.21, False),
        ("hopper", 1.2, -0.19, True),
        ("ant", 0.19, 0.0, False),
        ("ant", 1.01, 0.0, False),
        ("ant", 0.5, 1.0, True),
        ("half_cheetah", 0.2, 3.0, True),
    ],
)
def test_episodes_end_where_the_papers_do(name: str, height: float, pitch: float, alive: bool):
    env = environment(robot(name), "forward")
    m = env.reset(0)
    m[2], m[3:7] = height, (np.cos(pitch / 2), 0.0, np.sin(pitch / 2), 0.0)
    assert env._alive(m) is alive  # type: ignore[attr-defined]


def test_starts_depend_on_the_seed_alone():
    env = environment(robot("hopper"), "forward")
    first = env.reset(4)
    env.step(np.ones(3))
    np.testing.assert_array_equal(env.reset(4), first)
    assert not np.array_equal(env.reset(5), first)


def test_what_does_not_exist_is_refused():
    with pytest.raises(MbmfError, match="forward"):
        environment(robot("ant"), "forwards")
    with pytest.raises(MbmfError, match="swimmer_v5"):
        environment(robot("swimmer"), "forward_v5")
    with pytest.raises(MbmfError, match="choose one of ant, half_cheetah_v5"):
        environment(robot("ant_paper"), "forward_v5")


def test_a_repeated_action_is_held_for_whole_periods_and_the_rewards_add_up():
    spec = robot("hopper_v5")
    single, triple = environment(spec, "forward_v5"), environment(spec, "forward_v5", repeat=3)
    assert triple.spec.dt_s == pytest.approx(3 * spec.dt_s)
    assert triple.reward.steps == 334  # 1000 in threes
    single.reset(5)
    np.testing.assert_array_equal(triple.reset(5), single.reset(5))
    total, ended, action = 0.0, False, np.array([0.3, -0.2, 0.1])
    for _ in range(40):
        m, reward, ends = triple.step(action)
        parts = [single.step(action) for _ in range(3)]
        expected = 0.0
        for _, part, ends_single in parts:
            expected += 0.0 if ended else part
            ended = ended or ends_single
        np.testing.assert_array_equal(m, parts[-1][0])
        assert reward == pytest.approx(expected)
        assert ends == ended
        total += reward
        if ended:
            break
    assert ended  # it falls, in the middle of a period or not
    assert total > 0


def test_what_comes_after_the_longest_episode_does_not_count():
    env = environment(robot("swimmer_v5"), "forward_v5", repeat=3)
    env.reset(0)
    inner = env.inner  # type: ignore[attr-defined]
    rewards, step = [], inner.step
    inner.step = lambda action: rewards.append(step(action)[1]) or (np.zeros(23), rewards[-1], False)
    total = sum(env.step(np.zeros(2))[1] for _ in range(env.reward.steps))
    assert len(rewards) == 1002
    assert total == pytest.approx(sum(rewards[:1000]))


@pytest.mark.parametrize("repeat", [1, 3])
@pytest.mark.parametrize("name", V5)
def test_a_divergence_in_gymnasiums_environment_is_seen(
    name: str, repeat: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """MuJoCo by itself puts the robot back to its start and goes on."""
    monkeypatch.chdir(tmp_path)  # where MuJoCo writes a log file
    env = environment(robot(name), "forward_v5", repeat)
    inner = env.inner if isinstance(env, Repeated) else env
    data = inner._data  # type: ignore[attr-defined]
    left = iter(range(3, -100, -1))

    def actor(m: np.ndarray) -> np.ndarray:
        if not next(left):
            data.qvel[4] = np.nan
        return np.zeros(env.spec.nu)

    rollout = roll_out(env, actor, 0, 10, "on_policy")
    assert (len(rollout.episode), rollout.diverged, rollout.terminated) == (3, True, True)
    again = roll_out(env, lambda m: np.zeros(env.spec.nu), 0, 3, "on_policy")
    assert not again.diverged
    np.testing.assert_array_equal(again.episode.measurements, rollout.episode.measurements)
