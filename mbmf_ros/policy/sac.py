"""SAC (stable-baselines3's) as a learner of our runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.sac.policies import SACPolicy
from torch import Tensor, nn

from mbmf_ros.policy.gaussian import LEAST_SPREAD, GaussianPolicy, PolicyConfig
from mbmf_ros.policy.normalised_env import NormalisedEnv
from mbmf_ros.policy.sb3 import ALL_EPISODES, learn_anew
from mbmf_ros.policy.settings import ModelFreeConfig
from mbmf_ros.policy.torch_state import (
    below,
    module_tensors,
    optimizer_tensors,
    restore_module,
    restore_optimizer,
)
from mbmf_ros.terminal import busy

_STD_ROWS = 1000  # latest observations that the exported standard deviation is the mean over
_SPREAD_ROWS = 20_000  # latest observations that its mean and spread of observations are of
_COLUMNS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


class SteadyPolicy(SACPolicy):
    """stable-baselines3's, with critics whose layers are normalised: they do not overrate what they have not seen."""

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> ContinuousCritic:
        critic = super().make_critic(features_extractor)
        for index, network in enumerate(critic.q_networks):
            layers: list[nn.Module] = []
            for layer in network.children():
                layers.append(layer)
                if isinstance(layer, nn.Linear) and layer.out_features > 1:
                    layers.append(nn.LayerNorm(layer.out_features))
            critic.q_networks[index] = nn.Sequential(*layers)
            setattr(critic, f"qf{index}", critic.q_networks[index])
        return critic


class SacLearner:
    """SAC from a random policy. Observations and rewards are as they are, as in the published settings.

    Args:
        robot_name: the robot.
        task: the task.
        config: settings.
        seed: of the first weights.
        kind: of SAC.
        rewards: whether rewards are divided by what the environment has been told.
    """

    def __init__(
        self,
        robot_name: str,
        task: str,
        config: ModelFreeConfig,
        seed: int,
        kind: type[SAC] = SAC,
        rewards: bool = False,
    ):
        self.config = sac = config.sac
        self.notes: dict[str, Any] = {}
        self.env = NormalisedEnv(robot_name, task, config.action_repeat, 1, sac.discount, rewards)
        self.env.fix(np.zeros(len(self.env.low)), np.ones(len(self.env.low)), 1.0)
        self.model = kind(
            SteadyPolicy if sac.layer_norm else SACPolicy,
            self.env,
            learning_rate=sac.learning_rate,
            buffer_size=sac.memory,
            batch_size=sac.batch,
            gradient_steps=sac.updates,
            tau=sac.tau,
            gamma=sac.discount,
            ent_coef=f"auto_{sac.entropy}",
            policy_kwargs={"net_arch": [sac.hidden] * 2},
            stats_window_size=ALL_EPISODES,
            seed=seed,
            device="cpu",
        )
        self.seen, self._kept = 0, 0  # transitions that were remembered, and those of them that are on disk

    def begin(self, seed: int) -> None:
        pass

    def learn(self, wanted: int, most: int, seed: int, tick: Callable[[int], None]) -> tuple[int, list[float]]:
        repeat = self.env.action_repeat
        steps = min(-(-wanted // repeat), most // repeat)
        if steps <= 0:
            return 0, []
        self.env.forget_range()  # what a policy did long ago says nothing of where it may act
        self.model.learning_starts = max(0, self.config.random_steps - self.seen)
        returns = learn_anew(self.model, steps, seed, repeat, tick)
        self.seen += steps
        return steps * repeat, returns

    @torch.no_grad()
    def policy(self) -> GaussianPolicy:
        """The policy for observations as they are; its standard deviation is the mean of that before the tanh."""
        env, actor = self.env, self.model.actor
        assert isinstance(actor.mu, nn.Linear)
        shape = PolicyConfig(actor.mu.in_features, "relu", squash=True)
        made = GaussianPolicy(len(env.low), actor.mu.out_features, shape).requires_grad_(False)
        for ours, theirs in self.layers(made):
            ours.load_state_dict(theirs.state_dict())
        latest = self._rows(min(max(self.seen, 1), _STD_ROWS))["observations"]
        made.log_std.copy_(actor.get_action_dist_params(torch.from_numpy(env.normalize_obs(latest)))[1].mean(0))
        for name in ("center", "spread", "low", "high"):
            getattr(made, name).copy_(torch.from_numpy(getattr(env, name)))
        made.fold()
        if self.seen:  # nothing may have been normalised: a spread of 1 would say nothing
            rows = self._rows(min(self.seen, _SPREAD_ROWS, self.buffer.buffer_size))["observations"]
            made.center.copy_(torch.from_numpy(rows.mean(0, dtype=np.float64)))
            made.spread.copy_(torch.from_numpy(rows.std(0, dtype=np.float64)).clamp_min(LEAST_SPREAD))
        return made

    def layers(self, made: GaussianPolicy) -> list[tuple[nn.Module, nn.Module]]:
        """The layers of a policy of ours, and those of stable-baselines3's policy."""
        actor = self.model.actor
        return [(made.first, actor.latent_pi[0]), (made.second, actor.latent_pi[2]), (made.mean, actor.mu)]

    def tensors(self) -> dict[str, Tensor]:
        kept = module_tensors("policy", self.model.policy)
        for name, optimizer in self._optimizers().items():
            kept |= optimizer_tensors(name, optimizer)
        assert self.model.log_ent_coef is not None
        kept |= {"entropy": self.model.log_ent_coef.detach().clone(), "seen": torch.tensor(self.seen)}
        return kept | {f"env/{key}": value for key, value in self.env.tensors().items()}

    def added(self) -> dict[str, Tensor]:
        fresh = min(self.seen - self._kept, self.buffer.buffer_size)
        self._kept = self.seen
        return {name: torch.from_numpy(column) for name, column in self._rows(fresh).items()} if fresh else {}

    def restore(self, tensors: dict[str, Tensor], added: list[dict[str, Tensor]], notes: Mapping[str, Any]) -> None:
        restore_module("policy", self.model.policy, tensors)
        for name, optimizer in self._optimizers().items():
            restore_optimizer(name, optimizer, tensors)
        assert self.model.log_ent_coef is not None
        self.model.log_ent_coef.data.copy_(tensors["entropy"])
        self.env.restore(below("env", tensors))
        lengths, expected = [len(part["rewards"]) for part in added], int(tensors["seen"])
        self.buffer.pos = (expected - sum(lengths)) % self.buffer.buffer_size  # each row comes to where it lay
        with busy("reading what was remembered"):
            for part in added:
                self.remember({name: part[name].numpy() for name in _COLUMNS})
        if self.seen != expected and max(lengths, default=0) < self.buffer.buffer_size:  # more is not kept at once
            raise ValueError(f"expected {expected} remembered transitions, found {self.seen}")
        self.seen = self._kept = expected
        self.notes = dict(notes)

    def remember(self, columns: Mapping[str, np.ndarray]) -> None:
        """Add transitions (N, ...) to the memory, as its columns."""
        for row in range(len(columns["rewards"])):
            observation, after, action, reward, done, cut = (columns[name][row] for name in _COLUMNS)
            infos = [{"TimeLimit.truncated": bool(cut)}]
            self.buffer.add(observation[None], after[None], action[None], reward, done, infos)
        self.seen += len(columns["rewards"])

    @property
    def buffer(self) -> ReplayBuffer:
        """The memory."""
        assert self.model.replay_buffer is not None
        return self.model.replay_buffer

    def _rows(self, count: int) -> dict[str, np.ndarray]:
        """The latest transitions, oldest first."""
        rows = (self.buffer.pos - count + np.arange(count)) % self.buffer.buffer_size
        return {name: getattr(self.buffer, name)[rows, 0] for name in _COLUMNS}

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        model = self.model
        assert model.ent_coef_optimizer is not None
        return {
            "actor_optimizer": model.actor.optimizer,
            "critic_optimizer": model.critic.optimizer,
            "entropy_optimizer": model.ent_coef_optimizer,
        }
