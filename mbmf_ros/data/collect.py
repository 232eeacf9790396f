"""Collecting transitions in simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mbmf_ros.data.exploration import ExplorationConfig, random_actions
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.sim import ParallelSimulation, Simulation, start_measurement

Actor = Callable[[np.ndarray], np.ndarray]
"""Maps a measurement (nm,) to an action (nu,)."""


@dataclass(frozen=True)
class CollectConfig:
    """How random data is collected.

    Attributes:
        episode_steps: longest rollout, in control steps; a fall ends it earlier.
        start_noise: standard deviation of the start state's joint angles [rad] and velocities.
        exploration: how actions are drawn.
    """

    episode_steps: int = 200
    start_noise: float = 0.1
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)


def collect_random(
    spec: RobotSpec,
    transitions: int,
    seed: int,
    config: CollectConfig | None = None,
    threads: int = 2,
    progress: Callable[[int], None] | None = None,
) -> TransitionStore:
    """Exactly ``transitions`` transitions of random motion.

    Each rollout has a random stream of its own, so the data depends on the seed alone, not on threads or batches.

    Args:
        spec: the robot.
        transitions: how many.
        seed: of all randomness.
        config: how to collect.
        threads: physics threads.
        progress: called with the number of transitions so far.
    """
    config = config or CollectConfig()
    simulation = ParallelSimulation(spec, threads)
    store = TransitionStore(spec)
    streams = np.random.SeedSequence(seed)
    while (left := transitions - store.transitions) > 0:
        batch = max(1, min(64, -(-left // config.episode_steps)))
        generators = [np.random.default_rng(stream) for stream in streams.spawn(batch)]
        start = np.stack([start_measurement(spec, rng, config.start_noise) for rng in generators])
        actions = np.stack(
            [random_actions(config.exploration, rng, config.episode_steps, spec.nu) for rng in generators]
        )
        measurements = simulation.rollout(start, actions)
        for m, u in zip(measurements, actions, strict=True):
            store.add(until_fall(spec, Episode(m, u)))
        if progress:
            progress(min(store.transitions, transitions))
    return store.head(transitions)


def until_fall(spec: RobotSpec, episode: Episode) -> Episode:
    """The episode up to and with the transition into its first fallen state."""
    fallen = np.flatnonzero(spec.fallen(episode.measurements[1:]))
    steps = int(fallen[0]) + 1 if len(fallen) else len(episode)
    return Episode(episode.measurements[: steps + 1], episode.actions[:steps], episode.source)


def collect_episode(
    simulation: Simulation, actor: Actor, start: np.ndarray, steps: int, source: str = "on_policy"
) -> Episode:
    """One closed-loop episode of at most ``steps`` control steps from measurement ``start``; a fall ends it."""
    spec = simulation.spec
    measurements, actions = [simulation.reset(start)], []
    for _ in range(steps):
        action = np.clip(actor(measurements[-1]), -1.0, 1.0)
        actions.append(action)
        measurements.append(simulation.step(action))
        if spec.fallen(measurements[-1]):
            break
    return Episode(np.stack(measurements), np.stack(actions), source)
