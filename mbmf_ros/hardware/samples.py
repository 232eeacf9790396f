"""From the contents of a robot's messages to samples in the spec's terms: joint order, base_link, SI units.

The readers refuse what is malformed; none of them knows ROS. Quaternions are w first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.hardware.config import HardwareConfig
from mbmf_ros.hardware.rotations import from_rpy, inverse, product, rotate
from mbmf_ros.hardware.settings import ANGLES, VELOCITIES, ImuConfig, PoseConfig
from mbmf_ros.robots.measurement import LARGEST


@dataclass(frozen=True)
class JointSample:
    """The joints at one instant, in the spec's order.

    Attributes:
        position: (joints,) [rad].
        velocity: (joints,) [rad/s]; None where the message had none.
    """

    position: np.ndarray
    velocity: np.ndarray | None


@dataclass(frozen=True)
class ImuSample:
    """Inertial measurement in base_link.

    Attributes:
        orientation: (4,) of base_link in a frame whose z axis is up; None: not measured.
        angular_velocity: (3,) [rad/s].
        specific_force: (3,) [m/s^2], at rest 9.81 upwards; None: not measured.
    """

    orientation: np.ndarray | None
    angular_velocity: np.ndarray
    specific_force: np.ndarray | None


@dataclass(frozen=True)
class PoseSample:
    """Where base_link is, in the odometry frame.

    Attributes:
        position: (3,) [m].
        orientation: (4,).
        velocity: (3,) [m/s] of base_link, expressed in base_link; None: not measured.
    """

    position: np.ndarray
    orientation: np.ndarray
    velocity: np.ndarray | None


class JointReader:
    """Reads joint messages by name.

    Args:
        config: the robot.
    """

    def __init__(self, config: HardwareConfig):
        joints = config.in_order()
        self._names = tuple(joint.name for joint in joints)
        self._others = set(config.joint_states.others)
        self._ratio = np.array([joint.ratio for joint in joints])
        self._offset = np.array([joint.offset for joint in joints])
        self._angle, self._rate = ANGLES[config.units.position], VELOCITIES[config.units.velocity]
        self._derive = config.joint_states.derive_velocity
        self._order: tuple[tuple[str, ...] | None, list[int]] = (None, [])  # the last names, and where ours are

    def read(self, names: Sequence[str], position: Sequence[float], velocity: Sequence[float]) -> JointSample:
        """A sample from a message's contents, in the robot's units; ``velocity`` may be empty.

        Raises:
            MbmfError: sizes differ, a joint is missing, unknown or there twice, or a number is not finite.
        """
        where = self._where(tuple(names))
        if len(position) != len(names) or len(velocity) not in (0, len(names)):
            raise MbmfError(
                f"expected {len(names)} positions for {len(names)} names, and as many velocities or none, "
                f"got {len(position)} and {len(velocity)}"
            )
        q = np.asarray(position, dtype=np.float64)[where]
        dq = np.asarray(velocity, dtype=np.float64)[where] if len(velocity) and not self._derive else None
        _finite("joint positions", q)
        if dq is not None:
            _finite("joint velocities", dq)
            dq = dq * self._rate / self._ratio
        return JointSample((q * self._angle - self._offset) / self._ratio, dq)

    def _where(self, names: tuple[str, ...]) -> list[int]:
        if names == self._order[0]:
            return self._order[1]
        for name in names:
            if name not in self._names and name not in self._others:
                raise unknown("joint", name, {*self._names, *self._others})
        missing = [name for name in self._names if name not in names]
        if missing:
            raise MbmfError(f"joint {missing[0]!r} is missing; the message has {', '.join(names) or 'none'}")
        if len(set(names)) < len(names):
            raise MbmfError("a joint is named twice")
        self._order = names, [names.index(name) for name in self._names]
        return self._order[1]


class ImuReader:
    """Turns an IMU's measurements into base_link.

    Args:
        config: how the IMU is mounted.
    """

    def __init__(self, config: ImuConfig):
        self._mount = from_rpy(config.rpy)

    def read(
        self, orientation: np.ndarray | None, angular_velocity: np.ndarray, specific_force: np.ndarray | None
    ) -> ImuSample:
        """A sample from a message's contents, all in the IMU's frame; None: not measured.

        Raises:
            MbmfError: a number is not finite, or the orientation is no rotation.
        """
        _finite("angular velocity", angular_velocity)
        if specific_force is not None:
            _finite("linear acceleration", specific_force)
            specific_force = rotate(self._mount, specific_force)
        if orientation is not None:
            orientation = product(_unit(orientation), inverse(self._mount))
        return ImuSample(orientation, rotate(self._mount, angular_velocity), specific_force)


class PoseReader:
    """Turns the pose of a tracked frame into that of base_link.

    Args:
        config: where on the robot the tracked frame is.
    """

    def __init__(self, config: PoseConfig):
        self._xyz, self._turn = np.array(config.xyz), from_rpy(config.rpy)
        self._twist, self._frame = config.twist, config.frame

    def read(
        self,
        frame: str,
        position: np.ndarray,
        orientation: np.ndarray,
        linear: np.ndarray | None,
        angular: np.ndarray | None,
    ) -> PoseSample:
        """A sample from a message's contents; ``linear`` and ``angular`` velocity: None for a pose without.

        Raises:
            MbmfError: another frame than agreed, a number that is not finite, or an orientation that is no rotation.
        """
        if self._frame and frame.lstrip("/") != self._frame:
            raise MbmfError(f"expected a pose in frame {self._frame!r}, got {frame!r}")
        _finite("position", position)
        q = product(_unit(orientation), inverse(self._turn))
        velocity = None
        if linear is not None and angular is not None and self._twist != "none":
            _finite("twist", np.concatenate([linear, angular]))
            turn = inverse(q) if self._twist == "odom" else self._turn  # from the twist's frame to base_link
            velocity = rotate(turn, linear) - np.cross(rotate(turn, angular), self._xyz)
        return PoseSample(position - rotate(q, self._xyz), q, velocity)


def _finite(what: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise MbmfError(f"{what}: not all numbers are finite")
    if np.abs(values).max(initial=0.0) > LARGEST:
        raise MbmfError(f"{what}: expected numbers up to {LARGEST:g} in size, got {np.abs(values).max():g}")


def _unit(q: np.ndarray) -> np.ndarray:
    """The quaternion with length 1."""
    _finite("orientation", q)
    norm = float(np.linalg.norm(q))
    if not 0.9 < norm < 1.1:
        raise MbmfError(f"orientation: the quaternion has norm {norm:.3g} instead of 1")
    return q / norm
