"""Moving a robot at random while there is no model to plan with."""

from __future__ import annotations

import numpy as np

from mbmf_ros.data.exploration import ExplorationConfig, random_actions
from mbmf_ros.robots import RobotSpec

STRETCH_STEPS = 100
"""After so many control steps amplitude and kind of the motion are drawn anew."""


class Explorer:
    """Random actions without end, as :func:`mbmf_ros.data.exploration.random_actions` draws them, stretch by stretch.

    Args:
        spec: the robot.
        config: how actions are drawn.
        seed: of the draws.
    """

    def __init__(self, spec: RobotSpec, config: ExplorationConfig | None = None, seed: int = 0):
        self._spec = spec
        self._config = config or ExplorationConfig()
        self._rng = np.random.default_rng(seed)
        self._actions = np.empty((0, spec.nu))

    def next(self, rows: int = 0) -> np.ndarray:
        """The next action and ``rows`` that are to follow it, (1 + rows, nu)."""
        while len(self._actions) <= rows:
            stretch = random_actions(self._config, self._rng, STRETCH_STEPS, self._spec.nu)
            self._actions = np.concatenate([self._actions, stretch])
        out = self._actions[: 1 + rows].copy()
        self._actions = self._actions[1:]
        return out
