"""How well sensors measure: named presets with figures as data sheets give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.errors import unknown


@dataclass(frozen=True)
class NoiseConfig(Ranged):
    """Errors of a robot's sensors; all zero: none. Standard deviations, unless they are called otherwise.

    Attributes:
        encoder_resolution: smallest step of a joint's position [rad].
        encoder_noise: of a joint's position [rad].
        joint_speed_noise: of a joint's velocity, as a drive derives it from its encoder [rad/s].
        gyro_noise_density: [rad/s/sqrt(Hz)]; the noise of a sample is this times the root of the sample rate.
        gyro_bias: constant error of each axis, drawn once [rad/s].
        gyro_walk: how far that bias wanders [rad/s/sqrt(s)].
        accelerometer_noise_density: [m/s^2/sqrt(Hz)].
        accelerometer_bias: constant error of each axis, drawn once [m/s^2].
        attitude_error: of the IMU's fused orientation about each axis, slowly varying [rad].
        attitude_time: time in which that error changes [s].
        position_noise: of each coordinate of the odometry's position [m].
        speed_noise: of each component of its linear velocity [m/s].
        odometry_scale: constant relative error of distances, drawn once.
        odometry_drift: random walk of the position in the plane [m/sqrt(m) of distance].
        heading_drift: random walk of the heading [rad/sqrt(m) of distance].
    """

    encoder_resolution: float = ranged(0.0, 0.0, 1.0)
    encoder_noise: float = ranged(0.0, 0.0, 1.0)
    joint_speed_noise: float = ranged(0.0, 0.0, 10.0)
    gyro_noise_density: float = ranged(0.0, 0.0, 1.0)
    gyro_bias: float = ranged(0.0, 0.0, 1.0)
    gyro_walk: float = ranged(0.0, 0.0, 1.0)
    accelerometer_noise_density: float = ranged(0.0, 0.0, 10.0)
    accelerometer_bias: float = ranged(0.0, 0.0, 10.0)
    attitude_error: float = ranged(0.0, 0.0, 1.0)
    attitude_time: float = ranged(1.0, 1e-3, 1e3)
    position_noise: float = ranged(0.0, 0.0, 1.0)
    speed_noise: float = ranged(0.0, 0.0, 10.0)
    odometry_scale: float = ranged(0.0, 0.0, 0.5)
    odometry_drift: float = ranged(0.0, 0.0, 1.0)
    heading_drift: float = ranged(0.0, 0.0, 1.0)


# Typical figures, rounded: a 14-bit magnetic encoder on the output shaft (2 pi / 16384 per step, about 0.07 deg of
# noise) whose drive filters its velocity; a MEMS IMU of the better kind (gyroscope 0.014 deg/s/sqrt(Hz), 0.1 deg/s left
# after calibration at rest; accelerometer 175 ug/sqrt(Hz), 20 mg) with a fused attitude good to half a degree while
# moving; visual-inertial odometry, good to about one per cent of the distance.
DATASHEET = NoiseConfig(
    encoder_resolution=3.8e-4,
    encoder_noise=1.2e-3,
    joint_speed_noise=0.05,
    gyro_noise_density=2.4e-4,
    gyro_bias=1.7e-3,
    gyro_walk=5e-5,
    accelerometer_noise_density=1.7e-3,
    accelerometer_bias=0.2,
    attitude_error=8.7e-3,
    position_noise=0.005,
    speed_noise=0.03,
    odometry_scale=0.005,
    odometry_drift=0.01,
    heading_drift=0.005,
)

# A hobbyist's robot: 10-bit potentiometers read by a servo, an uncalibrated IMU of the cheapest kind (2 deg/s of bias,
# 2 deg of attitude), leg odometry that loses a tenth of the distance.
BAD = NoiseConfig(
    encoder_resolution=6.1e-3,
    encoder_noise=6e-3,
    joint_speed_noise=0.3,
    gyro_noise_density=9e-4,
    gyro_bias=0.035,
    gyro_walk=5e-4,
    accelerometer_noise_density=4e-3,
    accelerometer_bias=0.6,
    attitude_error=0.035,
    position_noise=0.02,
    speed_noise=0.1,
    odometry_scale=0.03,
    odometry_drift=0.05,
    heading_drift=0.02,
)

PRESETS: Mapping[str, NoiseConfig] = {"clean": NoiseConfig(), "datasheet": DATASHEET, "bad": BAD}


def noise_preset(name: str) -> NoiseConfig:
    """The noise that is called ``name``: clean, datasheet or bad.

    Raises:
        MbmfError: there is no such preset.
    """
    if name not in PRESETS:
        raise unknown("noise preset", name, PRESETS)
    return PRESETS[name]
