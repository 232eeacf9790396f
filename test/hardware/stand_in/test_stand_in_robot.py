"""The stand-in as a whole: wiring, delay, timeout, rates, faults, seeds."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.config import load_hardware
from mbmf_ros.hardware.stand_in.circuitry import circuitry_of
from mbmf_ros.hardware.stand_in.config import SENSORS, FaultConfig, StandInConfig
from mbmf_ros.hardware.stand_in.robot import Sample, StandIn
from mbmf_ros.robots.sim import Simulation
from mbmf_ros.shared_files import shared_file

HARDWARE = load_hardware(shared_file("config", "hardware", "ant_stand_in.yaml"))
SPEC, LAYOUT = HARDWARE.spec, HARDWARE.spec.measurement
CLEAN = StandInConfig(noise="clean", start_noise=0.0, actuator_delay=0.0, clock_offset=0.0, clock_drift=0.0)


def stand_in(hardware=HARDWARE, **changes) -> StandIn:
    return StandIn(hardware.spec, circuitry_of(hardware), dataclasses.replace(CLEAN, **changes))


def torques(hardware, action: np.ndarray) -> np.ndarray:
    """The motors' torques [N m] that an action (nu,) of the spec's order means, by the file's own words."""
    named = {
        hardware.joints[j].name: (hardware.joints[j], a) for j, a in zip(SPEC.actuated_joints, action, strict=True)
    }
    return np.array([j.sign * j.scale * a / j.gear for j, a in (named[name] for name in hardware.command.order)])


def last(samples: list[Sample], sensor: str) -> Any:
    return [sample for sample in samples if sample.sensor == sensor][-1]


def test_what_reaches_the_joints_is_the_action_that_was_meant():
    one = stand_in()
    twin = Simulation(one.spec)
    twin.reset(one.truth)
    rng = np.random.default_rng(0)
    for _ in range(20):
        action = rng.uniform(-1, 1, SPEC.nu)
        one.command(torques(HARDWARE, action), one.now_s)
        one.advance(one.now_s + SPEC.dt_s)
        twin.step(action)
    np.testing.assert_allclose(one.truth, twin.measure(), atol=1e-9)


def test_what_the_sensors_say_is_in_the_robots_own_words():
    hardware = dataclasses.replace(
        HARDWARE, units=dataclasses.replace(HARDWARE.units, position="deg", velocity="rpm", effort="mN m")
    )
    one = stand_in(hardware)
    action = np.linspace(-0.5, 0.5, SPEC.nu)
    one.command(1e3 * torques(hardware, action), 0.0)
    said = last(one.advance(0.05), "joint_states").value
    names = one.circuitry.names
    assert set(names) == {joint.name for joint in hardware.joints.values()}
    for index, joint in enumerate(hardware.in_order()):
        at = names.index(joint.name)
        position, velocity = one.truth[LAYOUT.joint_position][index], one.truth[LAYOUT.joint_velocity][index]
        assert np.radians(said.position[at]) == pytest.approx(joint.sign * joint.gear * position + joint.offset)
        assert said.velocity[at] * np.pi / 30 == pytest.approx(joint.sign * joint.gear * velocity)
        assert 1e-3 * said.effort[at] == pytest.approx(joint.sign * action[index] * 150.0 / joint.gear)


@pytest.mark.parametrize("delay_s", [0.005, 0.02])
def test_a_command_takes_effect_after_the_delay_and_not_before(delay_s):
    one = stand_in(actuator_delay=delay_s)
    one.advance(0.1)
    one.command(torques(HARDWARE, np.ones(SPEC.nu)), 0.1)
    one.advance(0.1 + delay_s)
    assert not one.simulation.joint_torque().any()
    one.advance(0.1 + delay_s + one.spec.physics_dt_s)
    np.testing.assert_allclose(np.abs(one.simulation.joint_torque()), 150.0)


def test_the_drives_let_go_after_their_timeout():
    one = stand_in(driver_timeout=0.1)
    one.command(torques(HARDWARE, np.ones(SPEC.nu)), 0.0)
    one.advance(0.0975)
    assert one.driven
    one.advance(0.11)
    assert not one.driven
    assert not one.simulation.joint_torque().any()


def test_each_sensor_has_its_rate_and_its_instants():
    slow = dataclasses.replace(HARDWARE, pose=dataclasses.replace(HARDWARE.pose, rate=50.0))
    one = stand_in(slow, clock_offset=100.0)
    samples = one.advance(1.0)
    stamps = {sensor: [s.stamp_ns for s in samples if s.sensor == sensor] for sensor in SENSORS}
    assert [len(stamps[sensor]) for sensor in SENSORS] == [100, 100, 50]
    assert {step for sensor in SENSORS for step in np.diff(stamps[sensor])} == {10_000_000, 20_000_000}
    assert not set(stamps["imu"]) & set(stamps["joint_states"])
    assert 100.0 < 1e-9 * stamps["imu"][0] < 100.02


def test_lost_messages_are_counted_and_as_many_as_said():
    one = stand_in(packet_loss=0.1)
    said = 0
    for _ in range(200):
        one.command(np.zeros(SPEC.nu), one.now_s)
        said += len(one.advance(one.now_s + SPEC.dt_s))
    lost = sum(one.counts[f"{sensor} lost"] for sensor in SENSORS)
    assert said + lost == 3000
    assert 0.08 < lost / 3000 < 0.12
    assert 8 < one.counts["command lost"] < 34


def test_a_seed_decides_everything():
    def walk(seed: int) -> np.ndarray:
        one = stand_in(noise="bad", packet_loss=0.2, seed=seed, start_noise=0.05)
        rng, values = np.random.default_rng(0), []
        for _ in range(10):
            one.command(torques(HARDWARE, rng.uniform(-1, 1, SPEC.nu)), one.now_s)
            for sample in one.advance(one.now_s + SPEC.dt_s):
                values.append(np.concatenate([np.ravel(part) for part in dataclasses.astuple(sample.value)]))
        return np.concatenate(values)

    np.testing.assert_array_equal(walk(3), walk(3))
    assert not np.array_equal(walk(3)[:50], walk(4)[:50])


def test_a_command_that_is_none_is_refused_and_counted():
    one = stand_in()
    with pytest.raises(MbmfError, match="expected 8 numbers, got 3"):
        one.command(np.zeros(3), 0.0)
    with pytest.raises(MbmfError, match="not all numbers are finite"):
        one.command(np.full(SPEC.nu, np.inf), 0.0)
    assert one.counts["command refused"] == 2
    one.advance(0.05)
    assert not one.driven


def test_a_robot_that_fell_is_lifted_back_and_believes_to_be_at_the_origin():
    one = stand_in()
    rng = np.random.default_rng(1)
    for _ in range(60):
        one.command(torques(HARDWARE, rng.choice([-1.0, 1.0], SPEC.nu)), one.now_s)
        one.advance(one.now_s + SPEC.dt_s)
    assert np.linalg.norm(one.truth[:2]) > 0.05
    before_s = one.now_s
    one.reset()
    assert one.now_s == before_s  # time goes on
    assert not one.driven
    np.testing.assert_allclose(last(one.advance(before_s + 0.02), "odom").value.position[:2], 0.0, atol=1e-3)


# Faults ---------------------------------------------------------------------------------------------------------------


def test_a_silent_imu_is_silent_alone():
    one = stand_in()
    one.break_down(FaultConfig(imu_silent=True))
    assert {sample.sensor for sample in one.advance(0.5)} == {"joint_states", "odom"}
    one.break_down(FaultConfig())
    assert {sample.sensor for sample in one.advance(1.0)} == set(SENSORS)


@pytest.mark.parametrize("sensor", SENSORS)
def test_one_sensor_says_numbers_that_are_none(sensor):
    one = stand_in()
    one.break_down(FaultConfig(nan=sensor))
    for sample in one.advance(0.1):
        finite = [np.isfinite(part).all() for part in dataclasses.astuple(sample.value)]
        assert any(finite) == all(finite) == (sample.sensor != sensor)


def test_a_computer_that_hangs_says_nothing_and_lets_the_drives_go():
    one = stand_in()
    one.command(torques(HARDWARE, np.ones(SPEC.nu)), 0.0)
    one.advance(0.02)
    one.break_down(FaultConfig(freeze=True))
    one.command(torques(HARDWARE, np.ones(SPEC.nu)), one.now_s)
    before = one.truth.copy()
    assert one.advance(0.3) == []
    assert not one.driven
    assert one.counts["command ignored"] == 1
    assert not np.array_equal(before, one.truth)  # physics does not hang


def test_jumps_are_jumped_once_and_back():
    one = stand_in(clock_offset=100.0)
    before = last(one.advance(0.1), "odom")
    one.break_down(FaultConfig(odom_jump=2.0, clock_jump=-30.0))
    for until_s, passed_s in ((0.2, 0.1 - 30.0), (0.3, 0.2 - 30.0)):
        after = last(one.advance(until_s), "odom")
        assert after.value.position[0] - before.value.position[0] == pytest.approx(2.0, abs=0.05)
        assert 1e-9 * (after.stamp_ns - before.stamp_ns) == pytest.approx(passed_s, abs=1e-6)
    one.break_down(FaultConfig())
    back = last(one.advance(0.4), "odom")
    assert back.value.position[0] == pytest.approx(before.value.position[0], abs=0.05)
    assert 1e-9 * (back.stamp_ns - before.stamp_ns) == pytest.approx(0.3, abs=1e-6)


def test_an_unknown_sensor_is_named():
    with pytest.raises(MbmfError, match="did you mean 'odom'"):
        FaultConfig(nan="odm")


def test_motors_that_are_not_the_robots_are_named():
    with pytest.raises(MbmfError, match="expected a motor for each of"):
        StandIn(SPEC, dataclasses.replace(circuitry_of(HARDWARE), motors=np.zeros(SPEC.nu, dtype=int)), CLEAN)
