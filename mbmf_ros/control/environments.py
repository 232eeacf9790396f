"""Environments with a reward, to learn and be judged in: the paper's in our simulation, Gymnasium's unchanged."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod

import numpy as np

from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.robots import RobotSpec, robot
from mbmf_ros.robots.registry import robot_names
from mbmf_ros.robots.sim import MeasuredModel, Simulation, start_measurement
from mbmf_ros.robots.spec import ForwardReward


class Environment(ABC):
    """Episodes with a reward.

    Attributes:
        spec: the robot.
        reward: what a planner needs to know of the reward.
        diverged: whether the simulation did so in the last step, and by itself began anew.
    """

    spec: RobotSpec
    reward: ForwardReward
    diverged: bool = False

    @abstractmethod
    def reset(self, seed: int) -> np.ndarray:
        """Begin an episode; the first measurement (nm,). The seed alone decides about it."""

    @abstractmethod
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool]:
        """Hold ``action`` (nu,) for one control period: measurement after it (nm,), reward, and whether it ended.

        Raises:
            DivergenceError: the simulation diverged.
        """


class PaperForward(Environment):
    """Moving forward as the paper's environments reward it ("paper-style return").

    ``v_x + bonus - effort |u|^2`` with the velocity of the whole robot's centre of mass at the end of the step and the
    action as normalised to [-1, 1]; starts are perturbed with a variance of 0.001 (appendix A).

    Raises:
        MbmfError: the robot has no such task.
    """

    def __init__(self, spec: RobotSpec):
        if spec.forward is None:
            raise MbmfError(f"robot {spec.name!r} has no reward for moving forward: its spec's `forward` is not set")
        self.spec, self.reward = spec, spec.forward
        self.simulation = Simulation(spec)

    def reset(self, seed: int) -> np.ndarray:
        return self.simulation.reset(start_measurement(self.spec, np.random.default_rng(seed), 0.001**0.5))

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool]:
        action = np.clip(action, -1.0, 1.0)
        m = self.simulation.step(action)
        reward = self.reward
        velocity = float(self.simulation.center_of_mass()[3])
        value = velocity + reward.bonus - reward.effort * float(np.square(action).sum())
        return m, value, not self._alive(m)

    def _alive(self, m: np.ndarray) -> bool:
        w, x, y, z = m[3:7] ** 2
        low, high = self.reward.alive_height_m
        return bool(low <= m[2] <= high and w - x - y + z >= self.reward.min_up)


class GymnasiumForward(Environment):
    """Gymnasium's own environment, unchanged; only its physics state is read, as measurements.

    Raises:
        MbmfError: there is none of this robot at its control period.
    """

    def __init__(self, spec: RobotSpec):
        import gymnasium  # it takes a second

        if not spec.gymnasium_id or spec.gymnasium_forward is None:
            known = ", ".join(name for name in robot_names() if robot(name).gymnasium_id)
            raise MbmfError(f"robot {spec.name!r} is none of Gymnasium's environments; choose one of {known}")
        self.spec, self.reward = spec, spec.gymnasium_forward
        self.environment = gymnasium.make(spec.gymnasium_id)
        inner = self.environment.unwrapped
        self._data = inner.data  # type: ignore[attr-defined]
        self._measured = MeasuredModel(spec, inner.model)  # type: ignore[attr-defined]

    def reset(self, seed: int) -> np.ndarray:
        self.environment.reset(seed=seed)
        return self._measured.measure(self._data)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool]:
        control = np.empty(self.spec.nu)
        control[self._measured.actuators] = np.clip(action, -1.0, 1.0)
        before_s = self._data.time
        _, reward, terminated, _, _ = self.environment.step(control)
        self.diverged = self._data.time - before_s < self.spec.dt_s - 0.5 * self.spec.physics_dt_s  # begun anew
        return self._measured.measure(self._data), float(reward), bool(terminated)


class Repeated(Environment):
    """Every action is held for ``repeat`` control periods of another environment; the reward is their sum.

    For a control period that is short for a plan. ``spec`` and ``reward`` are those of the longer period, so models and
    planners need not know. Every period is whole, so that transitions are alike: what the inner environment pays after
    its end, or after its longest episode, does not count.
    """

    def __init__(self, inner: Environment, repeat: int):
        self.inner, self.repeat = inner, repeat
        self.spec = dataclasses.replace(inner.spec, dt_s=repeat * inner.spec.dt_s)
        self.reward = dataclasses.replace(inner.reward, steps=-(-inner.reward.steps // repeat))
        self._left = 0

    def reset(self, seed: int) -> np.ndarray:
        self._left = self.inner.reward.steps
        return self.inner.reset(seed)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool]:
        m, total, ended = self.inner.step(action)
        self.diverged = self.inner.diverged
        self._left -= 1
        for _ in range(self.repeat - 1):
            m, reward, ends = self.inner.step(action)
            self.diverged = self.diverged or self.inner.diverged
            total += reward if self._left > 0 and not ended else 0.0
            self._left, ended = self._left - 1, ended or ends
        return m, total, ended


def environment(spec: RobotSpec, task: str, repeat: int = 1) -> Environment:
    """The environment of a task; with ``repeat`` every action is held for so many of the robot's control periods.

    Raises:
        MbmfError: no such task, or the robot does not have it.
    """
    if task not in _ENVIRONMENTS:
        raise unknown("task", task, TASKS)
    env = _ENVIRONMENTS[task](spec)
    return env if repeat == 1 else Repeated(env, repeat)


_ENVIRONMENTS = {"forward": PaperForward, "forward_v5": GymnasiumForward}
TASKS = tuple(_ENVIRONMENTS)
