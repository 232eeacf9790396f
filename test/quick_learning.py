"""Settings with which Algorithm 1 takes no time, for tests of what is around it."""

from __future__ import annotations

from typing import Any

QUICK_LEARNING: dict[str, Any] = {
    "random_steps": 120,
    "random_episode_steps": 30,
    "iteration_steps": 60,
    "episode_steps": 30,
    "planner_settings": {"batch_size": 16, "time_steps": 5, "action_limit": 1.0},
    "dynamics": {"hidden": 16, "members": 2},
    "first": {"min_updates": 40, "batch_size": 32},
    "refit": {"min_updates": 20, "batch_size": 32},
}
