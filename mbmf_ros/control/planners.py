"""Sampling-based planners: random shooting (the paper), iCEM and MPPI.

All draw candidate action sequences, imagine them with the learnt model, and score them with the task; they differ in
how candidates are drawn and how the scores are used.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from mbmf_ros.config import Ranged, override, ranged
from mbmf_ros.control.action_sequences import coloured, shifted
from mbmf_ros.control.tasks import Task
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.errors import unknown


@dataclass(frozen=True)
class Plan:
    """An action sequence for the next ``H`` control steps and what led to it.

    Attributes:
        actions: (H, nu).
        best: the candidate with the highest return, (H, nu).
        elites: best candidates, best first, (M, H, nu); they start the next plan.
        planned_return: imagined return of the best candidate.
        terms: its reward terms, summed over the horizon.
        rollouts: states (K, H + 1, nx) of the last candidates.
        returns: (K,) their returns.
    """

    actions: Tensor
    best: Tensor
    elites: Tensor
    planned_return: float
    terms: dict[str, float]
    rollouts: Tensor = field(repr=False)
    returns: Tensor = field(repr=False)


@dataclass(frozen=True)
class SamplingConfig(Ranged):
    """What every sampling planner has.

    Attributes:
        batch_size: candidates per iteration, K.
        time_steps: horizon in control steps, H.
        action_limit: actions stay within +- this, at most 1.
        iterations: rounds of sampling.
        first_iterations: rounds when there is no plan to start from, if that is more.
        rescue_iterations: rounds of a second search, from scratch, where the best candidate ends in a fall; 0: none.
    """

    batch_size: int = ranged(128, 2)
    time_steps: int = ranged(16, 1)
    action_limit: float = ranged(0.45, 0.0, 1.0)
    iterations: int = ranged(1, 1)
    first_iterations: int = ranged(1, 1)
    rescue_iterations: int = ranged(0, 0)


@dataclass(frozen=True)
class RandomShootingConfig(SamplingConfig):
    """The paper's planner, with the ant's H and K (appendix A)."""

    batch_size: int = ranged(7000, 2)
    time_steps: int = ranged(15, 1)
    action_limit: float = ranged(1.0, 0.0, 1.0)


@dataclass(frozen=True)
class IcemConfig(SamplingConfig):
    """iCEM (Pinneri et al., 2020): warm-started cross-entropy method with correlated noise and kept elites.

    Attributes:
        noise: standard deviation of the first round's candidates about the warm start.
        min_noise: the standard deviation never falls below this.
        hold: control steps for which a candidate's noise keeps its value.
        beta: instead of being held, noise has the power spectrum 1/f^beta if this is positive.
        elite_share: share of the candidates that the next round is fitted to.
        kept_elites: elites of the last round and of the last plan that compete again.
        momentum: share of the old mean and deviation that stays after each round.
    """

    iterations: int = ranged(2, 1)
    noise: float = ranged(0.3, 0.0)
    min_noise: float = ranged(0.05, 0.0)
    hold: int = ranged(2, 1)
    beta: float = ranged(0.0, 0.0, 6.0)
    elite_share: float = ranged(0.1, 0.0, 1.0)
    kept_elites: int = ranged(4, 0)
    momentum: float = ranged(0.1, 0.0, 1.0)


@dataclass(frozen=True)
class MppiConfig(SamplingConfig):
    """MPPI (Williams et al., 2017): mean of the candidates, weighted by their exponentiated returns.

    Attributes:
        noise: standard deviation of the candidates about the warm start.
        hold: control steps for which a candidate's noise keeps its value.
        temperature: of the weights, as a share of the standard deviation of the returns.
    """

    iterations: int = ranged(2, 1)
    noise: float = ranged(0.2, 0.0)
    hold: int = ranged(2, 1)
    temperature: float = ranged(0.3, 1e-6)


@dataclass(frozen=True)
class Belief:
    """Where a planner looks for good action sequences: mean and standard deviation (H, nu), and sequences to try again
    (M, H, nu)."""

    mean: Tensor
    deviation: Tensor
    kept: Tensor


@dataclass(frozen=True)
class Scored:
    """Candidates (K, H, nu), their imagined states (K, H + 1, nx), reward terms (K, H) by name, and returns (K,)."""

    u: Tensor
    rollouts: Tensor
    terms: dict[str, Tensor]
    returns: Tensor


Config = TypeVar("Config", bound=SamplingConfig)


class Planner(ABC, Generic[Config]):
    """Base of the planners: draw, imagine and score, update; keeps no state between plans."""

    def __init__(self, config: Config):
        self.config = config

    def plan(
        self,
        x: Tensor,
        model: Dynamics,
        task: Task,
        warm: Plan | None,
        generator: torch.Generator,
        elapsed: int = 1,
    ) -> Plan:
        """Plan from state ``x`` (nx,); ``warm`` is the plan of ``elapsed`` control steps ago."""

        def improve(belief: Belief) -> tuple[Belief, Scored]:
            u = self.draw(belief, generator).clamp(-self.config.action_limit, self.config.action_limit)
            rollouts = model.imagine(x.expand(len(u), -1), u)
            terms = task.terms(rollouts, u)
            returns = torch.stack(list(terms.values())).sum((0, 2))
            returns = returns.where(returns.isfinite(), -torch.inf)
            scored = Scored(u, rollouts, terms, returns)
            return self.update(belief, scored), scored

        rounds = self.config.iterations
        belief, scored = improve(self.start(warm, model.spec.nu, elapsed))
        for _ in range((rounds if warm else max(rounds, self.config.first_iterations)) - 1):
            belief, scored = improve(belief)
        if self.config.rescue_iterations and falls(scored):
            found = belief, scored
            belief = replace(self.start(None, model.spec.nu), kept=belief.kept)
            for _ in range(self.config.rescue_iterations):
                belief, scored = improve(belief)
            if scored.returns.max() < found[1].returns.max():
                belief, scored = found
        best = int(scored.returns.argmax())
        terms = {name: float(values[best].sum()) for name, values in scored.terms.items()}
        return Plan(
            belief.mean,
            scored.u[best],
            belief.kept,
            float(scored.returns[best]),
            terms,
            scored.rollouts,
            scored.returns,
        )

    def start(self, warm: Plan | None, nu: int, elapsed: int = 1) -> Belief:
        """The belief before the first round."""
        zeros = torch.zeros(self.config.time_steps, nu)
        mean = shifted(warm.actions, elapsed) if warm else zeros
        return Belief(mean, torch.zeros_like(mean), shifted(warm.elites, elapsed) if warm else zeros[None])

    @abstractmethod
    def draw(self, belief: Belief, generator: torch.Generator) -> Tensor:
        """Candidates (K, H, nu)."""

    @abstractmethod
    def update(self, belief: Belief, scored: Scored) -> Belief:
        """The belief after scoring candidates."""

    def noise(self, count: int, nu: int, hold: int, generator: torch.Generator) -> Tensor:
        """Standard normal noise (count, H, nu) that keeps its value for ``hold`` steps, with a random first change."""
        horizon = self.config.time_steps
        fresh = torch.randn(count, -(-horizon // hold) + 1, nu, generator=generator)
        offset = int(torch.randint(hold, (), generator=generator))
        return fresh.repeat_interleave(hold, dim=1)[:, offset : offset + horizon]


def falls(scored: Scored) -> bool:
    """Whether the best candidate ends in a fall."""
    death = scored.terms.get("death")
    return death is not None and bool((death[scored.returns.argmax()] != 0).any())


class RandomShooting(Planner[RandomShootingConfig]):
    """Uniform candidates, the best one is executed (paper, section IV-C)."""

    def draw(self, belief: Belief, generator: torch.Generator) -> Tensor:
        shape = (self.config.batch_size, *belief.mean.shape)
        return (2 * torch.rand(shape, generator=generator) - 1) * self.config.action_limit

    def update(self, belief: Belief, scored: Scored) -> Belief:
        best = scored.u[scored.returns.argmax()]
        return Belief(best, belief.deviation, best[None])


class Icem(Planner[IcemConfig]):
    """Refits a Gaussian to the elites and executes its mean."""

    def start(self, warm: Plan | None, nu: int, elapsed: int = 1) -> Belief:
        belief = super().start(warm, nu, elapsed)
        return Belief(belief.mean, torch.full_like(belief.mean, self.config.noise), belief.kept)

    def draw(self, belief: Belief, generator: torch.Generator) -> Tensor:
        config = self.config
        fresh = max(0, config.batch_size - 1 - len(belief.kept))
        noise = self.noise(fresh, belief.mean.shape[-1], 1 if config.beta else config.hold, generator)
        drawn = belief.deviation * (coloured(noise, config.beta) if config.beta else noise)
        return torch.cat([belief.mean[None], belief.kept, belief.mean + drawn])

    def update(self, belief: Belief, scored: Scored) -> Belief:
        config = self.config
        elites = scored.u[scored.returns.topk(max(2, round(config.elite_share * len(scored.u)))).indices]
        mean = torch.lerp(elites.mean(0), belief.mean, config.momentum)
        deviation = torch.lerp(elites.std(0), belief.deviation, config.momentum).clamp_min(config.min_noise)
        return Belief(mean, deviation, elites[: config.kept_elites])


class Mppi(Planner[MppiConfig]):
    """Moves the mean towards good candidates, the more the better they are."""

    def draw(self, belief: Belief, generator: torch.Generator) -> Tensor:
        config = self.config
        drawn = config.noise * self.noise(config.batch_size - 1, belief.mean.shape[-1], config.hold, generator)
        return torch.cat([belief.mean[None], belief.mean + drawn])

    def update(self, belief: Belief, scored: Scored) -> Belief:
        returns = scored.returns
        finite = returns[returns.isfinite()]
        scale = self.config.temperature * finite.std().clamp_min(1e-6) if len(finite) > 1 else torch.ones(())
        weights = ((returns - returns.max()) / scale).softmax(0)
        mean = torch.einsum("k,khu->hu", weights, scored.u)
        return Belief(mean, belief.deviation, mean[None])


_PLANNERS: dict[str, tuple[type[Planner[Any]], SamplingConfig]] = {
    "random_shooting": (RandomShooting, RandomShootingConfig()),
    "icem": (Icem, IcemConfig()),
    "mppi": (Mppi, MppiConfig()),
}
PLANNERS = tuple(_PLANNERS)


def planner_defaults(name: str) -> SamplingConfig:
    """Default configuration of the planner ``name``.

    Raises:
        MbmfError: there is no such planner.
    """
    if name not in _PLANNERS:
        raise unknown("planner", name, PLANNERS)
    return _PLANNERS[name][1]


def make_planner(name: str, overrides: Mapping[str, Any] | None = None) -> Planner[Any]:
    """The planner ``name``, with ``overrides`` of its configuration.

    Raises:
        MbmfError: no such planner, an unknown key, or a value of the wrong type.
    """
    defaults = planner_defaults(name)
    return _PLANNERS[name][0](override(defaults, overrides or {}, f"planner {name}"))
