"""Environments for stable-baselines3: several robots in turn, observations and rewards normalised."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import Tensor

from mbmf_ros.policy.gymnasium_env import RobotEnv

_REWARD_CLIP = 10.0


class NormalisedEnv(VecNormalize):
    """Several robots in turn.

    What observations and rewards are divided by is learnt along the way, or :meth:`fix`-ed. Unlike what it is made of
    it does not clip observations, so that a policy can take the normalisation in.

    Args:
        robot_name, task, action_repeat: see :class:`mbmf_ros.policy.gymnasium_env.RobotEnv`.
        robots: how many.
        discount: of the return whose standard deviation rewards are divided by.
        rewards: whether they are.

    Attributes:
        low, high: range of the observations (no,) since :meth:`forget_range`; everything, where there were none.
    """

    def __init__(
        self, robot_name: str, task: str, action_repeat: int, robots: int, discount: float, rewards: bool = True
    ):
        envs = DummyVecEnv([lambda: Monitor(RobotEnv(robot_name, task, action_repeat))] * robots)
        super().__init__(envs, norm_reward=rewards, clip_obs=np.inf, clip_reward=_REWARD_CLIP, gamma=discount)
        self.action_repeat = action_repeat
        size = self.observation_space.shape or ()
        self._none = np.full(size, np.inf, np.float32)
        self.forget_range()

    def set_range(self, low: np.ndarray, high: np.ndarray) -> None:
        """Let the range (no,) begin with this."""
        self._low, self._high = low.copy(), high.copy()

    def forget_range(self) -> None:
        """Let the range be that of what is seen from now on."""
        self._low, self._high = self._none.copy(), -self._none

    @property
    def low(self) -> np.ndarray:
        """See the class."""
        return np.where(np.isfinite(self._low), self._low, -np.inf)

    @property
    def high(self) -> np.ndarray:
        """See the class."""
        return np.where(np.isfinite(self._high), self._high, np.inf)

    @property
    def center(self) -> np.ndarray:
        """What is subtracted from observations (no,)."""
        return self._statistics.mean

    @property
    def spread(self) -> np.ndarray:
        """What they are divided by (no,)."""
        return np.sqrt(self._statistics.var + self.epsilon)

    def fix(self, center: np.ndarray, spread: np.ndarray, reward: float) -> None:
        """Normalise by these from now on: observations (no,), and the unit of rewards."""
        self.training, self.epsilon, self.clip_reward = False, 0.0, np.inf
        self._statistics.mean, self._statistics.var = center.astype(np.float64), spread.astype(np.float64) ** 2
        self.ret_rms.var = np.array(reward**2)

    def step_wait(self):
        result = super().step_wait()
        assert isinstance(self.old_obs, np.ndarray)
        self._low = np.minimum(self._low, self.old_obs.min(axis=0))
        self._high = np.maximum(self._high, self.old_obs.max(axis=0))
        return result

    def tensors(self) -> dict[str, Tensor]:
        """All statistics."""
        named = {"low": self._low, "high": self._high}
        for name, statistics in (("observation", self._statistics), ("return", self.ret_rms)):
            named |= {f"{name}_{key}": getattr(statistics, key) for key in ("mean", "var", "count")}
        return {key: torch.from_numpy(np.array(value)) for key, value in named.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`tensors` gave."""
        self._low, self._high = tensors["low"].numpy(), tensors["high"].numpy()
        for name, statistics in (("observation", self._statistics), ("return", self.ret_rms)):
            for key in ("mean", "var"):
                setattr(statistics, key, tensors[f"{name}_{key}"].numpy())
            statistics.count = float(tensors[f"{name}_count"])

    @property
    def _statistics(self) -> RunningMeanStd:
        assert isinstance(self.obs_rms, RunningMeanStd)
        return self.obs_rms
