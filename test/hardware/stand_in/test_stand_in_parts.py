"""The parts of the stand-in: delay, loss, clock, drives."""

from __future__ import annotations

import numpy as np
import pytest

from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.stand_in.clock import RobotClock
from mbmf_ros.hardware.stand_in.driver import MotorDrivers, Wiring
from mbmf_ros.hardware.stand_in.link import DelayLine, Loss

WIRING = Wiring(np.array([6.0, -9.0]), np.array([0.5, -0.2]))
FULL = np.array([150.0, 100.0])


def test_a_delay_line_hands_on_the_newest_that_has_come_through():
    line = DelayLine(0.02)
    line.put(np.array([1.0]), 0.0)
    line.put(np.array([2.0]), 0.005)
    line.put(np.array([3.0]), 0.015)
    assert line.take(0.019) is None
    came = line.take(0.025)
    assert came is not None
    assert (came[0], came[1][0]) == (pytest.approx(0.025), 2.0)
    assert line.take(0.034) is None
    line.clear()
    assert line.take(1.0) is None


def test_without_delay_it_is_there_at_once():
    line = DelayLine(0.0)
    line.put(np.array([1.0]), 0.3)
    came = line.take(0.1 + 0.2)  # which is not 0.3
    assert came is not None
    with pytest.raises(MbmfError, match="seconds of at least 0, got -1"):
        DelayLine(-1.0)


def test_loss_is_as_frequent_as_it_says_and_the_same_for_a_seed():
    losses = [Loss(0.05, np.random.default_rng(3)) for _ in range(2)]
    drawn = [[loss.loses() for _ in range(20_000)] for loss in losses]
    assert drawn[0] == drawn[1]
    assert losses[0].lost == sum(drawn[0])
    assert 0.045 < np.mean(drawn[0]) < 0.055
    assert not any(Loss(0.0, np.random.default_rng(0)).loses() for _ in range(100))
    with pytest.raises(MbmfError, match="share from 0 to 1, got 2"):
        Loss(2, np.random.default_rng(0))


def test_a_clock_drifts_and_is_set():
    clock = RobotClock(100.0, drift_ppm=50)
    assert clock.at(0.0) == 100_000_000_000
    assert clock.at(1000.0) == 1_100_050_000_000
    clock.jump(-3600.0)
    assert clock.at(0.0) == 0  # messages have no time before that


def drives(interface: str, **more) -> MotorDrivers:
    return MotorDrivers(interface, WIRING, FULL, **more)


def test_an_effort_is_of_the_motor_and_saturates():
    motors = drives("effort")
    motors.receive(np.array([10.0, 5.0]), 0.0)  # through gears of 6 and -9: 60 and -45 N m
    np.testing.assert_allclose(motors.control(np.zeros(2), np.zeros(2), 0.05), [60 / 150, -45 / 100])
    motors.receive(np.array([1e3, 1e3]), 0.0)
    np.testing.assert_allclose(motors.control(np.zeros(2), np.zeros(2), 0.05), [1.0, -1.0])


def test_position_and_velocity_are_what_the_motor_says():
    joint = np.array([0.3, -0.4])
    motors = drives("position", stiffness=200.0, damping=10.0)
    motors.receive(WIRING.position(joint), 0.0)
    np.testing.assert_allclose(motors.control(joint, np.zeros(2), 0.0), 0.0, atol=1e-12)
    pull = motors.control(joint - [0.1, 0.0], np.array([0.0, 1.0]), 0.0)
    np.testing.assert_allclose(pull, [20 / 150, -10 / 100])
    motors = drives("velocity", damping=10.0)
    motors.receive(np.array([6.0, 9.0]), 0.0)  # 1 and -1 rad/s of the joints
    np.testing.assert_allclose(motors.control(joint, np.array([1.0, 0.0]), 0.0), [0.0, -10 / 100])


def test_a_command_is_held_until_it_is_too_old():
    motors = drives("effort", timeout_s=0.1)
    assert not motors.control(np.zeros(2), np.zeros(2), 0.0).any()
    motors.receive(np.array([1.0, 1.0]), 1.0)
    assert motors.holds(1.099)
    assert motors.control(np.zeros(2), np.zeros(2), 1.099).all()
    assert not motors.holds(1.1)
    assert not motors.control(np.zeros(2), np.zeros(2), 1.1).any()
    forever = drives("effort", timeout_s=0.0)
    forever.receive(np.array([1.0, 1.0]), 1.0)
    assert forever.holds(1e6)
    forever.let_go()
    assert not forever.holds(1.0)


@pytest.mark.parametrize(
    ("command", "cause"), [([1.0], "expected 2 numbers, got 1"), ([1.0, np.nan], "not all numbers are finite")]
)
def test_a_command_that_is_none_leaves_the_last_one_in_force(command, cause):
    motors = drives("effort")
    motors.receive(np.array([10.0, 5.0]), 0.0)
    with pytest.raises(MbmfError, match=cause):
        motors.receive(np.array(command), 0.01)
    assert motors.control(np.zeros(2), np.zeros(2), 0.02).all()
    with pytest.raises(MbmfError, match="did you mean 'effort'"):
        drives("efort")
