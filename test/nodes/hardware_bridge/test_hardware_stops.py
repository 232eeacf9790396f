"""What never starts a robot, and what only a person can end."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from std_srvs.srv import SetBool, Trigger

from mbmf_ros.msg import RobotState
from mbmf_ros.nodes.hardware_bridge import HardwareBridge
from mbmf_ros.robots import robot
from mbmf_ros.safety import Mode

pytestmark = pytest.mark.ros
SPEC = robot("ant")


def test_an_emergency_stop_of_a_robot_that_was_never_enabled_sends_nothing(setup):
    _, fake = setup()
    assert fake.rig.call(Trigger, "hardware_bridge/estop").success
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_ESTOP, "the stop")
    fake.reach(10)
    assert fake.commands == []


def test_an_emergency_stop_of_a_robot_that_was_disabled_again_sends_nothing(setup):
    _, fake = setup()
    fake.enable()
    assert fake.rig.call(SetBool, "hardware_bridge/enable", data=False).success
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_DISABLED, "being disabled")
    fake.reach(3)  # what was under way arrives
    count = len(fake.commands)
    assert fake.rig.call(Trigger, "hardware_bridge/estop").success
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_ESTOP, "the stop")
    fake.reach(5)
    assert len(fake.commands) == count


def test_enabled_by_itself_a_robot_that_is_not_as_described_gets_nothing(rig, tmp_path):
    from fake_robot import FakeRobot, write

    safety = {"ramp": 0.0, "command_timeout_periods": 20}
    file = write(tmp_path / "robot.yaml", command={"interface": "position"}, safety=safety)
    bridge = rig.add(HardwareBridge, config=str(file), stand_in=True, safety__auto_enable=True)
    fake = FakeRobot(rig, hardware=bridge.hardware)
    rig.until(lambda: "the first command would put it" in bridge.safety.layer.reason, "the reason")
    fake.reach(10)
    assert bridge.safety.layer.mode is Mode.HOLDING
    assert rig.call(Trigger, "hardware_bridge/estop").success
    fake.reach(5)
    assert fake.commands == []


def test_a_robot_that_fell_does_not_start_when_it_is_lifted(setup):
    bridge, fake = setup()
    fake.enable()
    upright = fake.m
    fake.m = upright.copy()
    fake.m[SPEC.measurement.orientation] = (0.0, 1.0, 0.0, 0.0)  # on its back
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_TRIPPED, "the trip")
    assert bridge.safety.layer.reason == "ant has fallen"
    fake.m = upright
    fake.rig.until(lambda: not bridge._problems(), "the robot, upright again")
    fake.reach(10)
    assert fake.last.status == RobotState.STATUS_TRIPPED
    assert not fake.commands[-1][0].any()
    assert fake.rig.call(Trigger, "hardware_bridge/clear_estop").success
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_DISABLED, "the reset")
    fake.enable()


def test_the_start_checks_do_not_go_by_an_old_measurement(setup):
    """All inputs are heard, but where the robot is is not known: its pose has jumped."""
    bridge, fake = setup(jump={"settle": 10.0})
    fake.m = fake.m.copy()
    fake.m[0] += 3.0
    fake.rig.until(lambda: any("no measurement" in line for line in bridge._problems()), "the refusal")
    assert not bridge.estimator.silent(time.monotonic())
    refusal = fake.rig.call(SetBool, "hardware_bridge/enable", data=True)
    assert not refusal.success
    assert "no measurement" in refusal.message
