"""What a policy sees: what the learned model sees too, and the heading."""

from __future__ import annotations

import hashlib

import numpy as np

from mbmf_ros.robots import RobotSpec, profile
from mbmf_ros.robots.measurement import yaw_of


class Observation:
    """Turns measurements into observations: everything that encoders, an IMU and odometry give, but where the robot is.

    ``[inner part of the state profile "body" | cos yaw, sin yaw]``; a robot in the x-z plane has no heading. Rewards
    for moving along x depend on the heading, so unlike the dynamics a policy has to see it.

    Args:
        spec: the robot.
    """

    def __init__(self, spec: RobotSpec):
        self.spec = spec
        self._profile = profile(spec)
        self._heads = spec.root != "sagittal"
        self.size = self._profile.n_inner + 2 * self._heads

    @property
    def layout_hash(self) -> str:
        """Identifies robot and layout; a policy and a robot fit only when it is the same."""
        text = f"{self._profile.layout_hash}-{self._heads}-{self.spec.name}-{self.spec.nu}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __call__(self, m: np.ndarray) -> np.ndarray:
        """Observations (..., size), float32, of measurements (..., nm)."""
        x = self._profile.encode(m)[..., self._profile.n_carried :]
        if self._heads:
            yaw = yaw_of(m[..., self.spec.measurement.orientation])[..., None]
            x = np.concatenate([x, np.cos(yaw), np.sin(yaw)], axis=-1)
        return x.astype(np.float32)
