"""Episodes of whoever acts in an environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mbmf_ros.control.environments import Environment
from mbmf_ros.data.store import Episode

Actor = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Rollout:
    """An episode, its rewards (T,), and whether the task ended it."""

    episode: Episode
    rewards: np.ndarray
    terminated: bool

    @property
    def value(self) -> float:
        """The sum of its rewards."""
        return float(sum(self.rewards))


def roll_out(env: Environment, actor: Actor, seed: int, steps: int, source: str, stuck_steps: int = 10**9) -> Rollout:
    """Run ``actor``, which maps measurements (nm,) to actions (nu,), for an episode of at most ``steps`` steps.

    Args:
        env: where.
        actor: acts; its actions are clipped to [-1, 1].
        seed: of the start.
        steps: longest length.
        source: see :class:`mbmf_ros.data.store.Episode`.
        stuck_steps: after so many steps in a row in which the robot has fallen it ends.
    """
    measurements, actions, rewards, fallen, ended = [env.reset(seed)], [], [], 0, False
    while len(actions) < steps and not ended and fallen < stuck_steps:
        action = np.clip(actor(measurements[-1]), -1.0, 1.0)
        m, reward, ended = env.step(action)
        actions.append(action)
        measurements.append(m)
        rewards.append(reward)
        fallen = fallen + 1 if env.spec.fallen(m) else 0
    return Rollout(Episode(np.stack(measurements), np.stack(actions), source), np.array(rewards), ended)
