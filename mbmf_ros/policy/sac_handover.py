"""SAC that takes over a policy: it knows what was recorded, acts like the policy, and its critics learn first."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.utils import polyak_update
from stable_baselines3.sac.policies import Actor
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from mbmf_ros.control.environments import environment
from mbmf_ros.policy.initial_std import find_std, most_episodes
from mbmf_ros.policy.observation import Observation
from mbmf_ros.policy.rollouts import Rollout
from mbmf_ros.policy.sac import SacLearner
from mbmf_ros.policy.settings import FinetuneConfig
from mbmf_ros.policy.source import Source, reward_unit
from mbmf_ros.policy.torch_state import below, module_tensors, restore_module
from mbmf_ros.terminal import busy

_CLONE_RATE, _CLONE_BATCH = 1e-3, 256
_ENTROPY_ROWS = 4096
_WARM_UP_TAU = 0.02  # fast: what comes in a hundred steps is to be known soon


class WarmSac(SAC):
    """stable-baselines3's SAC, whose critics can learn alone, and whose actor stays near its first self for a while.

    Critics that know little but the first policy's actions are wrong about all others; an actor free to go where they
    err most loses everything within a few hundred steps. So its loss gets the Kullback-Leibler divergence from the
    first actor, before the tanh, with a weight that is halved every so many updates.

    Attributes:
        first: the first actor; None: there is no such bond.
        bond: weight of the divergence in the actor's loss, at first.
        half_life: of this weight, in updates.
        updates: of the actor so far.
    """

    first: Actor | None = None
    bond = 0.0
    half_life = 1
    updates = 0

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        if self.first is None:
            return super().train(gradient_steps, batch_size)
        for _ in range(gradient_steps):
            batch = self.sample(batch_size)
            self._update_actor(batch.observations)
            self._update_critics(batch, self.tau)
        return None

    def train_critics(self, updates: int, tau: float) -> None:
        """Gradient steps of the critics for the actor as it is; ``tau`` is the share that their copies take over."""
        for _ in range(updates):
            self._update_critics(self.sample(self.batch_size), tau)

    def sample(self, size: int) -> ReplayBufferSamples:
        """Transitions from the memory, normalised."""
        assert self.replay_buffer is not None
        return self.replay_buffer.sample(size, env=self._vec_normalize_env)

    def _update_critics(self, batch: ReplayBufferSamples, tau: float) -> None:
        with torch.no_grad():
            actions, log_prob = self.actor.action_log_prob(batch.next_observations)
            values = torch.cat(self.critic_target(batch.next_observations, actions), dim=1).amin(1, keepdim=True)
            after = values - self._entropy_weight() * log_prob.reshape(-1, 1)
            targets = batch.rewards + (1.0 - batch.dones) * self.gamma * after
        losses = [mse_loss(value, targets) for value in self.critic(batch.observations, batch.actions)]
        _step(self.critic.optimizer, 0.5 * torch.stack(losses).sum())
        polyak_update(self.critic.parameters(), self.critic_target.parameters(), tau)

    def _update_actor(self, observations: Tensor) -> None:
        """One gradient step of the actor, and one of the weight of its entropy."""
        assert self.first is not None
        assert self.log_ent_coef is not None
        assert self.ent_coef_optimizer is not None
        distribution = self.actor.action_dist
        assert isinstance(distribution, SquashedDiagGaussianDistribution)
        mean, log_std, _ = self.actor.get_action_dist_params(observations)
        actions, log_prob = distribution.log_prob_from_params(mean, log_std)
        values = torch.cat(self.critic(observations, actions), dim=1).amin(1)
        with torch.no_grad():
            first_mean, first_log_std, _ = self.first.get_action_dist_params(observations)
        ratio = (2.0 * (log_std - first_log_std)).exp()
        moved = ((mean - first_mean) / first_log_std.exp()).square()
        divergence = 0.5 * (ratio + moved - 1.0 - ratio.log()).sum(1)  # (N,)
        weight = self.bond * 0.5 ** (self.updates / self.half_life)
        entropy_weight = self._entropy_weight()
        _step(self.actor.optimizer, (entropy_weight * log_prob - values + weight * divergence).mean())
        assert isinstance(self.target_entropy, float)
        _step(self.ent_coef_optimizer, -(self.log_ent_coef * (log_prob.detach() + self.target_entropy)).mean())
        self.updates += 1

    def _entropy_weight(self) -> float:
        assert self.log_ent_coef is not None
        return float(self.log_ent_coef.detach().exp())


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class SacHandover(SacLearner):
    """SAC from a policy.

    Observations are normalised by what the policy was trained with and rewards by a constant. The actor begins as a
    copy of the policy, by regression on the observations of the recorded rollouts; the memory begins with all that the
    expert's run recorded, with these rollouts, and with the episodes of the search for the first standard deviation,
    whose steps count.

    Args:
        source: the policy, and the rollouts.
        config: settings.
        seed: of the first weights.
    """

    model: WarmSac

    def __init__(self, source: Source, config: FinetuneConfig, seed: int):
        super().__init__(source.spec.name, source.info.task, config, seed, WarmSac, rewards=True)
        self.source, self.handover = source, config.handover
        self.unit = reward_unit(source.rollouts, config.sac.discount)
        self.env.fix(source.policy.center.numpy(), source.policy.spread.numpy(), self.unit)
        self.env.set_range(source.policy.low.numpy(), source.policy.high.numpy())

    def begin(self, seed: int) -> None:
        torch.manual_seed(seed)
        observe = Observation(self.source.spec)
        raw = np.concatenate([observe(rollout.measurements) for rollout in self.source.rollouts])
        actor, policy = self.model.actor, copy.deepcopy(self.source.policy)
        targets = policy(torch.from_numpy(raw)).clamp(-1.0, 1.0)
        seen = torch.from_numpy(self.env.normalize_obs(raw))
        optimizer = torch.optim.Adam(actor.parameters(), _CLONE_RATE)
        rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.handover.clone_updates)
        with busy("making the actor of the policy"):
            for _ in range(self.handover.clone_updates):
                rows = torch.randint(len(seen), (_CLONE_BATCH,))
                _step(optimizer, mse_loss(actor.get_action_dist_params(seen[rows])[0].tanh(), targets[rows]))
                rate.step()
        self._set_std(float(policy.log_std.exp().mean()))

    def learn(self, wanted: int, most: int, seed: int, tick: Callable[[int], None]) -> tuple[int, list[float]]:
        if self.notes:
            return super().learn(wanted, most, seed, tick)
        repeat = self.env.action_repeat
        env = environment(self.source.spec, self.source.info.task, repeat)
        if (most_episodes(self.handover) * env.reward.steps + 1) * repeat > most:
            return 0, []
        with busy("trying first standard deviations"):
            search = find_std(env, self.policy(), self.handover, seed, lambda steps: tick(steps * repeat))
        spent = search.steps * repeat
        self._set_std(search.std)
        self._bind()
        learning = self.source.learning()
        self._remember_all([*learning, *self.source.rollouts, *search.rollouts()])
        self.model.set_random_seed(seed)
        self.model.target_entropy = self._entropy()
        if self.handover.warm_up:
            with busy("warming up the critics"):
                self.model.train_critics(self.handover.warm_up_updates, _WARM_UP_TAU)
        self.notes = {
            "reward_unit": self.unit,
            "remembered": self.seen,
            "remembered_of_learning": sum(map(len, learning)),
            "target_entropy": self.model.target_entropy,
            **search.notes(repeat),
        }
        more, returns = super().learn(max(wanted - spent, repeat), most - spent, seed + 1, lambda n: tick(spent + n))
        return spent + more, returns

    def tensors(self) -> dict[str, Tensor]:
        kept = super().tensors() | {"updates": torch.tensor(self.model.updates)}
        return kept if self.model.first is None else kept | module_tensors("first", self.model.first)

    def restore(self, tensors: dict[str, Tensor], added: list[dict[str, Tensor]], notes: Mapping[str, Any]) -> None:
        super().restore(tensors, added, notes)
        self.model.updates = int(tensors["updates"])
        self.model.target_entropy = self.notes.get("target_entropy", self.model.target_entropy)
        if below("first", tensors):
            self._bind()
            assert self.model.first is not None
            restore_module("first", self.model.first, tensors)

    @torch.no_grad()
    def _entropy(self) -> float:
        """That of the actor's actions, nat: the usual target would widen those of a policy that goes to its limits."""
        batch = self.model.sample(_ENTROPY_ROWS)
        return -float(self.model.actor.action_log_prob(batch.observations)[1].mean())

    def _bind(self) -> None:
        """Remember the actor as the first one."""
        model, settings = self.model, self.handover
        model.first = copy.deepcopy(model.actor).requires_grad_(False)
        model.bond, model.half_life = settings.bond, settings.bond_half_life

    def _set_std(self, std: float) -> None:
        """The same standard deviation everywhere."""
        head = self.model.actor.log_std
        assert isinstance(head, nn.Linear)
        nn.init.zeros_(head.weight)
        nn.init.constant_(head.bias, math.log(std))

    def _remember_all(self, rollouts: Sequence[Rollout]) -> None:
        observe = Observation(self.source.spec)
        for rollout in rollouts:
            if len(rollout):
                seen, ends = observe(rollout.measurements), np.zeros(len(rollout), np.float32)
                ends[-1] = rollout.terminated
                columns = {
                    "observations": seen[:-1],
                    "next_observations": seen[1:],
                    "actions": rollout.actions.astype(np.float32),
                    "rewards": rollout.rewards.astype(np.float32),
                    "dones": ends,
                    "timeouts": np.zeros_like(ends),
                }
                self.remember(columns)
