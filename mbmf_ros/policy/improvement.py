"""Making a policy better in the learned model, by the gradient of its imagined return.

The model is a network, and so is the policy: the return of a closed-loop rollout of the horizon's length has a gradient
with respect to the policy's weights. That costs no environment steps, and one update looks at hundreds of states, where
a planner that labels states looks at one. What the model has wrong about a policy that got better shows where it acts
for real: those rollouts count, are learnt from, and the policy goes on with the better model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.control.algorithm import Learner
from mbmf_ros.control.goals import ForwardGoal
from mbmf_ros.control.tasks import ForwardConfig, Task
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.gaussian import GaussianPolicy
from mbmf_ros.policy.observation import Observation

_KEPT_ENDS = 5000


@dataclass(frozen=True)
class ImprovementConfig(Ranged):
    """Improvement of a policy in the model, with rollouts in between.

    Attributes:
        rounds: how often the policy is improved, acts, and the model learns from that; 0: not at all.
        updates: gradient steps per round.
        horizon: imagined steps; 0: the planner's.
        batch_size: imagined rollouts per update.
        learning_rate: Adam's; falls to zero in each round.
        own_starts: share of the rollouts that go on from where earlier ones led; the others start where the robot was.
        noise: standard deviation of the noise on imagined actions.
        max_gradient: longer gradients are cut to this; updates whose gradient is not finite are left out.
        saturation: cost of the square by which a mean action leaves [-1, 1].
        real_steps: environment steps per round in which the policy acts.
        tilt: cost per radian of tilt, instead of the planner's; negative: the planner's.
        speed_cap_mps: instead of the planner's; 0: the planner's.
        finalists: policies of so many rounds, those whose rollouts returned most, act again before one is chosen; less
            than 2: the rollouts of the rounds decide, a few each.
        final_episodes: episodes of each finalist; they count.
    """

    rounds: int = ranged(10, 0)
    updates: int = ranged(300, 1)
    horizon: int = ranged(0, 0)
    batch_size: int = ranged(256, 1)
    learning_rate: float = ranged(3e-4, 1e-8, 1.0)
    own_starts: float = ranged(0.5, 0.0, 0.9)
    noise: float = ranged(0.0, 0.0, 1.0)
    max_gradient: float = ranged(1.0, 1e-6)
    saturation: float = ranged(1.0, 0.0)
    real_steps: int = ranged(1000, 1)
    tilt: float = ranged(-1.0)
    speed_cap_mps: float = ranged(0.0, 0.0)
    finalists: int = ranged(0, 0)
    final_episodes: int = ranged(3, 1)


def improve(policy: GaussianPolicy, learner: Learner, config: ImprovementConfig, seed: int) -> float:
    """One round of updates of ``policy`` on the model of ``learner``; starts are drawn from its own data.

    In and out goes a policy whose normalisation is folded in; its range becomes that of the starts.

    Returns:
        Mean imagined reward per step over the last updates.

    Raises:
        MbmfError: the model's states are not what policies see, or gradients are not finite.
    """
    model = learner.model
    assert model is not None
    observe, spec = Observation(learner.spec), learner.spec
    if not observe.fits(model.profile):
        raise MbmfError(
            f"the expert's model has the state profile {model.profile.name!r}, policies see 'body'; "
            "switch improvement off: --set improvement.rounds=0"
        )
    horizon = config.horizon or learner.held_out.horizon
    goal = ForwardGoal(learner.env.reward, _weights(learner.config.forward, config))
    task = goal.task(np.zeros(spec.measurement.size), model, spec)
    assert task is not None
    generator = torch.Generator().manual_seed(seed)
    starts = _starts(learner, model)
    policy.requires_grad_(True)
    policy.set_range(observe.of_states(starts))
    policy.unfold()
    weights = [*policy.first.parameters(), *policy.second.parameters(), *policy.mean.parameters()]
    optimizer = torch.optim.Adam(weights)
    size = -(-config.batch_size // model.members) * model.members
    ends, rewards, skipped = starts[:0], [], 0
    for update in range(config.updates):
        optimizer.param_groups[0]["lr"] = config.learning_rate * 0.5 * (1 + np.cos(np.pi * update / config.updates))
        continued = round(config.own_starts * size) if len(ends) else 0
        x = torch.cat([_draw(starts, size - continued, generator), _draw(ends, continued, generator)])
        x = x[torch.randperm(size, generator=generator)]
        states, value, excess = _imagine(policy, observe, model, task, x, horizon, config.noise, generator)
        loss = config.saturation * excess - value
        optimizer.zero_grad()
        loss.backward()
        if torch.nn.utils.clip_grad_norm_(weights, config.max_gradient).isfinite():
            optimizer.step()
        else:
            skipped += 1
            if 10 * skipped > config.updates:
                raise MbmfError("gradients through the model are not finite; lower improvement.horizon")
        rewards.append(value.item())
        ends = torch.cat([ends, _alive(states, learner, model)])[-_KEPT_ENDS:]
    policy.requires_grad_(False)
    policy.fold()
    return float(np.mean(rewards[-50:]))


def _imagine(
    policy: GaussianPolicy,
    observe: Observation,
    model: Dynamics,
    task: Task,
    x: Tensor,
    horizon: int,
    noise: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Closed-loop rollouts of an unfolded policy from states ``x`` (B, nx).

    Returns:
        States (B, H + 1, nx), mean reward per step, and the mean square by which actions left [-1, 1].
    """
    states, actions, excess = [x], [], x.new_zeros(())
    for _ in range(horizon):
        mean = policy((observe.of_states(states[-1]) - policy.center) / policy.spread)
        excess = excess + (mean.abs() - 1.0).relu().square().mean() / horizon
        if noise:
            mean = mean + noise * torch.randn(mean.shape, generator=generator)
        actions.append(mean.clamp(-1.0, 1.0))
        states.append(model.advance(states[-1], actions[-1]))
    rollouts = torch.stack(states, dim=1)
    terms = task.terms(rollouts, torch.stack(actions, dim=1))
    return rollouts.detach(), torch.stack(list(terms.values())).sum(0).mean(), excess


def _weights(forward: ForwardConfig, config: ImprovementConfig) -> ForwardConfig:
    """What the planner sees of the task, as far as it is not changed."""
    values = dict(vars(forward))
    if config.tilt >= 0:
        values["tilt"] = config.tilt
    if config.speed_cap_mps:
        values["speed_cap_mps"] = config.speed_cap_mps
    return ForwardConfig(**values)


def _starts(learner: Learner, model: Dynamics) -> Tensor:
    """Where the robot was when it learnt, (N, nx), at the origin."""
    seen = np.concatenate([episode.measurements[:-1] for episode in learner.own.episodes])
    seen = seen[~learner.spec.fallen(seen)]
    return _at_origin(torch.from_numpy(model.profile.encode(seen).astype(np.float32)), model)


def _alive(states: Tensor, learner: Learner, model: Dynamics) -> Tensor:
    """States in the middle and at the end of rollouts (B, H + 1, nx) in which the robot is up, at the origin."""
    x = states[:, [states.shape[1] // 2, -1]].reshape(-1, states.shape[-1])
    low, high = learner.spec.height_range_m
    height = model.profile.height(x)
    up = (model.profile.up(x) > learner.spec.min_up) & (height >= low) & (height <= high)
    return _at_origin(x[up & x.isfinite().all(-1)], model)


def _at_origin(x: Tensor, model: Dynamics) -> Tensor:
    """States ``x`` (N, nx) with the position, but not the heading, taken away: nothing depends on it."""
    x = x.clone()
    x[:, : min(model.profile.n_carried, 2)] = 0.0
    return x


def _draw(x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return x[torch.randint(max(1, len(x)), (count,), generator=generator)]
