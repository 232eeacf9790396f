"""Collecting transitions in simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mbmf_ros.data.exploration import ExplorationConfig, random_actions
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.errors import DivergenceError, MbmfError
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.measurement import plausible
from mbmf_ros.robots.sim import ParallelSimulation, Simulation, start_measurement

Actor = Callable[[np.ndarray], np.ndarray]
"""Maps a measurement (nm,) to an action (nu,)."""
_LOST_ROLLOUTS = 100


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
    on_divergence: Callable[[], None] | None = None,
) -> TransitionStore:
    """Exactly ``transitions`` transitions of random motion.

    Each rollout has a random stream of its own, so the data depends on the seed alone, not on threads or batches. A
    rollout ends before the step in which the simulation diverges.

    Args:
        spec: the robot.
        transitions: how many.
        seed: of all randomness.
        config: how to collect.
        threads: physics threads.
        progress: called with the number of transitions so far.
        on_divergence: called for each rollout that was cut short by a divergence.

    Raises:
        MbmfError: the simulation always diverges at the first step.
    """
    config = config or CollectConfig()
    simulation = ParallelSimulation(spec, threads)
    store = TransitionStore(spec)
    streams = np.random.SeedSequence(seed)
    cut = 0
    while (left := transitions - store.transitions) > 0:
        batch = max(1, min(64, -(-left // config.episode_steps)))
        generators = [np.random.default_rng(stream) for stream in streams.spawn(batch)]
        start = np.stack([start_measurement(spec, rng, config.start_noise) for rng in generators])
        actions = np.stack(
            [random_actions(config.exploration, rng, config.episode_steps, spec.nu) for rng in generators]
        )
        measurements = simulation.rollout(start, actions)
        for m, u in zip(measurements, actions, strict=True):
            whole = Episode(m, u)
            finite = until_divergence(whole)
            episode = until_fall(spec, finite)
            if len(episode):
                store.add(episode)
            if len(finite) < len(whole) and len(episode) == len(finite):
                cut += 1
                if on_divergence:
                    on_divergence()
        if cut >= _LOST_ROLLOUTS and not store.transitions:
            raise MbmfError(
                f"the simulation of {spec.name!r} diverged at the first step of {cut} rollouts; make its physics_dt_s "
                "or the start_noise smaller, or look for what is wrong with its model"
            )
        if progress:
            progress(min(store.transitions, transitions))
    return store.head(transitions)


def diverged(m: np.ndarray) -> np.ndarray | np.bool_:
    """Whether measurements (..., nm) are of a simulation that diverged, (...,) bool."""
    return np.logical_not(plausible(m).all(-1))


def until_divergence(episode: Episode) -> Episode:
    """The episode before the step in which the simulation diverged."""
    lost = np.flatnonzero(diverged(episode.measurements[1:]))
    steps = int(lost[0]) if len(lost) else len(episode)
    return Episode(episode.measurements[: steps + 1], episode.actions[:steps], episode.source)


def until_fall(spec: RobotSpec, episode: Episode) -> Episode:
    """The episode up to and with the transition into its first fallen state."""
    fallen = np.flatnonzero(spec.fallen(episode.measurements[1:]))
    steps = int(fallen[0]) + 1 if len(fallen) else len(episode)
    return Episode(episode.measurements[: steps + 1], episode.actions[:steps], episode.source)


def collect_episode(
    simulation: Simulation, actor: Actor, start: np.ndarray, steps: int, source: str = "on_policy"
) -> Episode:
    """One closed-loop episode of at most ``steps`` control steps from measurement ``start``; a fall ends it.

    So does a divergence of the simulation: then the episode ends before that step and may be empty.
    """
    spec = simulation.spec
    measurements, actions = [simulation.reset(start)], []
    for _ in range(steps):
        action = np.clip(actor(measurements[-1]), -1.0, 1.0)
        try:
            m = simulation.step(action)
        except DivergenceError:
            break
        if diverged(m):
            break
        actions.append(action)
        measurements.append(m)
        if spec.fallen(m):
            break
    return Episode(np.stack(measurements), np.array(actions).reshape(-1, spec.nu), source)
