"""SAC that takes over a policy: it knows what was recorded, acts like the policy, and its critics learn first."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.utils import polyak_update
from torch import nn
from torch.nn.functional import mse_loss

from mbmf_ros.control.environments import environment
from mbmf_ros.policy.initial_std import find_std, most_episodes
from mbmf_ros.policy.observation import Observation
from mbmf_ros.policy.rollouts import Rollout
from mbmf_ros.policy.sac import SacLearner
from mbmf_ros.policy.settings import FinetuneConfig
from mbmf_ros.policy.source import Source, reward_unit

_CLONE_RATE, _CLONE_BATCH = 1e-3, 256


class WarmSac(SAC):
    """stable-baselines3's SAC, whose critics can learn alone."""

    def train_critics(self, updates: int) -> None:
        """Gradient steps of the critics for the actor as it is."""
        assert self.replay_buffer is not None
        assert self.log_ent_coef is not None
        weight = float(self.log_ent_coef.detach().exp())
        for _ in range(updates):
            batch = self.replay_buffer.sample(self.batch_size, env=self._vec_normalize_env)
            with torch.no_grad():
                actions, log_prob = self.actor.action_log_prob(batch.next_observations)
                values = torch.cat(self.critic_target(batch.next_observations, actions), dim=1).amin(1, keepdim=True)
                after = values - weight * log_prob.reshape(-1, 1)
                targets = batch.rewards + (1.0 - batch.dones) * self.gamma * after
            losses = [mse_loss(value, targets) for value in self.critic(batch.observations, batch.actions)]
            self.critic.optimizer.zero_grad()
            (0.5 * torch.stack(losses).sum()).backward()
            self.critic.optimizer.step()
            polyak_update(self.critic.parameters(), self.critic_target.parameters(), self.tau)


class SacHandover(SacLearner):
    """SAC from a policy.

    Observations are normalised by what the policy was trained with and rewards by a constant. The actor begins as a
    copy of the policy, by regression on the observations of the recorded rollouts; the memory begins with these
    rollouts and with the episodes of the search for the first standard deviation, whose steps count.

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
        self.env.low, self.env.high = source.policy.low.numpy(), source.policy.high.numpy()

    def begin(self, seed: int) -> None:
        torch.manual_seed(seed)
        observe = Observation(self.source.spec)
        raw = np.concatenate([observe(rollout.measurements) for rollout in self.source.rollouts])
        actor, policy = self.model.actor, copy.deepcopy(self.source.policy)
        targets = policy(torch.from_numpy(raw)).clamp(-1.0, 1.0)
        seen = torch.from_numpy(self.env.normalize_obs(raw))
        optimizer = torch.optim.Adam(actor.parameters(), _CLONE_RATE)
        for _ in range(self.handover.clone_updates):
            rows = torch.randint(len(seen), (_CLONE_BATCH,))
            loss = mse_loss(actor.get_action_dist_params(seen[rows])[0].tanh(), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self._set_std(float(policy.log_std.exp().mean()))

    def learn(self, wanted: int, most: int, seed: int, tick: Callable[[int], None]) -> tuple[int, list[float]]:
        if self.notes:
            return super().learn(wanted, most, seed, tick)
        repeat = self.env.action_repeat
        env = environment(self.source.spec, self.source.info.task, repeat)
        if (most_episodes(self.handover) * env.reward.steps + 1) * repeat > most:
            return 0, []
        search = find_std(env, self.policy(), self.handover, seed, lambda steps: tick(steps * repeat))
        spent = search.steps * repeat
        self._set_std(search.std)
        self._remember_all([*self.source.rollouts, *search.rollouts()])
        self.model.set_random_seed(seed)
        if self.handover.warm_up:
            self.model.train_critics(self.handover.warm_up_updates)
        self.notes = {"reward_unit": self.unit, "remembered": self.seen, **search.notes(repeat)}
        more, returns = super().learn(max(wanted - spent, repeat), most - spent, seed + 1, lambda n: tick(spent + n))
        return spent + more, returns

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
