"""State profiles of robots that live in a plane: see :mod:`mbmf_ros.robots.profiles`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from mbmf_ros.robots.measurement import MeasurementLayout, rotation_matrix, yaw_of
from mbmf_ros.robots.profiles import PoseCarrying, StateProfile, consecutive

if TYPE_CHECKING:
    from torch import Tensor

    from mbmf_ros.robots.sim import WorldFrame


class SagittalBodyProfile(StateProfile):
    """State of a robot in the x-z plane that does not depend on where it is.

    ``[x | height, up direction in the base frame (x, z), joint positions, velocity along the horizontal and the
    vertical, pitch rate, joint velocities]``.
    """

    name = "body"
    n_carried = 1

    def __init__(self, measurement: MeasurementLayout):
        self.measurement = measurement
        joints = measurement.joints
        sizes = {"x": 1, "height": 1, "up": 2, "joint_position": joints}
        sizes |= {"linear_velocity": 2, "angular_velocity": 1, "joint_velocity": joints}
        super().__init__(consecutive(sizes))

    def encode(self, m: np.ndarray) -> np.ndarray:
        layout = self.measurement
        rotation = rotation_matrix(m[..., layout.orientation])
        world_velocity = np.einsum("...ij,...j->...i", rotation, m[..., layout.linear_velocity])
        return np.concatenate(
            [
                m[..., 0:1],
                m[..., 2:3],
                rotation[..., 2, ::2],
                m[..., layout.joint_position],
                world_velocity[..., ::2],
                m[..., layout.angular_velocity.start + 1 : layout.angular_velocity.start + 2],
                m[..., layout.joint_velocity],
            ],
            axis=-1,
        )

    def targets(self, x: np.ndarray, x_next: np.ndarray) -> np.ndarray:
        change = x_next - x
        return np.concatenate([change[..., 1:], change[..., :1]], axis=-1)

    def unroll(self, x0: Tensor, inner: Tensor, displacement: Tensor) -> Tensor:
        x = inner.new_empty((*inner.shape[:-1], self.nx))
        x[..., 1:] = inner
        x[:, 0, 0] = x0[:, 0]
        x[:, 1:, 0] = x0[:, 0:1] + displacement[..., 0].cumsum(1)
        return x

    def xy(self, x: Tensor) -> Tensor:
        return x[..., :1] * x.new_tensor([1.0, 0.0])

    def yaw(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[:-1])

    def up(self, x: Tensor) -> Tensor:
        return x[..., self.slices["up"].stop - 1]


class HorizontalBodyProfile(PoseCarrying):
    """State of a robot in the x-y plane that depends neither on where it is nor on where it faces.

    ``[x, y, yaw | joint positions, velocity along and across the base, yaw rate, joint velocities]``.
    """

    name = "body"

    def __init__(self, measurement: MeasurementLayout):
        self.measurement = measurement
        joints = measurement.joints
        sizes = {"xy": 2, "yaw": 1, "joint_position": joints}
        sizes |= {"linear_velocity": 2, "angular_velocity": 1, "joint_velocity": joints}
        super().__init__(consecutive(sizes))

    def encode(self, m: np.ndarray) -> np.ndarray:
        layout = self.measurement
        return np.concatenate(
            [
                m[..., 0:2],
                yaw_of(m[..., layout.orientation])[..., None],
                m[..., layout.joint_position],
                m[..., layout.linear_velocity][..., :2],
                m[..., layout.angular_velocity][..., 2:],
                m[..., layout.joint_velocity],
            ],
            axis=-1,
        )

    def height(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[:-1])

    def up(self, x: Tensor) -> Tensor:
        return x.new_ones(x.shape[:-1])


class PlanarPaperProfile(StateProfile):
    """The paper's world-frame state of a planar robot: swimmer 16, hopper 17, half-cheetah 23 numbers.

    Generalised positions (in the x-z plane without x), generalised velocities, position and velocity of the centre of
    mass.

    Args:
        measurement: layout of the robot's measurements.
        world_frame: see :class:`mbmf_ros.robots.sim.WorldFrame`.
        sagittal: whether the robot lives in the x-z plane (else in the x-y plane).
    """

    name = "paper"
    n_carried = 0

    def __init__(self, measurement: MeasurementLayout, world_frame: WorldFrame, sagittal: bool):
        self.measurement = measurement
        self.world_frame = world_frame
        self.sagittal = sagittal
        joints = measurement.joints
        sizes = {"height": 1, "pitch": 1} if sagittal else {"root_xy": 2, "root_yaw": 1}
        sizes |= {"joint_position": joints, "root_velocity": 3, "joint_velocity": joints}
        super().__init__(consecutive({**sizes, "center_of_mass": 3, "center_velocity": 3}))
        self._angle = self.slices["pitch" if sagittal else "root_yaw"].start

    def encode(self, m: np.ndarray) -> np.ndarray:
        flat = m.reshape(-1, m.shape[-1])
        qpos, qvel, center = self.world_frame(flat)
        x = np.concatenate([qpos[:, 1:] if self.sagittal else qpos, qvel, center], axis=-1)
        x[:, self._angle] = (x[:, self._angle] + np.pi) % (2 * np.pi) - np.pi
        return x.reshape(*m.shape[:-1], self.nx)

    def targets(self, x: np.ndarray, x_next: np.ndarray) -> np.ndarray:
        change = x_next - x
        change[..., self._angle] = (change[..., self._angle] + np.pi) % (2 * np.pi) - np.pi
        return change

    def unroll(self, x0: Tensor, inner: Tensor, displacement: Tensor) -> Tensor:
        return inner

    def xy(self, x: Tensor) -> Tensor:
        start = self.slices["center_of_mass"].start
        return x[..., start : start + 2]

    def yaw(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[:-1]) if self.sagittal else x[..., self._angle]

    def height(self, x: Tensor) -> Tensor:
        return x[..., self.slices["height"].start] + self._origin_m if self.sagittal else x.new_zeros(x.shape[:-1])

    @functools.cached_property
    def _origin_m(self) -> float:
        """Height [m] of the base where the coordinate of its slide is zero."""
        m = np.zeros((1, self.measurement.size))
        m[:, 3] = 1.0
        return -float(self.world_frame(m)[0][0, 1])

    def up(self, x: Tensor) -> Tensor:
        return x[..., self._angle].cos() if self.sagittal else x.new_ones(x.shape[:-1])
