"""TRPO that takes over a policy, without a loss in between."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import torch
from stable_baselines3.common.buffers import RolloutBuffer
from torch import nn

from mbmf_ros.control.environments import environment
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.gaussian import GaussianPolicy
from mbmf_ros.policy.initial_std import find_std, most_episodes
from mbmf_ros.policy.observation import Observation
from mbmf_ros.policy.rollouts import Rollout
from mbmf_ros.policy.sb3 import learn_anew
from mbmf_ros.policy.settings import FinetuneConfig
from mbmf_ros.policy.source import Source, reward_unit
from mbmf_ros.policy.trpo import TrpoLearner
from mbmf_ros.policy.warm_trpo import Stretch, WarmTrpo
from mbmf_ros.terminal import busy


class TrpoHandover(TrpoLearner):
    """TRPO from a policy.

    Observations are normalised by what the policy was trained with and rewards by a constant, so nothing drifts. It
    begins with the search for the first standard deviation, whose steps count, and a critic that learns from these
    episodes and from the first batch, a long one, before the policy changes.

    Args:
        source: the policy, and the rollouts that say what rewards are divided by.
        config: settings.
        seed: of the critic's first weights.

    Raises:
        MbmfError: the policy is of a kind that TRPO does not go on from.
    """

    model: WarmTrpo

    def __init__(self, source: Source, config: FinetuneConfig, seed: int):
        made = source.policy.config
        if made.squash or made.activation != "tanh":
            raise MbmfError("TRPO goes on from policies with tanh layers and a linear mean only; try --learner sac")
        super().__init__(source.spec.name, source.info.task, config, seed, WarmTrpo, made.hidden)
        self.source, self.handover = source, config.handover
        self.unit = reward_unit(source.rollouts, config.trpo.discount)
        self._take(source.policy)

    @torch.no_grad()
    def _take(self, policy: GaussianPolicy) -> None:
        """Become this policy."""
        policy = copy.deepcopy(policy)
        policy.unfold()
        self.env.set_range(policy.low.numpy(), policy.high.numpy())
        self.env.fix(policy.center.numpy(), policy.spread.numpy(), self.unit)
        for ours, theirs in self.layers(policy):
            theirs.load_state_dict(ours.state_dict())
        self.model.policy.log_std.copy_(policy.log_std)

    def learn(self, wanted: int, most: int, seed: int, tick: Callable[[int], None]) -> tuple[int, list[float]]:
        if self.notes:
            return super().learn(wanted, most, seed, tick)
        repeat, robots = self.env.action_repeat, self.env.num_envs
        env = environment(self.source.spec, self.source.info.task, repeat)
        longest = most_episodes(self.handover) * env.reward.steps
        rows = max(self.model.n_steps, -(-self.handover.first_batch // robots))
        if (longest + rows * robots) * repeat > most:
            return 0, []
        with busy("trying first standard deviations"):
            search = find_std(env, self.source.policy, self.handover, seed, lambda steps: tick(steps * repeat))
        nn.init.constant_(self.model.policy.log_std, math.log(search.std))
        spent = search.steps * repeat
        if self.handover.warm_up:
            self.model.known = self._stretches(search.rollouts(most=search.std))  # those like what comes
            self.model.rounds = self.handover.warm_up_rounds
        returns = self._first_batch(rows, seed, lambda steps: tick(spent + steps))
        spent += rows * robots * repeat
        explained = self.model.explained if self.handover.warm_up else []
        self.notes = {"reward_unit": self.unit, **search.notes(repeat), "explained_variance": explained}
        more, later = super().learn(wanted - spent, most - spent, seed + 1, lambda steps: tick(spent + steps))
        return spent + more, returns + later

    def _stretches(self, rollouts: Sequence[Rollout]) -> list[Stretch]:
        """Rollouts as the critic sees them."""
        observe = Observation(self.source.spec)
        return [
            Stretch(
                torch.from_numpy(self.env.normalize_obs(observe(rollout.measurements))),
                rollout.rewards / self.unit,
                rollout.terminated,
            )
            for rollout in rollouts
        ]

    def _first_batch(self, rows: int, seed: int, tick: Callable[[int], None]) -> list[float]:
        """The first update, with a batch of ``rows`` steps of every robot."""
        model, usual = self.model, (self.model.n_steps, self.model.rollout_buffer)
        model.n_steps = rows
        model.rollout_buffer = RolloutBuffer(
            rows, model.observation_space, model.action_space, "cpu", model.gae_lambda, model.gamma, self.env.num_envs
        )  # type: ignore[arg-type]
        returns = learn_anew(model, rows * self.env.num_envs, seed, self.env.action_repeat, tick)
        model.n_steps, model.rollout_buffer = usual
        return returns
