"""Settings of imitation per robot, read from ``config/policy/``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mbmf_ros.config import Ranged, load_yaml, override, ranged
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.policy.cloning import CloneConfig
from mbmf_ros.policy.gaussian import PolicyConfig
from mbmf_ros.policy.improvement import ImprovementConfig
from mbmf_ros.policy.settings import PRESETS, as_the_robot_has_it
from mbmf_ros.robots import RobotSpec
from mbmf_ros.shared_files import shared_file


@dataclass(frozen=True)
class ImitationConfig(Ranged):
    """Settings of one imitation.

    Attributes:
        expert_rollouts: whole episodes in which the expert acts.
        action_noise: standard deviation of the noise on its actions then (paper, section V-C: 0.005); labels are
            without noise.
        guided: the expert labels by planning around what the policy would do
            (:class:`mbmf_ros.policy.guide.Guide`); else it labels by itself, as in the paper.
        guide_noise, guide_iterations: how far around, and for how many rounds of sampling.
        rounds: of DAgger.
        round_rollouts: episodes per round in which the policy acts and the expert labels.
        round_steps: their longest length; 0: whole episodes.
        round_replays: so many states from the expert's own learning are labelled per round too, if it is guided; they
            cost no environment steps.
        remembered_rounds: labels of so many last rounds are learnt from: a guided expert gets better with the policy;
            0: of all.
        warm_start: go on from the last round's weights; else train anew each round.
        initial_std: the policy's standard deviation afterwards; 0: what is left of the labels' error.
        clone: each regression.
        improvement: what follows.
        policy: architecture.
    """

    expert_rollouts: int = ranged(5, 1)
    action_noise: float = ranged(0.05, 0.0, 1.0)
    guided: bool = True
    guide_noise: float = ranged(0.2, 0.0, 1.0)
    guide_iterations: int = ranged(3, 1)
    rounds: int = ranged(2, 0)
    round_rollouts: int = ranged(1, 1)
    round_steps: int = ranged(0, 0)
    round_replays: int = ranged(1000, 0)
    remembered_rounds: int = ranged(8, 0)
    warm_start: bool = True
    initial_std: float = ranged(0.0, 0.0, 10.0)
    clone: CloneConfig = field(default_factory=CloneConfig)
    improvement: ImprovementConfig = field(default_factory=ImprovementConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)


# What all robots of the paper have in common (appendix A and B); the rest stands in config/policy/paper.yaml.
PAPER = ImitationConfig(
    action_noise=0.005,
    guided=False,
    round_replays=0,
    remembered_rounds=0,
    initial_std=1.0,
    improvement=ImprovementConfig(rounds=0),
    clone=CloneConfig(min_updates=0, batch_size=500, learning_rate=1e-4, cosine=False, symmetries=False),
)


def imitation_recipe(spec: RobotSpec, preset: str, changes: Mapping[str, Any]) -> ImitationConfig:
    """Settings to imitate the planner of a robot with: those of ``config/policy/ROBOT.yaml``, section ``imitate``.

    Args:
        spec: the robot.
        preset: ``default``, tuned, or ``paper``.
        changes: nested changes to it.

    Raises:
        MbmfError: no such preset; a robot that the paper does not have; an unknown key.
    """
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    if preset == "default":
        config = as_the_robot_has_it(ImitationConfig(), spec, "imitate")
    else:
        robots = load_yaml(shared_file("config", "policy", "paper.yaml"))
        if spec.name not in robots:
            known = ", ".join(robots)
            raise MbmfError(f"the paper has no robot {spec.name!r}; with --preset paper choose one of {known}")
        config = override(PAPER, robots[spec.name]["imitate"], "imitate")
    return override(config, changes, "imitate")
