"""Collecting in simulation: exactly as much as asked for, from the seed alone, and true to the physics."""

from __future__ import annotations

import numpy as np
import pytest

from mbmf_ros.data.collect import CollectConfig, collect_episode, collect_random, until_divergence, until_fall
from mbmf_ros.data.exploration import ExplorationConfig
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import ParallelSimulation, Simulation, start_measurement

SPEC = robot("ant")
SHORT = CollectConfig(episode_steps=30)


def numbers(store: TransitionStore) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.concatenate([episode.measurements for episode in store.episodes]),
        np.concatenate([episode.actions for episode in store.episodes]),
    )


@pytest.mark.parametrize("count", [1, 29, 30, 31, 500, 2500])
def test_exactly_as_many_transitions_as_asked_for(count: int):
    told: list[int] = []
    store = collect_random(SPEC, count, seed=0, config=SHORT, progress=told.append)
    assert store.transitions == count
    assert told[-1] == count
    assert told == sorted(told)
    assert all(1 <= len(episode) <= 30 for episode in store.episodes)


def test_the_data_depend_on_the_seed_and_not_on_the_threads():
    one, three, other = (
        numbers(collect_random(SPEC, 700, seed=seed, config=SHORT, threads=threads))
        for seed, threads in ((5, 1), (5, 3), (6, 1))
    )
    np.testing.assert_array_equal(one[0], three[0])
    np.testing.assert_array_equal(one[1], three[1])
    assert not np.array_equal(one[0], other[0])


def test_more_data_begin_with_the_same_rollouts():
    # 20 rollouts fit in one batch either way, so the first ones are the same.
    few, many = (collect_random(SPEC, count, seed=2, config=SHORT) for count in (90, 600))
    np.testing.assert_array_equal(few.episodes[0].actions, many.episodes[0].actions)
    np.testing.assert_array_equal(few.episodes[1].measurements, many.episodes[1].measurements)


def test_rollouts_differ_and_start_near_the_start_pose():
    store = collect_random(SPEC, 300, seed=3, config=SHORT)
    starts = np.stack([episode.measurements[0] for episode in store.episodes])
    assert len(np.unique(starts, axis=0)) == len(starts)
    deviation = (starts - start_measurement(SPEC))[:, SPEC.measurement.joint_velocity]
    assert deviation.std() == pytest.approx(SHORT.start_noise, rel=0.3)


def test_recorded_transitions_are_those_of_the_simulator():
    store = collect_random(SPEC, 120, seed=4, config=SHORT)
    simulation = Simulation(SPEC)
    episode = store.episodes[-1]
    first = simulation.reset(episode.measurements[0])
    np.testing.assert_allclose(first, episode.measurements[0], atol=1e-9)
    for action, expected in zip(episode.actions, episode.measurements[1:], strict=True):
        np.testing.assert_allclose(simulation.step(action), expected, atol=1e-6)


def test_an_episode_ends_with_the_step_into_the_fall():
    upright = start_measurement(SPEC)
    low = upright.copy()
    low[2] = SPEC.height_range_m[0] - 0.01
    m = np.stack([upright, upright, upright, low, upright, low])
    cut = until_fall(SPEC, Episode(m, np.zeros((5, SPEC.nu))))
    assert len(cut) == 3
    assert SPEC.fallen(cut.measurements).tolist() == [False, False, False, True]
    assert len(until_fall(SPEC, Episode(m[:3], np.zeros((2, SPEC.nu))))) == 2


def test_collected_rollouts_fall_at_most_once_and_at_their_end():
    wild = CollectConfig(episode_steps=150, exploration=ExplorationConfig(kind="uniform"))
    store = collect_random(SPEC, 3000, seed=0, config=wild)
    for episode in store.episodes:
        assert not SPEC.fallen(episode.measurements[:-1]).any()


def test_a_closed_loop_episode_shows_the_actor_every_state_and_clips_its_actions():
    seen: list[np.ndarray] = []

    def actor(m: np.ndarray) -> np.ndarray:
        seen.append(m)
        return np.full(SPEC.nu, 3.0)

    episode = collect_episode(Simulation(SPEC), actor, start_measurement(SPEC), steps=10)
    assert len(episode) == 10
    np.testing.assert_array_equal(seen, episode.measurements[:-1])
    np.testing.assert_array_equal(episode.actions, np.ones((10, SPEC.nu)))
    assert episode.source == "on_policy"


def test_a_fall_ends_a_closed_loop_episode():
    start = start_measurement(SPEC)
    start[2] = SPEC.height_range_m[1] + 1.0  # far above the ground
    episode = collect_episode(Simulation(SPEC), lambda m: np.zeros(SPEC.nu), start, steps=50)
    assert len(episode) == 1


@pytest.mark.parametrize(("index", "value"), [(20, np.nan), (20, np.inf), (20, -1e8), (21, 2e3)])
def test_an_episode_ends_before_the_step_that_diverged(index: int, value: float):
    m = np.tile(start_measurement(SPEC), (6, 1))
    m[4, index] = value
    cut = until_divergence(Episode(m, np.zeros((5, SPEC.nu))))
    assert len(cut) == 3
    assert np.isfinite(cut.measurements).all()
    assert len(until_divergence(Episode(m[:4], np.zeros((3, SPEC.nu))))) == 3


def test_a_divergence_costs_its_own_rollout_only(monkeypatch: pytest.MonkeyPatch):
    whole = collect_random(SPEC, 300, seed=0, config=SHORT)
    roll_out = ParallelSimulation.rollout

    def diverging(self: ParallelSimulation, start: np.ndarray, actions: np.ndarray) -> np.ndarray:
        m = roll_out(self, start, actions)
        if len(m) > 1:
            m[0, 11:], m[1, 1:] = np.nan, np.nan  # the second one at its first step
        return m

    monkeypatch.setattr(ParallelSimulation, "rollout", diverging)
    told: list[None] = []
    store = collect_random(SPEC, 300, seed=0, config=SHORT, on_divergence=lambda: told.append(None))
    assert store.transitions == 300
    assert len(told) >= 2
    np.testing.assert_array_equal(store.episodes[0].actions, whole.episodes[0].actions[:10])
    np.testing.assert_array_equal(store.episodes[1].measurements, whole.episodes[2].measurements)


def test_a_simulation_that_always_diverges_is_told(monkeypatch: pytest.MonkeyPatch):
    def diverging(self: ParallelSimulation, start: np.ndarray, actions: np.ndarray) -> np.ndarray:
        return np.full((len(start), actions.shape[1] + 1, SPEC.measurement.size), np.nan)

    monkeypatch.setattr(ParallelSimulation, "rollout", diverging)
    with pytest.raises(MbmfError, match=r"diverged at the first step of 1\d\d rollouts"):
        collect_random(SPEC, 300, seed=0, config=SHORT)


@pytest.mark.parametrize("steps", [0, 4])
def test_a_closed_loop_episode_ends_before_the_step_that_diverged(steps: int):
    simulation = Simulation(SPEC)
    left = iter(range(steps, -100, -1))

    def actor(m: np.ndarray) -> np.ndarray:
        if not next(left):
            simulation.data.qvel[8] = np.nan
        return np.zeros(SPEC.nu)

    episode = collect_episode(simulation, actor, start_measurement(SPEC), steps=10)
    assert len(episode) == steps
    assert episode.actions.shape == (steps, SPEC.nu)
    assert np.isfinite(episode.measurements).all()
