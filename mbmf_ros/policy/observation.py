"""What a policy sees: what the learned model sees too, and the heading."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from mbmf_ros.robots import RobotSpec, StateProfile, profile
from mbmf_ros.robots.measurement import yaw_of


class Observation:
    """Turns measurements into observations: everything that encoders, an IMU and odometry give, but where the robot is.

    ``[inner part of the state profile "body" | cos yaw, sin yaw]``; a robot in the x-z plane has no heading. Rewards
    for moving along x depend on the heading, so unlike the dynamics a policy has to see it.

    Args:
        spec: the robot.

    Attributes:
        profile: the state profile that it is made of.
        size: numbers of an observation.
    """

    def __init__(self, spec: RobotSpec):
        self.spec = spec
        self.profile = profile(spec)
        self._heads = spec.root != "sagittal"
        self.size = self.profile.n_inner + 2 * self._heads

    @property
    def layout_hash(self) -> str:
        """Identifies robot and layout; a policy and a robot fit only when it is the same."""
        text = f"{self.profile.layout_hash}-{self._heads}-{self.spec.name}-{self.spec.nu}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def names(self) -> tuple[str, ...]:
        """What each number of an observation is."""
        joints = self.spec.joints
        out = []
        for name, part in self.profile.slices.items():
            size = part.stop - part.start
            labels = joints if name.startswith("joint_") else range(size)
            if part.start >= self.profile.n_carried:
                out += [name] if size == 1 and labels is not joints else [f"{name}[{label}]" for label in labels]
        return (*out, "cos_yaw", "sin_yaw") if self._heads else tuple(out)

    def fits(self, profile: StateProfile) -> bool:
        """Whether :meth:`of_states` can read states of ``profile``."""
        return profile.layout_hash == self.profile.layout_hash

    def of_states(self, x: Tensor) -> Tensor:
        """Observations (..., size) of states (..., nx) of the profile "body", such as a model's predictions."""
        inner = x[..., self.profile.n_carried :]
        if not self._heads:
            return inner
        yaw = self.profile.yaw(x)[..., None]
        return torch.cat([inner, yaw.cos(), yaw.sin()], dim=-1)

    def __call__(self, m: np.ndarray) -> np.ndarray:
        """Observations (..., size), float32, of measurements (..., nm)."""
        x = self.profile.encode(m)[..., self.profile.n_carried :]
        if self._heads:
            yaw = yaw_of(m[..., self.spec.measurement.orientation])[..., None]
            x = np.concatenate([x, np.cos(yaw), np.sin(yaw)], axis=-1)
        return x.astype(np.float32)
