"""Imitations that take no time."""

from __future__ import annotations

from pathlib import Path

from quick_learning import QUICK_LEARNING  # pyright: ignore[reportMissingImports]

from mbmf_ros.config import override
from mbmf_ros.control.algorithm import LearnConfig, resume
from mbmf_ros.control.learn_settings import configured
from mbmf_ros.policy.expert import open_run
from mbmf_ros.policy.imitation import Imitation
from mbmf_ros.policy.recipes import ImitationConfig
from mbmf_ros.robots import robot

SPEC = robot("hopper")
LEARNING = configured(LearnConfig(), {**QUICK_LEARNING, "random_steps": 200, "random_episode_steps": 50})
QUICK = override(
    ImitationConfig(),
    {
        "expert_rollouts": 2,
        "rounds": 1,
        "round_replays": 7,
        "clone": {"min_updates": 30},
        "policy": {"hidden": 8},
        "improvement": {"rounds": 2, "updates": 5, "batch_size": 8, "real_steps": 20},
    },
)


class KilledError(Exception):
    """Stands for a signal that nothing can catch."""


def learnt(folder: Path, steps: int = 320) -> Path:
    """The folder of an expert's run, which goes on if there is one."""
    resume(SPEC, "forward", LEARNING, 3, folder).run(steps)
    return folder


def begin(source: Path, folder: Path, config: ImitationConfig = QUICK, workers: int = 1) -> Imitation:
    """An imitation of the expert in ``source``, new or as it was when it was killed."""
    return Imitation(source, open_run(source), config, 5, folder, workers)


def timeless(curve: list[dict]) -> list[dict]:
    """A curve without what differs from one run to the same run."""
    return [{key: value for key, value in row.items() if key != "wall_s"} for row in curve]
