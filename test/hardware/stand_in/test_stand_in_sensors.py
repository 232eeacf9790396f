"""Sensors that err as much as they say, and not at all where they are clean."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.stand_in.noise import DATASHEET, PRESETS, NoiseConfig, noise_preset
from mbmf_ros.hardware.stand_in.sensors import (
    DriftingOdometry,
    Encoders,
    InertialSensor,
    mounted,
    product,
    quaternion_of_rpy,
    small_turn,
)
from mbmf_ros.robots import robot
from mbmf_ros.robots.measurement import quaternion_of_yaw, rotation_matrix, yaw_of
from mbmf_ros.robots.sim import start_measurement

SPEC = robot("ant")
CLEAN, NONE = NoiseConfig(), np.array([1.0, 0.0, 0.0, 0.0])
UP = np.array([0.0, 0.0, 9.81])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_quaternions_turn_as_matrices_do():
    a, b = quaternion_of_rpy(0.3, -0.4, 1.2), quaternion_of_rpy(-2.0, 0.1, 0.4)
    np.testing.assert_allclose(rotation_matrix(product(a, b)), rotation_matrix(a) @ rotation_matrix(b), atol=1e-12)
    np.testing.assert_allclose(quaternion_of_rpy(0.0, 0.0, 0.7), quaternion_of_yaw(0.7), atol=1e-12)
    turned = rotation_matrix(quaternion_of_rpy(np.pi, 0.0, np.pi / 2))  # about x first, then about the fixed z
    np.testing.assert_allclose(turned @ [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(small_turn(np.zeros(3)), NONE)


def test_encoders_read_whole_steps_with_the_noise_that_they_have():
    noise = NoiseConfig(encoder_resolution=0.01, encoder_noise=0.02, joint_speed_noise=0.3)
    encoders, true = Encoders(noise, rng()), np.full(8, 0.5)
    read = [encoders.read(true, np.zeros(8)) for _ in range(1000)]
    positions, speeds = np.array([r[0] for r in read]), np.array([r[1] for r in read])
    np.testing.assert_allclose(positions / 0.01, np.round(positions / 0.01), atol=1e-9)
    assert positions.std() == pytest.approx(np.hypot(0.02, 0.01 / np.sqrt(12)), rel=0.05)
    assert speeds.std() == pytest.approx(0.3, rel=0.05)


def test_a_clean_imu_tells_the_truth_in_its_own_frame_and_world():
    mounting = quaternion_of_rpy(np.pi, 0.0, np.pi / 2)  # upside down
    imu = InertialSensor(CLEAN, 0.01, heading_rad=0.8, mounting=mounting, rng=rng())
    base = quaternion_of_yaw(0.3)
    said = imu.read(base, np.array([0.1, 0.2, 0.3]), UP)
    np.testing.assert_allclose(said.linear_acceleration, -UP, atol=1e-9)
    np.testing.assert_allclose(rotation_matrix(mounting) @ said.angular_velocity, [0.1, 0.2, 0.3], atol=1e-12)
    inverse = mounting * [1.0, -1.0, -1.0, -1.0]
    assert yaw_of(product(said.orientation, inverse)) == pytest.approx(0.3 + 0.8)


def test_the_noise_of_a_gyro_grows_with_its_rate():
    spreads = []
    for period_s in (0.01, 0.0025):
        imu = InertialSensor(NoiseConfig(gyro_noise_density=1e-3), period_s, 0.0, NONE, rng())
        said = np.array([imu.read(NONE, np.zeros(3), UP).angular_velocity for _ in range(2000)])
        spreads.append(said.std())
    assert spreads[0] == pytest.approx(1e-3 * np.sqrt(100), rel=0.05)
    assert spreads[1] == pytest.approx(1e-3 * np.sqrt(400), rel=0.05)


def test_biases_stay_for_a_run_and_differ_between_seeds():
    noise = NoiseConfig(gyro_bias=0.02, accelerometer_bias=0.3)
    sensors = [InertialSensor(noise, 0.01, 0.0, NONE, rng(seed)) for seed in (0, 0, 1)]
    first, same, other = ([sensor.read(NONE, np.zeros(3), UP) for _ in range(3)] for sensor in sensors)
    np.testing.assert_array_equal(first[0].angular_velocity, first[2].angular_velocity)
    np.testing.assert_array_equal(first[0].angular_velocity, same[0].angular_velocity)
    assert not np.allclose(first[0].linear_acceleration, other[0].linear_acceleration)


def test_the_attitude_errs_slowly_and_as_much_as_it_says():
    noise = NoiseConfig(attitude_error=0.02, attitude_time=0.5)
    imu = InertialSensor(noise, 0.01, 0.0, NONE, rng())
    error = 2 * np.array([imu.read(NONE, np.zeros(3), UP).orientation[1:] for _ in range(6000)])
    assert error.std() == pytest.approx(0.02, rel=0.2)
    assert np.abs(np.diff(error, axis=0)).mean() < 0.25 * np.abs(error).mean()


def walk(odometry: DriftingOdometry, start: np.ndarray, metres: float = 10.0, steps: int = 200):
    """The last sample after a straight walk along the world's x axis."""
    m = start.copy()
    samples = []
    for _ in range(steps):
        m[0] += metres / steps
        samples.append(odometry.read(m))
    return samples[-1]


def test_clean_odometry_begins_where_it_is_switched_on():
    start = start_measurement(SPEC, pose=(3.0, -2.0, 0.5))
    odometry = DriftingOdometry(SPEC.measurement, CLEAN, start, rng())
    first = odometry.read(start)
    np.testing.assert_allclose(first.position, [0.0, 0.0, SPEC.start_height_m])
    assert yaw_of(first.orientation) == pytest.approx(0.0)
    last = walk(odometry, start)
    np.testing.assert_allclose(last.position[:2], [10 * np.cos(0.5), -10 * np.sin(0.5)], atol=1e-9)
    odometry.jump(np.array([1.0, 0.0, 0.2]))
    moved = walk(odometry, start + np.eye(SPEC.measurement.size)[0] * 10, metres=1e-9)
    np.testing.assert_allclose(moved.position[:2] - last.position[:2], [1.0, 0.0], atol=1e-6)
    assert yaw_of(moved.orientation) == pytest.approx(0.2)


def test_odometry_is_lost_as_fast_as_it_says_however_often_it_is_read():
    noise, start = NoiseConfig(odometry_drift=0.05), start_measurement(SPEC)
    for steps in (10, 100):
        ends = [walk(DriftingOdometry(SPEC.measurement, noise, start, rng(s)), start, 4.0, steps) for s in range(150)]
        errors = np.array([end.position[:2] for end in ends]) - [4.0, 0.0]
        assert errors.std() == pytest.approx(0.05 * np.sqrt(4.0), rel=0.15)
    standing = DriftingOdometry(SPEC.measurement, noise, start, rng())
    np.testing.assert_array_equal(walk(standing, start, 0.0).position[:2], 0.0)


def test_a_tracked_frame_elsewhere_on_the_base():
    start = start_measurement(SPEC)
    start[SPEC.measurement.linear_velocity] = (1.0, 0.0, 0.0)
    start[SPEC.measurement.angular_velocity] = (0.0, 0.0, 2.0)
    odometry = DriftingOdometry(SPEC.measurement, CLEAN, start, rng())
    odometry.jump(np.array([0.0, 0.0, np.pi / 2]))
    base, at, turned = odometry.read(start), np.array([0.2, 0.0, 0.1]), quaternion_of_yaw(np.pi / 2)
    said = mounted(base, at, turned, "odom")
    np.testing.assert_allclose(said.position, [0.0, 0.2, SPEC.start_height_m + 0.1], atol=1e-9)
    assert abs(yaw_of(said.orientation)) == pytest.approx(np.pi)
    np.testing.assert_allclose(said.linear_velocity, [-0.4, 1.0, 0.0], atol=1e-9)  # it swings about the base
    np.testing.assert_allclose(mounted(base, at, turned, "base").linear_velocity, [0.4, -1.0, 0.0], atol=1e-9)
    assert not mounted(base, at, turned, "none").linear_velocity.any()


def test_the_presets_get_worse_in_everything():
    clean, datasheet, bad = (dataclasses.astuple(PRESETS[name]) for name in ("clean", "datasheet", "bad"))
    names = [field.name for field in dataclasses.fields(NoiseConfig)]
    for name, a, b, c in zip(names, clean, datasheet, bad, strict=True):
        assert name == "attitude_time" or 0 == a < b < c, name
    assert noise_preset("datasheet") is DATASHEET
    with pytest.raises(MbmfError, match="did you mean 'datasheet'"):
        noise_preset("data_sheet")
