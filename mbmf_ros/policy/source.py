"""What fine-tuning starts from: a policy that imitates, and what was recorded on the way to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbmf_ros.data.store import TransitionStore
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.files import LEARNING_FILE, POLICY_FILE
from mbmf_ros.policy.gaussian import GaussianPolicy
from mbmf_ros.policy.io import PolicyInfo, load_policy
from mbmf_ros.policy.rollouts import Rollout, load_rollouts
from mbmf_ros.policy.stages import check_finished
from mbmf_ros.robots import RobotSpec, robot

ROLLOUTS_FOLDER = "rollouts"


@dataclass(frozen=True)
class Source:
    """A policy and where it comes from.

    Attributes:
        spec: its robot.
        policy: with its normalisation folded in.
        info: what its file says.
        rollouts: what was recorded on the way to it, at least one.
        digest: identifies the policy's file.
        folder: all of this is in.
    """

    spec: RobotSpec
    policy: GaussianPolicy
    info: PolicyInfo
    rollouts: list[Rollout]
    digest: str
    folder: Path

    @property
    def seed(self) -> int:
        """That of the imitation that made the policy; 0 where its file does not say."""
        identity = self.info.extra.get("identity")
        seed = identity.get("seed") if isinstance(identity, dict) else None
        return seed if isinstance(seed, int) else 0

    def learning(self) -> list[Rollout]:
        """All that the expert's run of Algorithm 1 recorded; nothing where its rewards were not kept.

        Raises:
            MbmfError: the file is damaged, or of another robot.
        """
        file = self.folder / LEARNING_FILE
        if not file.exists():
            return []
        try:
            episodes = TransitionStore.load(file, self.spec).episodes
        except MbmfError as error:
            raise MbmfError(f"{error}; or remove it, to go on without, or make the policy again") from error
        unasked = np.zeros((0, self.spec.nu))
        return [
            Rollout(each.measurements, each.actions, each.rewards, each.terminated, unasked, each.source)
            for each in episodes
            if each.rewards is not None
        ]


def load_source(folder: Path, robot_name: str = "") -> Source:
    """Read the folder that ``mbmf imitate`` has written.

    Args:
        folder: with the policy and its rollouts.
        robot_name: what it must be of; empty: of whatever robot its file names.

    Raises:
        MbmfError: something is missing, damaged, of another robot or command; or the imitation is not finished.
    """
    check_finished(folder)
    file = folder / POLICY_FILE
    policy, info = load_policy(file, robot(robot_name) if robot_name else None)
    spec = robot(info.robot)
    rollouts = load_rollouts(folder / ROLLOUTS_FOLDER, spec)
    if not any(len(rollout) for rollout in rollouts):
        raise MbmfError(f"{folder / ROLLOUTS_FOLDER}: expected the rollouts that `mbmf imitate` records, found none")
    return Source(spec, policy, info, rollouts, hashlib.sha256(file.read_bytes()).hexdigest()[:16], folder)


def reward_unit(rollouts: list[Rollout], discount: float) -> float:
    """What rewards are divided by: the standard deviation of the discounted return over all recorded steps.

    At every step the return is that of the episode so far, ``g[t] = discount * g[t - 1] + r[t]``.
    """
    sums: list[float] = []
    for rollout in rollouts:
        total = 0.0
        for reward in rollout.rewards:
            total = discount * total + float(reward)
            sums.append(total)
    unit = float(np.std(sums))
    return unit if unit > 0.0 else 1.0
