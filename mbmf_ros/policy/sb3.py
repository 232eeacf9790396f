"""What all learners from stable-baselines3 need."""

from __future__ import annotations

from collections.abc import Callable

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

TICK_EVERY = 500  # steps

ALL_EPISODES = 1_000_000  # that stable-baselines3 is to remember the returns of, within one call of its learn()


def learn_anew(model: BaseAlgorithm, steps: int, seed: int, action_repeat: int, tick: Callable[[int], None]) -> list:
    """Learn for ``steps`` steps of all robots together, in fresh episodes and with fresh random numbers.

    Args:
        model: learns.
        steps: a multiple of what it makes between two updates.
        seed: of everything random.
        action_repeat: environment steps that each step counts for.
        tick: told now and then how many environment steps have been made.

    Returns:
        The returns of the episodes that ended.
    """
    model.set_random_seed(seed)
    model.learn(steps, callback=_Tick(tick, action_repeat), log_interval=None)  # type: ignore[arg-type]
    return [episode["r"] for episode in model.ep_info_buffer or ()]


class _Tick(BaseCallback):
    """Tells how many environment steps have been made."""

    def __init__(self, tick: Callable[[int], None], action_repeat: int):
        super().__init__()
        self._tell, self._repeat = tick, action_repeat

    def _on_step(self) -> bool:
        if self.n_calls % TICK_EVERY == 0:
            self._tell(self.num_timesteps * self._repeat)
        return True
