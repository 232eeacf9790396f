"""What a robot's sensors say at one instant: the raw record that crosses topics, is logged and is encoded."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

LARGEST = 1e6
"""No number in SI units that is measured of a robot is as large; arithmetic with larger ones may overflow."""

FASTEST = 1e3
"""No robot's velocity, linear [m/s] or angular, of base and joints [rad/s], is larger."""


@dataclass(frozen=True)
class MeasurementLayout:
    """Named slices of a flat measurement vector ``m`` of ``size`` float64 numbers.

    Position [m] and orientation (unit quaternion, w first) are those of ``base_link`` in the odometry frame; linear
    [m/s] and angular [rad/s] velocity are those of ``base_link`` expressed in ``base_link`` (REP 103, REP 105). Joint
    positions [rad] and velocities [rad/s] follow the spec's joint order.
    """

    joints: int

    position = slice(0, 3)
    orientation = slice(3, 7)
    linear_velocity = slice(7, 10)
    angular_velocity = slice(10, 13)

    @property
    def joint_position(self) -> slice:
        return slice(13, 13 + self.joints)

    @property
    def joint_velocity(self) -> slice:
        return slice(13 + self.joints, 13 + 2 * self.joints)

    @property
    def size(self) -> int:
        return 13 + 2 * self.joints

    def problem(self, m: np.ndarray) -> str | None:
        """Why ``m`` is no usable measurement, or None.

        Of a wrong size, not finite, with a number that no robot has, or with a quaternion that is no rotation.
        """
        if m.shape != (self.size,):
            return f"expected {self.size} numbers ({self.joints} joints), got shape {m.shape}"
        if not np.isfinite(m).all():
            return "not all numbers are finite"
        if not (usual := plausible(m)).all():
            return self._excess(m, int(np.argmin(usual)))
        norm = float(np.linalg.norm(m[self.orientation]))
        if not 0.9 < norm < 1.1:
            return f"the orientation quaternion has norm {norm:.3g} instead of 1"
        return None

    def _excess(self, m: np.ndarray, index: int) -> str:
        """What is wrong with a number that no robot has."""
        name, part = next((name, part) for name, part in self._parts() if part.start <= index < part.stop)
        limit = f"at most {FASTEST:g} (m/s, rad/s)" if name.endswith("velocity") else f"less than {LARGEST:g}"
        return f"{name}[{index - part.start}]: expected {limit} in size, got {m[index]:g}; is that sensor broken?"

    def _parts(self) -> list[tuple[str, slice]]:
        names = ("position", "orientation", "linear_velocity", "angular_velocity", "joint_position", "joint_velocity")
        return [(name, getattr(self, name)) for name in names]


def plausible(m: np.ndarray) -> np.ndarray:
    """Which numbers of measurements ``m`` (..., nm) a robot may have, bool of the same shape; NaN is none."""
    size = np.abs(m)
    return (size < LARGEST) & (size <= _fastest(m.shape[-1]))


@functools.cache
def _fastest(size: int) -> np.ndarray:
    """Limits (size,) of the velocities in measurements of ``size`` numbers."""
    layout = MeasurementLayout((size - 13) // 2)
    limits = np.full(size, np.inf)
    for part in (layout.linear_velocity, layout.angular_velocity, layout.joint_velocity):
        limits[part] = FASTEST
    return limits


def rotation_matrix(q: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3), base frame to odometry frame, of unit quaternions ``q`` (..., 4), w first."""
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def up_of(q: np.ndarray) -> np.ndarray:
    """Cosine of the tilt (...,), that is the base's vertical axis along the world's, of quaternions ``q`` (..., 4)."""
    w, x, y, z = np.moveaxis(q, -1, 0) ** 2
    return (w - x - y + z) / (w + x + y + z)


def yaw_of(q: np.ndarray) -> np.ndarray:
    """Heading [rad] (...,) in [-pi, pi) of unit quaternions ``q`` (..., 4), w first.

    The twist about the vertical of the swing-twist decomposition: unlike an Euler angle it treats all horizontal
    directions of a tilted base alike, and it loses heading only upside down.
    """
    yaw = 2 * np.arctan2(q[..., 3], q[..., 0])
    return (yaw + np.pi) % (2 * np.pi) - np.pi


def quaternion_of_yaw(yaw: float | np.ndarray) -> np.ndarray:
    """Unit quaternions (4, ...), w first, of turns by ``yaw`` [rad] about the vertical."""
    zero = np.zeros(np.shape(yaw))
    return np.array([np.cos(yaw / 2), zero, zero, np.sin(yaw / 2)])
