"""Settings of model-free learning: defaults here, those of robots in ``config/policy/``."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mbmf_ros.config import Config, Ranged, load_yaml, override, ranged
from mbmf_ros.errors import MbmfError, naming, unknown
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.registry import file_beside
from mbmf_ros.shared_files import shared_file

LEARNERS = ("trpo", "sac")
PRESETS = ("default", "paper")
SECTIONS = ("imitate", "baseline", "finetune")  # of a robot's file


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
class SacConfig(Ranged):
    """SAC; the defaults are the published tuned ones for MuJoCo's robots (rl-baselines3-zoo).

    Attributes:
        discount: of rewards, per step.
        learning_rate: of everything.
        batch: transitions per gradient step.
        updates: gradient steps per step of the robot, or per held action.
        memory: transitions that are remembered.
        tau: share of the critics that their slow copies take over per gradient step.
        entropy: first weight of the entropy; it adapts.
        random_steps: random actions at first, where there is nothing to start from.
        hidden: width of the two hidden layers.
        layer_norm: whether the critics' layers are normalised (LayerNorm); in fine-tuning they are by default.
    """

    discount: float = ranged(0.99, 0.0, 1.0)
    learning_rate: float = ranged(3e-4, 1e-8, 1.0)
    batch: int = ranged(256, 1)
    updates: int = ranged(1, 1)
    memory: int = ranged(1_000_000, 1)
    tau: float = ranged(0.005, 1e-6, 1.0)
    entropy: float = ranged(1.0, 1e-9)
    random_steps: int = ranged(10_000, 0)
    hidden: int = ranged(256, 1)
    layer_norm: bool = False


@dataclass(frozen=True)
class HandoverConfig(Ranged):
    """From a policy that imitates to one that learns by itself, without a loss in between.

    Attributes:
        std: first standard deviation of the actions, SAC's before the tanh; 0: the largest of ``std_grid`` with which
            the return stays above ``keep`` of that without noise.
        std_grid: standard deviations to choose from.
        std_episodes: episodes to judge each of them by.
        keep: share of the return.
        first_batch: TRPO: steps before its first update, for a critic that knows the policy; 0: as always.
        warm_up: whether the critic learns before the policy's first update.
        warm_up_rounds: TRPO: passes over the data, at most.
        warm_up_updates: SAC: gradient steps of the critics alone.
        clone_updates: SAC: gradient steps in which its actor becomes the policy.
        bond: SAC: weight of the actor's divergence from its first self in its loss, at first.
        bond_half_life: SAC: updates of the actor in which this weight is halved.
    """

    std: float = ranged(0.0, 0.0)
    std_grid: tuple[float, ...] = (0.05, 0.08, 0.12, 0.18, 0.25, 0.35, 0.5)
    std_episodes: int = ranged(3, 1)
    keep: float = ranged(0.9, 0.0, 1.0)
    first_batch: int = ranged(4096, 0)
    warm_up: bool = True
    warm_up_rounds: int = ranged(100, 1)
    warm_up_updates: int = ranged(5000, 0)
    clone_updates: int = ranged(2000, 1)
    bond: float = ranged(0.05, 0.0)
    bond_half_life: int = ranged(2000, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.std_grid or min(self.std_grid) <= 0.0:
            raise MbmfError(f"std_grid: expected numbers above 0, got {list(self.std_grid)}")


@dataclass(frozen=True)
class ModelFreeConfig(Ranged):
    """Settings of a model-free run besides the budget.

    Attributes:
        action_repeat: control periods for which each action is held; each counts as an environment step.
        evaluate_every: environment steps between evaluations, which are also what is kept of the run.
        episodes: of each evaluation, with mean actions; they cost no budget.
        trpo: settings of TRPO.
        sac: settings of SAC.
    """

    action_repeat: int = ranged(1, 1)
    evaluate_every: int = ranged(20000, 1)
    episodes: int = ranged(5, 1)
    trpo: TrpoConfig = field(default_factory=TrpoConfig)
    sac: SacConfig = field(default_factory=SacConfig)


@dataclass(frozen=True)
class FinetuneConfig(ModelFreeConfig):
    """Settings of a model-free run that starts from a policy.

    Attributes:
        handover: how it starts.
    """

    # Older runs, which do not say so, had normalised critics too: what they lack is taken from here.
    sac: SacConfig = field(default_factory=lambda: SacConfig(layer_norm=True))
    handover: HandoverConfig = field(default_factory=HandoverConfig)


# With rewards divided so that returns vary by 1 entropy would outweigh them at first.
_GOES_ON = dataclasses.replace(FinetuneConfig().sac, entropy=1e-3, random_steps=0)
_TUNED = {
    "trpo": FinetuneConfig(sac=_GOES_ON),
    # Its noise adapts by itself: the search for the first one is not worth its steps.
    "sac": FinetuneConfig(sac=_GOES_ON, handover=HandoverConfig(std=0.1, clone_updates=20_000, bond_half_life=500)),
}

# The paper's (appendix B); what it leaves open is rllab's default, of which its code makes use.
PAPER = FinetuneConfig(
    evaluate_every=50_000,
    trpo=TrpoConfig(
        batch=50_000,
        discount=0.995,
        gae_lambda=1.0,
        target_kl=0.5,
        cg_steps=10,
        cg_damping=1e-5,
        critic_batch=500,
    ),
    handover=HandoverConfig(std=1.0, first_batch=0, warm_up=False),
)


def baseline_settings(spec: RobotSpec, changes: Mapping[str, Any] | None = None) -> ModelFreeConfig:
    """Settings to learn with from nothing.

    Args:
        spec: the robot; its own settings, if it has any, are in config/policy/ROBOT.yaml, or ROBOT.policy.yaml beside
            the file that it was named by.
        changes: nested changes to them.

    Raises:
        MbmfError: an unknown key, or a value of the wrong type.
    """
    return override(as_the_robot_has_it(ModelFreeConfig(), spec, "baseline"), changes or {}, "baseline")


def finetune_settings(
    spec: RobotSpec,
    action_repeat: int,
    preset: str = "default",
    changes: Mapping[str, Any] | None = None,
    learner: str = "trpo",
) -> FinetuneConfig:
    """Settings to go on from a policy with.

    Args:
        spec: the robot; the default is what :func:`baseline_settings` says, and what its settings say of fine-tuning.
        action_repeat: of the policy.
        preset: ``default``, tuned, or ``paper``.
        changes: nested changes.
        learner: one of ``LEARNERS``.

    Raises:
        MbmfError: no such preset, an unknown key, or a value of the wrong type.
    """
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    if "action_repeat" in (changes or {}):
        raise MbmfError(f"action_repeat: the policy decides it, {action_repeat}; leave it out")
    config = PAPER
    if preset == "default":
        config = as_the_robot_has_it(as_the_robot_has_it(_TUNED[learner], spec, "baseline"), spec, "finetune")
    return dataclasses.replace(override(config, changes or {}, "finetune"), action_repeat=action_repeat)


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


def as_the_robot_has_it(config: Config, spec: RobotSpec, section: str) -> Config:
    """``config`` with a robot's own settings of ``imitate``, ``baseline`` or ``finetune`` put in, if it has any.

    Raises:
        MbmfError: the file is not usable, or has an unknown section or key, or a value of the wrong type.
    """
    file = file_beside(spec, ".policy.yaml")
    if file is None:
        with contextlib.suppress(MbmfError):
            file = shared_file("config", "policy", f"{spec.name}.yaml")
    values = load_yaml(file) if file else {}
    with naming(file):
        for name in values:
            if name not in SECTIONS:
                raise unknown("section", str(name), SECTIONS)
        own = values.get(section)
        return config if own is None else override(config, own, section)
