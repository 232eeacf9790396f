"""Our environments behind Gymnasium's interface, for whatever learns with it.

Importing this module registers them: ``mbmf/Swimmer-v0``, ``mbmf/HalfCheetah-v0``, ``mbmf/Hopper-v0`` and
``mbmf/Ant-v0`` are the paper-style tasks; ``mbmf/GymnasiumSwimmer-v0`` and so on are Gymnasium's unchanged v5 tasks as
a policy of ours sees them. ``gymnasium.make("mbmf_ros.policy.gymnasium_env:mbmf/Ant-v0")`` imports it too.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from mbmf_ros.control.environments import environment
from mbmf_ros.data.collect import diverged
from mbmf_ros.errors import DivergenceError, MbmfError
from mbmf_ros.policy.observation import Observation
from mbmf_ros.robots import robot

_PAPER = {"Swimmer": "swimmer", "HalfCheetah": "half_cheetah", "Hopper": "hopper", "Ant": "ant"}
_V5 = {"Swimmer": "swimmer_v5", "HalfCheetah": "half_cheetah_v5", "Hopper": "hopper_v5", "Ant": "ant"}
_TASKS = {
    **{f"mbmf/{name}-v0": (spec, "forward") for name, spec in _PAPER.items()},
    **{f"mbmf/Gymnasium{name}-v0": (spec, "forward_v5") for name, spec in _V5.items()},
}
IDS = tuple(_TASKS)
_LOST_EPISODES = 20


class RobotEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """A robot and a task.

    Observations are those of :class:`mbmf_ros.policy.observation.Observation`, actions are in [-1, 1]. An episode is
    truncated after the task's number of control periods. ``info["m"]`` is the measurement.

    Where the simulation diverges the episode is terminated: that step returns the last good observation and measurement
    and a reward of 0, and its ``info["diverged"]`` is True.

    Args:
        robot_name: the robot.
        task: see :func:`mbmf_ros.control.environments.environment`.
        action_repeat: control periods for which each action is held.

    Raises:
        MbmfError: no such robot or task, or the robot does not have it.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  # Gymnasium's own way

    def __init__(self, robot_name: str, task: str = "forward", action_repeat: int = 1):
        self.robot_env = environment(robot(robot_name), task, action_repeat)
        self.observe = Observation(robot(robot_name))
        self.action_repeat = action_repeat
        nu = self.robot_env.spec.nu
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (self.observe.size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (nu,), np.float32)
        self._steps, self._lost_episodes = 0, 0  # the latter: in a row, at their first step

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._steps = 0
        self._m = self.robot_env.reset(int(self.np_random.integers(2**31)))
        return self.observe(self._m), {"m": self._m}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """See Gymnasium.

        Raises:
            MbmfError: the simulation diverges at the first step of every episode.
        """
        good = self._advance(action)
        self._steps += 1
        if good is None:
            self._count_lost()
            reward, terminated = 0.0, True
        else:
            self._m, reward, terminated = good
            self._lost_episodes = 0
        truncated = self._steps >= self.robot_env.reward.steps
        return self.observe(self._m), reward, terminated, truncated, {"m": self._m, "diverged": good is None}

    def _advance(self, action: np.ndarray) -> tuple[np.ndarray, float, bool] | None:
        """Measurement, reward and whether the task ended the episode; None: the simulation diverged."""
        try:
            m, reward, terminated = self.robot_env.step(np.asarray(action, dtype=np.float64))
        except DivergenceError:
            return None
        return None if self.robot_env.diverged or diverged(m) else (m, reward, terminated)

    def _count_lost(self) -> None:
        self._lost_episodes += self._steps == 1
        if self._lost_episodes >= _LOST_EPISODES:
            raise MbmfError(
                f"the simulation of {self.robot_env.spec.name!r} diverged at the first step of {_LOST_EPISODES} "
                "episodes in a row; make its physics_dt_s smaller, or look for what is wrong with its model"
            )


for _id, (_robot, _task) in _TASKS.items():
    gymnasium.register(_id, f"{__name__}:{RobotEnv.__name__}", kwargs={"robot_name": _robot, "task": _task})
