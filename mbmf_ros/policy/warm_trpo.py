"""TRPO whose critic gets to know the policy before the first update."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sb3_contrib import TRPO
from torch import Tensor
from torch.nn.functional import mse_loss

from mbmf_ros.terminal import busy

_HELD_OUT = 5  # every so manieth stretch is not trained on
_PATIENCE = 10  # passes without progress
_PROGRESS = 0.002


@dataclass(frozen=True)
class Stretch:
    """Consecutive steps of one episode.

    Attributes:
        observations: (T + 1, no), normalised.
        rewards: (T,), normalised.
        terminated: whether the task ended it after the last step; else it would have gone on.
    """

    observations: Tensor
    rewards: np.ndarray
    terminated: bool

    def returns(self, value_after: float, discount: float) -> Tensor:
        """Discounted sums of the rewards (T,), and of ``value_after`` the last one."""
        total, sums = 0.0 if self.terminated else value_after, np.empty(len(self.rewards), np.float32)
        for step in reversed(range(len(sums))):
            sums[step] = total = float(self.rewards[step]) + discount * total
        return torch.from_numpy(sums)


class WarmTrpo(TRPO):
    """stable-baselines3's TRPO; while :attr:`known` is not None, the next update warms up the critic first.

    Attributes:
        known: stretches of the policy that were recorded before, to warm up with besides the batch.
        rounds: passes over the data, at most.
        explained: what share of the variance of the held-out returns the critic explained, after every pass.
    """

    known: list[Stretch] | None = None
    rounds = 100
    explained: list[float]

    def collect_rollouts(self, *args: Any, **kwargs: Any) -> bool:
        self._cuts: dict[tuple[int, int], np.ndarray] = {}  # last observations of episodes that were cut off
        return super().collect_rollouts(*args, **kwargs)

    def _update_info_buffer(self, infos: list[dict[str, Any]], dones: np.ndarray | None = None) -> None:
        super()._update_info_buffer(infos, dones)
        for index, info in enumerate(infos):
            if info.get("TimeLimit.truncated"):
                self._cuts[self.rollout_buffer.pos, index] = info["terminal_observation"]

    def train(self) -> None:
        if self.known is not None:
            before = self._cut_values()
            for place, value in before.items():
                self.rollout_buffer.rewards[place] -= self.gamma * value
            with busy("warming up the critic"):
                self.explained = self._warm_up([*self.known, *self._stretches()])
            self._judge_anew()
            self.known = None
        super().train()

    @torch.no_grad()
    def _cut_values(self) -> dict[tuple[int, int], float]:
        """What the critic thinks of where episodes were cut off."""
        return {place: float(self.policy.predict_values(_row(last))) for place, last in self._cuts.items()}

    def _stretches(self) -> list[Stretch]:
        """The batch, whose rewards are without what would have come after episodes that were cut off."""
        buffer, found = self.rollout_buffer, []
        assert isinstance(self._last_obs, np.ndarray)
        assert self._last_episode_starts is not None
        for index in range(buffer.n_envs):
            starts = [*np.flatnonzero(buffer.episode_starts[:, index]), buffer.pos]
            for begin, end in itertools.pairwise(starts):
                running = end == buffer.pos and not self._last_episode_starts[index]
                last = self._last_obs[index] if running else self._cuts.get((int(end) - 1, index))
                rows = buffer.observations[begin:end, index]
                after = rows[-1] if last is None else last  # after an end that counts nothing comes
                seen = torch.from_numpy(np.concatenate([rows, after[None]]).astype(np.float32))
                found.append(Stretch(seen, buffer.rewards[begin:end, index], last is None))
        return found

    def _warm_up(self, stretches: list[Stretch]) -> list[float]:
        """Fit the critic until it explains no more of what is held out; it is left at its best."""
        held = stretches[_HELD_OUT - 1 :: _HELD_OUT] or stretches[-1:]
        learnt = [stretch for stretch in stretches if not any(stretch is other for other in held)] or held
        explained: list[float] = []
        best = copy.deepcopy(self.policy.state_dict())
        seen = torch.cat([stretch.observations[:-1] for stretch in learnt])
        while len(explained) < self.rounds and not _flat(explained):
            targets = self._targets(learnt)
            for rows in torch.randperm(len(seen)).split(self.batch_size):
                loss = mse_loss(self.policy.predict_values(seen[rows]).flatten(), targets[rows])
                self.policy.optimizer.zero_grad()
                loss.backward()
                self.policy.optimizer.step()
            explained.append(self._explains(held))
            if explained[-1] == max(explained):
                best = copy.deepcopy(self.policy.state_dict())
        self.policy.load_state_dict(best)
        return explained

    @torch.no_grad()
    def _targets(self, stretches: list[Stretch]) -> Tensor:
        """Returns of all steps, with what the critic thinks of what comes after each stretch."""
        after = self.policy.predict_values(torch.stack([stretch.observations[-1] for stretch in stretches])).flatten()
        pairs = zip(stretches, after.tolist(), strict=True)
        return torch.cat([stretch.returns(value, self.gamma) for stretch, value in pairs])

    @torch.no_grad()
    def _explains(self, held: list[Stretch]) -> float:
        targets = self._targets(held)
        values = self.policy.predict_values(torch.cat([stretch.observations[:-1] for stretch in held])).flatten()
        return 1.0 - float((targets - values).var() / targets.var().clamp_min(1e-12))

    @torch.no_grad()
    def _judge_anew(self) -> None:
        """Values and advantages of the batch, as the critic sees them now."""
        buffer = self.rollout_buffer
        for place, value in self._cut_values().items():
            buffer.rewards[place] += self.gamma * value
        seen = torch.from_numpy(buffer.observations.reshape(-1, *buffer.obs_shape))
        buffer.values = self.policy.predict_values(seen).numpy().reshape(buffer.values.shape)
        last = self.policy.predict_values(torch.from_numpy(np.asarray(self._last_obs)))
        assert self._last_episode_starts is not None
        buffer.compute_returns_and_advantage(last, self._last_episode_starts)


def _row(observation: np.ndarray) -> Tensor:
    return torch.from_numpy(observation[None].astype(np.float32))


def _flat(explained: list[float]) -> bool:
    """Whether the last few entries are no progress over those before."""
    earlier, recent = explained[:-_PATIENCE], explained[-_PATIENCE:]
    return bool(earlier) and max(recent) < max(earlier) + _PROGRESS
