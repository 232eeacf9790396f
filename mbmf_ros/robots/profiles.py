"""State profiles: how a measurement becomes the state vector ``x`` that a dynamics model and a planner work on.

A state is ``[carried | inner]``. The network reads ``inner`` and the action; it predicts the change of ``inner`` and,
where there is a carried part, the displacement in the robot's own frame, from which the carried planar pose follows
analytically. ``body`` carries (x, y, yaw): what the robot does next does not depend on where it is or where it faces.
``paper`` carries nothing: the network reads and predicts the whole world-frame vector.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from mbmf_ros.robots.measurement import MeasurementLayout, rotation_matrix, yaw_of

if TYPE_CHECKING:  # nodes that only measure start seconds faster without PyTorch
    from torch import Tensor

    from mbmf_ros.robots.sim import WorldFrame


class StateProfile(ABC):
    """One way to build a state vector.

    Attributes:
        name: ``body`` or ``paper``.
        slices: named parts of the state, in order; they cover it without gaps.
        n_carried: leading numbers of the state that are integrated, not learnt (0, 1 or 3).
    """

    name: str
    n_carried: int

    def __init__(self, slices: dict[str, slice]):
        self.slices = slices
        self.nx = max(part.stop for part in slices.values())

    @property
    def n_inner(self) -> int:
        """Numbers of the state that the network reads and whose change it predicts."""
        return self.nx - self.n_carried

    @property
    def n_outputs(self) -> int:
        """Numbers that the network predicts: the change of the inner part, then the displacement."""
        return self.n_inner + self.n_carried

    @property
    def layout_hash(self) -> str:
        """Identifies profile and layout; a model and a robot fit only when it is the same."""
        text = json.dumps([self.name, self.n_carried, [[k, s.start, s.stop] for k, s in self.slices.items()]])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @abstractmethod
    def encode(self, m: np.ndarray) -> np.ndarray:
        """States (..., nx), float64, of measurements (..., nm)."""

    @abstractmethod
    def unroll(self, x0: Tensor, inner: Tensor, displacement: Tensor) -> Tensor:
        """States (K, H + 1, nx) from inner parts (K, H + 1, n_inner) and displacements (K, H, n_carried)."""

    @abstractmethod
    def targets(self, x: np.ndarray, x_next: np.ndarray) -> np.ndarray:
        """What the network should predict, (..., n_outputs), for the transition from ``x`` to ``x_next`` (..., nx)."""

    def xy(self, x: Tensor) -> Tensor:
        """Position [m] of the base in the odometry frame, (..., 2)."""
        return x[..., 0:2]

    @abstractmethod
    def yaw(self, x: Tensor) -> Tensor:
        """Heading [rad], (...,)."""

    def height(self, x: Tensor) -> Tensor:
        """Height [m] of the base, (...,)."""
        return x[..., self.slices["height"].start]

    @abstractmethod
    def up(self, x: Tensor) -> Tensor:
        """Cosine of the tilt, (...,): 1 upright, 0 on its side, -1 upside down."""

    def joint_velocity(self, x: Tensor) -> Tensor:
        """Joint velocities [rad/s], (..., joints)."""
        return x[..., self.slices["joint_velocity"]]


def consecutive(sizes: dict[str, int]) -> dict[str, slice]:
    """Slices of the given sizes, one after the other."""
    slices, start = {}, 0
    for name, size in sizes.items():
        slices[name] = slice(start, start + size)
        start += size
    return slices


class PoseCarrying(StateProfile):
    """Profiles that carry the planar pose (x, y, yaw): what a robot does next does not depend on it."""

    n_carried = 3

    def targets(self, x: np.ndarray, x_next: np.ndarray) -> np.ndarray:
        change = x_next - x
        yaw = x[..., 2]
        cos, sin = np.cos(yaw), np.sin(yaw)
        forward = cos * change[..., 0] + sin * change[..., 1]
        left = -sin * change[..., 0] + cos * change[..., 1]
        turn = (change[..., 2] + np.pi) % (2 * np.pi) - np.pi
        return np.concatenate([change[..., 3:], np.stack([forward, left, turn], axis=-1)], axis=-1)

    def unroll(self, x0: Tensor, inner: Tensor, displacement: Tensor) -> Tensor:
        x = inner.new_empty((*inner.shape[:-1], self.nx))
        x[..., 3:] = inner
        x[:, 0, :3] = x0[:, :3]
        yaw = x0[:, 2:3] + displacement[..., 2].cumsum(1)  # (K, H), after each step
        x[:, 1:, 2] = yaw
        before = x[:, :-1, 2].clone()  # a view would be lost to gradients with the next assignment
        cos, sin = before.cos(), before.sin()
        forward, left = displacement[..., 0], displacement[..., 1]
        x[:, 1:, 0] = x0[:, 0:1] + (cos * forward - sin * left).cumsum(1)
        x[:, 1:, 1] = x0[:, 1:2] + (sin * forward + cos * left).cumsum(1)
        return x

    def yaw(self, x: Tensor) -> Tensor:
        return x[..., 2]


class BodyProfile(PoseCarrying):
    """Yaw-invariant state of a floating-base robot: what encoders, an IMU and odometry give.

    ``[x, y, yaw | height, up direction in the base frame (3), joint positions, linear velocity (3), angular velocity
    (3), joint velocities]``, velocities in the base frame.
    """

    name = "body"

    def __init__(self, measurement: MeasurementLayout):
        self.measurement = measurement
        joints = measurement.joints
        super().__init__(
            consecutive(
                {
                    "xy": 2,
                    "yaw": 1,
                    "height": 1,
                    "up": 3,
                    "joint_position": joints,
                    "linear_velocity": 3,
                    "angular_velocity": 3,
                    "joint_velocity": joints,
                }
            )
        )

    def encode(self, m: np.ndarray) -> np.ndarray:
        layout = self.measurement
        orientation = m[..., layout.orientation]
        up = rotation_matrix(orientation)[..., 2, :]  # the odometry frame's z axis in the base frame
        position = m[..., layout.position]
        return np.concatenate(
            [
                position[..., :2],
                yaw_of(orientation)[..., None],
                position[..., 2:],
                up,
                m[..., layout.joint_position],
                m[..., layout.linear_velocity],
                m[..., layout.angular_velocity],
                m[..., layout.joint_velocity],
            ],
            axis=-1,
        )

    def up(self, x: Tensor) -> Tensor:
        return x[..., self.slices["up"].stop - 1]


class PaperProfile(StateProfile):
    """The paper's world-frame state of a floating-base robot (the ant's 41 numbers).

    ``[x, y, height, orientation quaternion (4), joint positions, linear velocity in the world frame (3), angular
    velocity in the base frame (3), joint velocities, the base's rotation matrix (9), centre of mass (3)]``, as the
    environments of the paper's code compose it.

    Args:
        measurement: layout of the robot's measurements.
        world_frame: see :class:`mbmf_ros.robots.sim.WorldFrame`.
    """

    name = "paper"
    n_carried = 0

    def __init__(self, measurement: MeasurementLayout, world_frame: WorldFrame):
        self.measurement = measurement
        self.world_frame = world_frame
        joints = measurement.joints
        super().__init__(
            consecutive(
                {
                    "xy": 2,
                    "height": 1,
                    "orientation": 4,
                    "joint_position": joints,
                    "linear_velocity": 3,
                    "angular_velocity": 3,
                    "joint_velocity": joints,
                    "rotation": 9,
                    "center_of_mass": 3,
                }
            )
        )

    def encode(self, m: np.ndarray) -> np.ndarray:
        layout = self.measurement
        rotation = rotation_matrix(m[..., layout.orientation])
        world_velocity = np.einsum("...ij,...j->...i", rotation, m[..., layout.linear_velocity])
        flat = m.reshape(-1, m.shape[-1])
        center_of_mass = self.world_frame(flat)[2][:, :3].reshape(*m.shape[:-1], 3)
        return np.concatenate(
            [
                m[..., layout.position],
                m[..., layout.orientation],
                m[..., layout.joint_position],
                world_velocity,
                m[..., layout.angular_velocity],
                m[..., layout.joint_velocity],
                rotation.reshape(*m.shape[:-1], 9),
                center_of_mass,
            ],
            axis=-1,
        )

    def targets(self, x: np.ndarray, x_next: np.ndarray) -> np.ndarray:
        return x_next - x

    def unroll(self, x0: Tensor, inner: Tensor, displacement: Tensor) -> Tensor:
        return inner

    def yaw(self, x: Tensor) -> Tensor:
        q = x[..., self.slices["orientation"]]
        return 2 * q[..., 3].atan2(q[..., 0])

    def up(self, x: Tensor) -> Tensor:
        return x[..., self.slices["rotation"].stop - 1]
