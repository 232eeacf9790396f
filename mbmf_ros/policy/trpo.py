"""TRPO (stable-baselines3's) as a learner of our runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from sb3_contrib import TRPO
from torch import Tensor, nn

from mbmf_ros.policy.gaussian import GaussianPolicy, PolicyConfig
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


class TrpoLearner:
    """TRPO from a random policy.

    Args:
        robot_name: the robot.
        task: the task.
        config: settings.
        seed: of the first weights.
        kind: of TRPO.
        hidden: width of the policy's hidden layers, if other than the critic's.
    """

    def __init__(
        self,
        robot_name: str,
        task: str,
        config: ModelFreeConfig,
        seed: int,
        kind: type[TRPO] = TRPO,
        hidden: int | None = None,
    ):
        trpo = config.trpo
        widths = {"pi": [hidden or trpo.hidden] * 2, "vf": [trpo.hidden] * 2}
        self.notes: dict[str, Any] = {}
        self.env = NormalisedEnv(robot_name, task, config.action_repeat, trpo.environments, trpo.discount)
        self.model = kind(
            "MlpPolicy",
            self.env,
            learning_rate=trpo.learning_rate,
            n_steps=-(-trpo.batch // trpo.environments),
            batch_size=trpo.critic_batch,
            gamma=trpo.discount,
            gae_lambda=trpo.gae_lambda,
            cg_max_steps=trpo.cg_steps,
            cg_damping=trpo.cg_damping,
            n_critic_updates=trpo.critic_updates,
            target_kl=trpo.target_kl,
            policy_kwargs={"net_arch": widths, "activation_fn": nn.Tanh},
            stats_window_size=ALL_EPISODES,
            seed=seed,
            device="cpu",
        )

    @property
    def batch_steps(self) -> int:
        """Environment steps of one update."""
        return self.model.n_steps * self.env.num_envs * self.env.action_repeat

    def begin(self, seed: int) -> None:
        pass

    def learn(self, wanted: int, most: int, seed: int, tick: Callable[[int], None]) -> tuple[int, list[float]]:
        updates = min(-(-wanted // self.batch_steps), most // self.batch_steps)
        if updates <= 0:
            return 0, []
        self.env.forget_range()  # what a policy did long ago says nothing of where it may act
        steps = updates * self.model.n_steps * self.env.num_envs
        repeat = self.env.action_repeat
        return steps * repeat, learn_anew(self.model, steps, seed, repeat, tick)

    def policy(self) -> GaussianPolicy:
        made = self.unfolded()
        made.fold()
        return made

    def unfolded(self) -> GaussianPolicy:
        """The policy for normalised observations."""
        policy, env = self.model.policy, self.env
        last = policy.action_net
        assert isinstance(last, nn.Linear)
        made = GaussianPolicy(len(env.low), last.out_features, PolicyConfig(last.in_features)).requires_grad_(False)
        for ours, theirs in self.layers(made):
            ours.load_state_dict(theirs.state_dict())
        made.log_std.copy_(policy.log_std.detach())
        for name in ("center", "spread", "low", "high"):
            getattr(made, name).copy_(torch.from_numpy(getattr(env, name)))
        return made

    def layers(self, made: GaussianPolicy) -> list[tuple[nn.Module, nn.Module]]:
        """The layers of a policy of ours, and those of stable-baselines3's policy."""
        policy = self.model.policy
        net = policy.mlp_extractor.policy_net
        return [(made.first, net[0]), (made.second, net[2]), (made.mean, policy.action_net)]

    def tensors(self) -> dict[str, Tensor]:
        policy = self.model.policy
        kept = module_tensors("policy", policy) | optimizer_tensors("optimizer", policy.optimizer)
        return kept | {f"env/{key}": value for key, value in self.env.tensors().items()}

    def added(self) -> dict[str, Tensor]:
        return {}

    def restore(self, tensors: dict[str, Tensor], added: list[dict[str, Tensor]], notes: Mapping[str, Any]) -> None:
        restore_module("policy", self.model.policy, tensors)
        restore_optimizer("optimizer", self.model.policy.optimizer, tensors)
        self.env.restore(below("env", tensors))
        self.notes = dict(notes)
