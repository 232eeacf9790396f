"""Sensors that err: encoders, an IMU with fused attitude, odometry that drifts. Seeded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbmf_ros.hardware.stand_in.noise import NoiseConfig
from mbmf_ros.robots.measurement import MeasurementLayout, quaternion_of_yaw, rotation_matrix, yaw_of


@dataclass(frozen=True)
class Inertial:
    """What an IMU says.

    Attributes:
        orientation: unit quaternion, w first, (4,); sensor frame to the IMU's own world, whose heading is its own.
        angular_velocity: [rad/s], sensor frame, (3,).
        linear_acceleration: [m/s^2], sensor frame, (3,); upwards 9.81 at rest.
    """

    orientation: np.ndarray
    angular_velocity: np.ndarray
    linear_acceleration: np.ndarray


@dataclass(frozen=True)
class Odometry:
    """What odometry says: the base's pose in a frame that began where the robot was switched on.

    Attributes:
        position: [m], (3,).
        orientation: unit quaternion, w first, (4,).
        linear_velocity, angular_velocity: [m/s], [rad/s], base frame unless said otherwise, (3,) each.
    """

    position: np.ndarray
    orientation: np.ndarray
    linear_velocity: np.ndarray
    angular_velocity: np.ndarray


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product (4,) of quaternions ``a`` and ``b``, w first: the turn ``b``, then ``a``."""
    w, v = a[0] * b[0] - a[1:] @ b[1:], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])
    return np.concatenate([[w], v])


def small_turn(rotation: np.ndarray) -> np.ndarray:
    """Quaternion (4,), w first, of a rotation vector [rad] (3,)."""
    angle = float(np.linalg.norm(rotation))
    return np.concatenate([[np.cos(angle / 2)], 0.5 * np.sinc(angle / (2 * np.pi)) * rotation])


def quaternion_of_rpy(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Quaternion (4,), w first, of turns about the fixed x, y and z axes, one after the other [rad], as in a URDF."""
    x, y, z = (small_turn(angle * axis) for angle, axis in zip((roll, pitch, yaw), np.eye(3), strict=True))
    return product(z, product(y, x))


def mounted(odometry: Odometry, position: np.ndarray, orientation: np.ndarray, twist: str) -> Odometry:
    """What is said of a frame at ``position`` [m] (3,) and ``orientation`` (4,) on the base.

    Args:
        odometry: of the base.
        position, orientation: of the frame that is told about.
        twist: frame that velocities are told in: base (the told frame itself), odom, or none: they are zero.
    """
    rotation = rotation_matrix(odometry.orientation)
    angular = odometry.angular_velocity
    linear = odometry.linear_velocity + np.cross(angular, position)
    if twist == "odom":
        linear, angular = rotation @ linear, rotation @ angular
    elif twist == "base":  # of the frame that is told about, as child_frame_id says
        turn = rotation_matrix(orientation).T
        linear, angular = turn @ linear, turn @ angular
    else:
        linear, angular = np.zeros(3), np.zeros(3)
    return Odometry(
        odometry.position + rotation @ position, product(odometry.orientation, orientation), linear, angular
    )


class Encoders:
    """Reads joints.

    Args:
        noise: how well.
        rng: of its errors.
    """

    def __init__(self, noise: NoiseConfig, rng: np.random.Generator):
        self._noise, self._rng = noise, rng

    def read(self, position: np.ndarray, velocity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position [rad] and velocity [rad/s] as read, (joints,) each, of the true ones."""
        noise = self._noise
        read = position + noise.encoder_noise * self._rng.standard_normal(position.shape)
        if noise.encoder_resolution > 0:
            read = np.round(read / noise.encoder_resolution) * noise.encoder_resolution
        return read, velocity + noise.joint_speed_noise * self._rng.standard_normal(velocity.shape)


class InertialSensor:
    """An IMU with a fused attitude.

    Args:
        noise: how well it measures.
        period_s: between two samples [s].
        heading_rad: of the robot in the IMU's own world when its heading in ours is zero: north is not where it starts.
        mounting: the sensor's orientation on the base, a unit quaternion, w first, (4,).
        rng: of its errors.
    """

    def __init__(
        self, noise: NoiseConfig, period_s: float, heading_rad: float, mounting: np.ndarray, rng: np.random.Generator
    ):
        self._noise, self._period_s, self._rng = noise, period_s, rng
        self._heading = quaternion_of_yaw(heading_rad)
        self._mounting = mounting
        self._inverse = mounting * np.array([1.0, -1.0, -1.0, -1.0])
        self._gyro_bias = noise.gyro_bias * rng.standard_normal(3)
        self._force_bias = noise.accelerometer_bias * rng.standard_normal(3)
        self._tilt = noise.attitude_error * rng.standard_normal(3)

    def read(self, orientation: np.ndarray, angular_velocity: np.ndarray, specific_force: np.ndarray) -> Inertial:
        """A sample: of the base's true orientation (4,), and of its angular velocity and specific force (3,) in it."""
        noise, rng, period_s = self._noise, self._rng, self._period_s
        self._gyro_bias = self._gyro_bias + noise.gyro_walk * np.sqrt(period_s) * rng.standard_normal(3)
        keep = np.exp(-period_s / noise.attitude_time)  # a first-order process of constant spread
        self._tilt = keep * self._tilt + np.sqrt(1 - keep**2) * noise.attitude_error * rng.standard_normal(3)
        per_sample = 1 / np.sqrt(period_s)
        rate = self._turned(angular_velocity) + self._gyro_bias
        force = self._turned(specific_force) + self._force_bias
        return Inertial(
            product(self._heading, product(product(orientation, small_turn(self._tilt)), self._mounting)),
            rate + noise.gyro_noise_density * per_sample * rng.standard_normal(3),
            force + noise.accelerometer_noise_density * per_sample * rng.standard_normal(3),
        )

    def _turned(self, vector: np.ndarray) -> np.ndarray:
        """A vector of the base's frame in the sensor's."""
        pure = np.concatenate([[0.0], vector])
        return product(product(self._inverse, pure), self._mounting)[1:]


class DriftingOdometry:
    """Adds up displacements, each a little wrong, so that it is lost slowly.

    Args:
        layout: of the true measurements that it is given.
        noise: how well it measures.
        start: the true measurement (nm,) where it is switched on, and takes its frame from.
        rng: of its errors.
    """

    def __init__(self, layout: MeasurementLayout, noise: NoiseConfig, start: np.ndarray, rng: np.random.Generator):
        self._layout, self._noise, self._rng = layout, noise, rng
        self._scale = 1 + noise.odometry_scale * rng.standard_normal()
        self._heading_error = -float(yaw_of(start[layout.orientation]))
        self._last = start[:2].copy()
        self._position = np.zeros(2)

    def jump(self, by: np.ndarray) -> None:
        """Move where it believes to be by (x [m], y [m], heading [rad]), (3,)."""
        self._position = self._position + by[:2]
        self._heading_error += float(by[2])

    def read(self, m: np.ndarray) -> Odometry:
        """A sample, of the true measurement ``m`` (nm,)."""
        noise, rng, layout = self._noise, self._rng, self._layout
        moved = m[:2] - self._last
        self._last = m[:2].copy()
        root = np.sqrt(np.linalg.norm(moved))
        self._heading_error += noise.heading_drift * root * rng.standard_normal()
        cos, sin = np.cos(self._heading_error), np.sin(self._heading_error)
        turned = np.array([cos * moved[0] - sin * moved[1], sin * moved[0] + cos * moved[1]])
        self._position = self._position + self._scale * turned + noise.odometry_drift * root * rng.standard_normal(2)
        position = np.array([*self._position, m[2]]) + noise.position_noise * rng.standard_normal(3)
        orientation = product(quaternion_of_yaw(self._heading_error), m[layout.orientation])
        return Odometry(
            position,
            orientation / np.linalg.norm(orientation),
            m[layout.linear_velocity] + noise.speed_noise * rng.standard_normal(3),
            m[layout.angular_velocity].copy(),
        )
