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
    """An episode with the rewards of an environment.

    Attributes:
        episode: what happened; a divergence of the simulation counts as an end by the task.
        diverged: whether the simulation diverged; the step in which it did is left out.
    """

    episode: Episode
    diverged: bool = False

    @property
    def rewards(self) -> np.ndarray:
        """Of its steps, (T,)."""
        assert self.episode.rewards is not None
        return self.episode.rewards

    @property
    def terminated(self) -> bool:
        """Whether the task ended it, or a divergence."""
        return self.episode.terminated

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
    u = np.array(actions).reshape(-1, env.spec.nu)
    paid = np.array(rewards, float)
    return Rollout(Episode(np.stack(measurements), u, source, rewards=paid, terminated=ended or lost), lost)
