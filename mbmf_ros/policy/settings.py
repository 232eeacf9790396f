"""Settings of model-free learning: defaults here, those of robots in ``config/policy/``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mbmf_ros.config import Ranged, load_yaml, override, ranged
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.registry import file_beside
from mbmf_ros.shared_files import shared_file

LEARNERS = ("trpo", "sac")


@dataclass(frozen=True)
class TrpoConfig(Ranged):
    """TRPO; the defaults are the published tuned ones for MuJoCo's robots (rl-baselines3-zoo).

    Attributes:
        environments: robots that are simulated in turn.
        batch: steps of all robots together between two updates.
        discount: of rewards, per step.
        gae_lambda: of the advantages' estimate.
        target_kl: how far an update may change the policy, nat.
        cg_steps, cg_damping: conjugate gradients.
        critic_updates: passes of the critic over each batch.
        critic_batch: steps per gradient step of the critic.
        learning_rate: of the critic.
        hidden: width of the two hidden layers of policy and critic.
    """

    environments: int = ranged(2, 1, 64)
    batch: int = ranged(2048, 16)
    discount: float = ranged(0.99, 0.0, 1.0)
    gae_lambda: float = ranged(0.95, 0.0, 1.0)
    target_kl: float = ranged(0.01, 1e-6)
    cg_steps: int = ranged(25, 1)
    cg_damping: float = ranged(0.1, 0.0)
    critic_updates: int = ranged(20, 1)
    critic_batch: int = ranged(128, 1)
    learning_rate: float = ranged(1e-3, 1e-8, 1.0)
    hidden: int = ranged(64, 1)


@dataclass(frozen=True)
class ModelFreeConfig(Ranged):
    """Settings of a model-free run besides the budget.

    Attributes:
        action_repeat: control periods for which each action is held; each counts as an environment step.
        evaluate_every: environment steps between evaluations, which are also what is kept of the run.
        episodes: of each evaluation, with mean actions; they cost no budget.
        trpo: settings of TRPO.
    """

    action_repeat: int = ranged(1, 1)
    evaluate_every: int = ranged(20000, 1)
    episodes: int = ranged(5, 1)
    trpo: TrpoConfig = field(default_factory=TrpoConfig)


def baseline_settings(spec: RobotSpec, changes: Mapping[str, Any] | None = None) -> ModelFreeConfig:
    """Settings to learn with from nothing.

    Args:
        spec: the robot; its own settings, if it has any, are in config/policy/ROBOT.yaml, or ROBOT.policy.yaml beside
            the file that it was named by.
        changes: nested changes to them.

    Raises:
        MbmfError: an unknown key, or a value of the wrong type.
    """
    return override(override(ModelFreeConfig(), _of(spec, "baseline"), "baseline"), changes or {}, "baseline")


def check_learner(name: str) -> None:
    """Refuse a learner that there is not.

    Raises:
        MbmfError: there is none of this name, or what it needs is not installed.
    """
    if name not in LEARNERS:
        raise unknown("learner", name, LEARNERS)
    try:
        import sb3_contrib  # noqa: F401
        import stable_baselines3  # noqa: F401
    except ImportError as error:
        raise MbmfError(
            f"model-free learning needs stable-baselines3 and sb3-contrib ({error}); "
            'pip install "stable-baselines3>=2.9,<2.10" "sb3-contrib>=2.9,<2.10"'
        ) from error


def _of(spec: RobotSpec, section: str) -> Mapping[str, Any]:
    """A robot's own settings."""
    file = file_beside(spec, ".policy.yaml")
    if file is None:
        with contextlib.suppress(MbmfError):
            file = shared_file("config", "policy", f"{spec.name}.yaml")
    return (load_yaml(file).get(section) or {}) if file else {}
