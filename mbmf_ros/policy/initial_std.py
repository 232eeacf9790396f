"""How much noise a policy's actions bear: the first standard deviation of model-free learning."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mbmf_ros.control.environments import Environment
from mbmf_ros.policy.gaussian import GaussianPolicy, PolicyActor
from mbmf_ros.policy.rollouts import Rollout, roll_out
from mbmf_ros.policy.settings import HandoverConfig


@dataclass
class StdSearch:
    """What was found, and by what.

    Attributes:
        std: the standard deviation.
        tried: mean returns by standard deviation, 0 among them.
        episodes: all that it took, by standard deviation.
    """

    std: float = 0.0
    tried: dict[float, float] = field(default_factory=dict)
    episodes: dict[float, list[Rollout]] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """How many it took."""
        return sum(len(rollout) for rollouts in self.episodes.values() for rollout in rollouts)

    def rollouts(self, most: float = math.inf) -> list[Rollout]:
        """The episodes with a standard deviation of at most ``most``."""
        return [rollout for std, rollouts in self.episodes.items() if std <= most for rollout in rollouts]

    def notes(self, action_repeat: int) -> dict[str, Any]:
        """For the result; steps in control periods."""
        tried = {str(std): value for std, value in self.tried.items()}
        return {"std": self.std, "std_tried": tried, "std_steps": self.steps * action_repeat}


def most_episodes(config: HandoverConfig) -> int:
    """Episodes that :func:`find_std` takes, at most."""
    return 0 if config.std else config.std_episodes * (1 + math.ceil(math.log2(len(config.std_grid) + 1)))


def find_std(
    env: Environment, policy: GaussianPolicy, config: HandoverConfig, seed: int, tick: Callable[[int], None]
) -> StdSearch:
    """The largest standard deviation of the grid that keeps enough of the return; the smallest if none does.

    More noise is taken to mean a lower return, so that halving the grid finds it. All are judged from the same starts.

    Args:
        env: where.
        policy: with its normalisation folded in.
        config: the rule.
        seed: of starts and noise.
        tick: told after every episode how many steps have been made.
    """
    if config.std:
        return StdSearch(config.std)
    search = StdSearch()
    grid = sorted(config.std_grid)
    starts = np.random.default_rng(seed).integers(2**31, size=config.std_episodes)

    def value(std: float) -> float:
        noisy = copy.deepcopy(policy)
        noisy.log_std.fill_(math.log(std) if std else -math.inf)
        search.episodes[std] = []
        for start in starts:
            actor = PolicyActor(env.spec, noisy, int(start) if std else None)
            search.episodes[std].append(roll_out(env, actor, int(start), env.reward.steps, "policy"))
            tick(search.steps)
        search.tried[std] = float(np.mean([rollout.value for rollout in search.episodes[std]]))
        return search.tried[std]

    calm = value(0.0)
    least = calm - (1.0 - config.keep) * abs(calm)
    good, bad = -1, len(grid)
    while bad - good > 1:
        middle = (good + bad) // 2
        if value(grid[middle]) >= least:
            good = middle
        else:
            bad = middle
    search.std = grid[max(good, 0)]
    return search
