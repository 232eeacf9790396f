"""What of a recording is in motion: standing still teaches nothing."""

from __future__ import annotations

import numpy as np

from mbmf_ros.data.store import TransitionStore
from mbmf_ros.robots import RobotSpec


def in_motion(spec: RobotSpec, actions: np.ndarray) -> np.ndarray:
    """Which of ``actions`` (..., nu) are not the safe action, (...,) bool."""
    return (actions != np.array(spec.safe_action)).any(-1)


def moves(spec: RobotSpec, actions: np.ndarray) -> bool:
    """Whether any of ``actions`` (..., nu) is not the safe action."""
    return bool(in_motion(spec, actions).any())


def moving(store: TransitionStore) -> TransitionStore:
    """The episodes with some motion, as they are: what a robot does between two movements is part of them."""
    return TransitionStore(store.spec, [episode for episode in store.episodes if moves(store.spec, episode.actions)])


def moved(store: TransitionStore) -> int:
    """How many transitions are in motion."""
    return sum(int(in_motion(store.spec, episode.actions).sum()) for episode in store.episodes)
