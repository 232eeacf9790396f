"""Episodes of whoever acts in an environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mbmf_ros.control.environments import Environment
from mbmf_ros.data.collect import diverged
from mbmf_ros.data.store import Episode
from mbmf_ros.errors import DivergenceError

Actor = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Rollout:
    """An episode.

    Attributes:
        episode: what happened.
        rewards: (T,).
        terminated: whether the task ended it, or the simulation's divergence.
        diverged: the latter; the step in which it diverged is left out.
    """

    episode: Episode
    rewards: np.ndarray
    terminated: bool
    diverged: bool = False

    @property
    def value(self) -> float:
        """The sum of its rewards."""
        return float(sum(self.rewards))


def roll_out(env: Environment, actor: Actor, seed: int, steps: int, source: str, stuck_steps: int = 10**9) -> Rollout:
    """Run ``actor``, which maps measurements (nm,) to actions (nu,), for an episode of at most ``steps`` steps.

    Where the simulation diverges it ends, perhaps without any step.

    Args:
        env: where.
        actor: acts; its actions are clipped to [-1, 1].
        seed: of the start.
        steps: longest length.
        source: see :class:`mbmf_ros.data.store.Episode`.
        stuck_steps: after so many steps in a row in which the robot has fallen it ends.
    """
    measurements, actions, rewards, fallen, ended, lost = [env.reset(seed)], [], [], 0, False, False
    while len(actions) < steps and not ended and fallen < stuck_steps:
        action = np.clip(actor(measurements[-1]), -1.0, 1.0)
        try:
            m, reward, ended = env.step(action)
        except DivergenceError:
            lost = True
            break
        lost = env.diverged or bool(diverged(m))
        if lost:
            break
        actions.append(action)
        measurements.append(m)
        rewards.append(reward)
        fallen = fallen + 1 if env.spec.fallen(m) else 0
    episode = Episode(np.stack(measurements), np.array(actions).reshape(-1, env.spec.nu), source)
    return Rollout(episode, np.array(rewards), ended or lost, lost)
