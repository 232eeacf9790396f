"""Held-out action sequences with what they really lead to: random, on-policy, and those that a planner considers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from mbmf_ros.control.follow import planar_pose, start_of, to_odom
from mbmf_ros.control.goals import ForwardGoal
from mbmf_ros.control.mpc import MpcController
from mbmf_ros.control.path import Path
from mbmf_ros.control.path_shapes import SHAPES, make_path
from mbmf_ros.control.planners import Plan, Planner
from mbmf_ros.control.presets import Preset, make_controller, preset
from mbmf_ros.control.tasks import ForwardConfig, Task
from mbmf_ros.data.collect import CollectConfig, collect_random
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.sim import ParallelSimulation, Simulation

TASKS = ("follow_path", "forward")


@dataclass(frozen=True)
class Sequences:
    """What N sequences of T actions led to.

    Attributes:
        measurements: (N, T + 1, nm).
        actions: (N, T, nu).
        steps: how many of the steps count, (N,): the robot had not fallen, and the recording went on.
    """

    measurements: np.ndarray
    actions: np.ndarray
    steps: np.ndarray


@dataclass(frozen=True)
class Visit:
    """A state that the robot came to, (nm,), the task of that control step, and every round of candidates scored:
    actions (K, H, nu) and imagined states (K, H + 1, nx)."""

    m: np.ndarray
    task: Task
    rounds: list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Walks:
    """What the controller did: its episodes, some of the states visited, and candidates of a long horizon."""

    store: TransitionStore
    visits: list[Visit] = field(default_factory=list)
    starts: list[np.ndarray] = field(default_factory=list)  # (nm,) each
    candidates: list[np.ndarray] = field(default_factory=list)  # (T, nu) each


class Recorder:
    """A planner that remembers what it considered in its last plan.

    Args:
        planner: does the work.
    """

    def __init__(self, planner: Planner[Any]):
        self.planner, self.config = planner, planner.config
        self.task: Task | None = None
        self.rounds: list[tuple[Tensor, Tensor]] = []

    def plan(self, x: Tensor, model: Dynamics, task: Task, *rest: Any) -> Plan:
        """See :meth:`mbmf_ros.control.planners.Planner.plan`."""
        self.task, self.rounds = task, []
        return self.planner.plan(x, cast(Dynamics, _Watched(model, self.rounds)), task, *rest)


class _Watched:
    """A model whose imagined rollouts are kept."""

    def __init__(self, model: Dynamics, rounds: list[tuple[Tensor, Tensor]]):
        self._model, self._rounds = model, rounds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def imagine(self, x0: Tensor, u: Tensor) -> Tensor:
        rollouts = self._model.imagine(x0, u)
        self._rounds.append((u.clone(), rollouts.clone()))
        return rollouts


def windows_of(store: TransitionStore, steps: int, count: int, seed: int) -> Sequences:
    """``count`` stretches of up to ``steps`` steps that begin at random times of standing robots.

    Raises:
        MbmfError: there are fewer.
    """
    places: list[tuple[Episode, int, int]] = []
    for episode in store.episodes:
        fallen = np.flatnonzero(store.spec.fallen(episode.measurements))
        last = int(fallen[0]) - 1 if len(fallen) else len(episode)  # the last state that counts
        places.extend((episode, start, min(steps, last - start)) for start in range(last))
    if len(places) < count:
        raise MbmfError(f"expected {count} stretches, the recording has only {len(places)}; record more")
    chosen = [places[index] for index in np.random.default_rng(seed).permutation(len(places))[:count]]
    return Sequences(
        np.stack([_padded(episode.measurements[start : start + steps + 1], steps + 1) for episode, start, _ in chosen]),
        np.stack([_padded(episode.actions[start : start + steps], steps) for episode, start, _ in chosen]),
        np.array([length for _, _, length in chosen]),
    )


def _padded(rows: np.ndarray, length: int) -> np.ndarray:
    """``rows`` with the last one repeated until there are ``length``."""
    return np.concatenate([rows, np.repeat(rows[-1:], length - len(rows), axis=0)])


def random_sequences(
    spec: RobotSpec, steps: int, count: int, seed: int, collect: CollectConfig | None = None
) -> Sequences:
    """Of random motion, as training data is collected."""
    return windows_of(collect_random(spec, 40 * count, seed, collect, threads=1), steps, count, seed)


def played(spec: RobotSpec, starts: np.ndarray, actions: np.ndarray) -> Sequences:
    """What ``actions`` (N, T, nu) lead to in the simulator from measurements ``starts`` (N, nm)."""
    measurements = ParallelSimulation(spec, threads=1).rollout(starts, actions)
    fallen = spec.fallen(measurements) | ~np.isfinite(measurements).all(-1)
    steps = np.where(fallen.any(1), fallen.argmax(1) - 1, actions.shape[1])
    return Sequences(measurements, actions, steps)


def walk(
    model: Dynamics,
    task: str,
    seed: int,
    settings: Preset | None = None,
    episodes: int = 10,
    episode_steps: int = 150,
    every: int = 10,
    long_steps: int = 100,
    long_count: int = 8,
) -> Walks:
    """Let the controller drive with ``model``; record what it does and what it considers.

    Args:
        model: the dynamics to plan with.
        task: one of :data:`TASKS`.
        seed: of paths, starts and the planner.
        settings: planner and task; by default those tuned for the robot.
        episodes, episode_steps: how long.
        every: control steps between two recorded states.
        long_steps: horizon of the same planner, started anew; ``long_count`` candidates of its last round are kept.
    """
    if task not in TASKS:
        raise unknown("task", task, TASKS)
    spec, settings = model.spec, settings or preset("default", model.spec)
    simulation = Simulation(spec)
    drivers = []
    for assignments in ((), (f"planner.time_steps={long_steps}",)):
        controller = make_controller(spec, settings, assignments, seed)
        recorder = Recorder(controller.planner)
        controller.planner = cast("Planner[Any]", recorder)
        controller.swap(model, 1)
        drivers.append((controller, recorder))
    (driver, considered), (scout, far) = drivers
    rng = np.random.default_rng(seed)
    walks = Walks(TransitionStore(spec))
    for _ in range(episodes):
        m = simulation.reset(start_of(spec, int(rng.integers(2**31)), noise=0.1))
        shape = str(rng.choice(SHAPES))
        waypoints = to_odom(make_path(shape, rng), planar_pose(m))
        measurements, actions = [m], []
        driver.reset()
        _send(driver, task, m, waypoints)
        for step in range(episode_steps):
            considered.task = None
            answer = driver.act(m)
            if answer.idle:
                break
            if step % every == 0 and considered.task is not None:  # None: it went on with an earlier plan
                walks.visits.append(Visit(m, considered.task, considered.rounds))
                scout.reset()
                scout.set_goal(driver.goal)
                scout.act(m)
                last = far.rounds[-1][0]
                for index in rng.choice(len(last), long_count, replace=False):
                    walks.starts.append(m)
                    walks.candidates.append(last[index].double().numpy())
            m = simulation.step(answer.action)
            measurements.append(m)
            actions.append(np.clip(answer.action, -1.0, 1.0))
            if spec.fallen(m):
                break
        if actions:
            walks.store.add(Episode(np.stack(measurements), np.stack(actions), "on_policy"))
    return walks


def _send(controller: MpcController, task: str, start: np.ndarray, waypoints: np.ndarray) -> None:
    """Give ``controller`` its goal; paths begin where measurement ``start`` is."""
    if task == "follow_path":
        controller.set_path(Path.from_waypoints(start[:2], waypoints))
        return
    if controller.spec.forward is None:
        raise MbmfError(f"robot {controller.spec.name!r} has no reward for moving forward")
    controller.set_goal(ForwardGoal(controller.spec.forward, ForwardConfig()))


def returns_of(task: Task, x: np.ndarray | Tensor, u: Tensor) -> np.ndarray:
    """Returns (K,) of states ``x`` (K, H + 1, nx) under ``u`` (K, H, nu)."""
    terms = task.terms(torch.as_tensor(x, dtype=torch.float32), u)
    return torch.stack(list(terms.values())).sum((0, 2)).double().numpy()
