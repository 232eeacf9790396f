"""On-policy data: the controller walks along random paths and records what happens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mbmf_ros.control.follow import planar_pose, start_of, to_odom
from mbmf_ros.control.path import Path
from mbmf_ros.control.path_shapes import make_path, shapes_of
from mbmf_ros.control.presets import Preset, make_controller, preset
from mbmf_ros.data.collect import collect_episode
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots.sim import Simulation

EPISODE_STEPS = 200
_LOST_ROLLOUTS = 20


def collect_on_policy(
    model: Dynamics,
    transitions: int,
    seed: int,
    action_noise: float = 0.1,
    progress: Callable[[int], None] | None = None,
    settings: Preset | None = None,
    on_divergence: Callable[[], None] | None = None,
) -> TransitionStore:
    """Exactly ``transitions`` transitions of walking along random paths with ``model``, noise on the actions.

    Args:
        model: the dynamics to plan with.
        transitions: how many.
        seed: of paths, starts and noise.
        action_noise: standard deviation of Gaussian noise on the actions; the noisy action is executed and recorded.
        progress: called with the number of transitions so far.
        settings: planner and task.
        on_divergence: called for each rollout that was cut short by a divergence of the simulation.

    Raises:
        MbmfError: it always diverges at the first step.
    """
    spec = model.spec
    simulation = Simulation(spec)
    controller = make_controller(spec, settings or preset("default", spec), seed=seed)
    controller.swap(model, 1)
    store = TransitionStore(spec)
    rng = np.random.default_rng(seed)
    cut = 0

    def noisy(m: np.ndarray) -> np.ndarray:
        action = controller.act(m).action
        return np.clip(action + action_noise * rng.standard_normal(action.shape), -1, 1)

    while store.transitions < transitions:
        start = start_of(spec, int(rng.integers(2**31)), noise=0.1)
        pose = planar_pose(start)
        waypoints = to_odom(make_path(str(rng.choice(shapes_of(spec))), rng, spec.paths.length_m), pose)
        controller.reset()
        controller.set_path(Path.from_waypoints(np.array(pose[:2]), waypoints))
        steps = min(EPISODE_STEPS, transitions - store.transitions)
        episode = collect_episode(simulation, noisy, start, steps)
        if len(episode):
            store.add(episode)
        if len(episode) < steps and not spec.fallen(episode.measurements[-1]):
            cut += 1
            if on_divergence:
                on_divergence()
        if cut >= _LOST_ROLLOUTS and not store.transitions:
            raise MbmfError(f"the simulation of {spec.name!r} diverged at the first step of {cut} rollouts")
        if progress:
            progress(store.transitions)
    return store
