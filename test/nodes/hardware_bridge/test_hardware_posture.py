"""Where a command is a posture (interface position, or PD control in the bridge): what a stop does to it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from std_srvs.srv import SetBool, Trigger

from mbmf_ros.msg import RobotState
from mbmf_ros.robots import robot

pytestmark = pytest.mark.ros
SPEC = robot("ant")
PD = {"command": {"pd": {"enabled": True, "kp": 20.0, "kd": 0.0}}, "checks": {"start_distance": 3.0}}


def pulled(setup):
    """A robot under PD control whose joints are held 0.4 rad away from where it wants them."""
    bridge, fake = setup(**PD)
    fake.answering = False
    fake.m = fake.m.copy()
    fake.m[SPEC.measurement.joint_position] = 0.4
    fake.enable_holding()
    fake.rig.until(lambda: fake.commands and np.allclose(fake.commands[-1][0], -0.4, atol=1e-6), "the torque back")
    return bridge, fake


def test_disabled_under_pd_control_no_torque_stays_on_the_joints(setup):
    bridge, fake = pulled(setup)
    assert fake.rig.call(SetBool, "hardware_bridge/enable", data=False).success
    fake.rig.until(lambda: not fake.commands[-1][0].any(), "no torque")
    count = len(fake.commands)
    fake.reach(5)
    assert len(fake.commands) == count  # and none comes after it
    assert bridge.output.in_force is None


def test_ended_under_pd_control_no_torque_stays_on_the_joints(setup):
    bridge, fake = pulled(setup)
    bridge.output.farewell()
    fake.rig.until(lambda: not fake.commands[-1][0].any(), "no torque")


def test_while_the_joints_are_not_heard_pd_control_asks_for_no_torque(setup):
    _, fake = pulled(setup)
    fake.silent = {"joint_states"}
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_HOLDING, "holding")
    fake.rig.until(lambda: not fake.commands[-1][0].any(), "no torque")
    fake.reach(2)
    assert not fake.commands[-1][0].any()
    fake.silent = set()
    fake.rig.until(lambda: fake.commands[-1][0].any(), "the torque again")


def test_a_command_under_pd_control_without_joints_is_none_and_vouches_for_nothing(setup):
    """As just after a jump of the robot's clock, where velocities are derived."""
    bridge, fake = pulled(setup)
    count = len(fake.commands)
    bridge.estimator.inputs["joint_states"].messages.clear()
    bridge._send()
    assert bridge.output.in_force is None
    assert bridge.pairing._held is None
    fake.rig.until(lambda: any(not torque.any() for torque, _, _ in fake.commands[count:]), "no torque")


def test_targets_end_before_the_joints_do(setup):
    """Joints from -2 to 2 rad, and a margin: an action that leads beyond is led no further, wherever they are."""
    bridge, fake = setup(
        command={"interface": "position", "stop_speed": 100.0},
        checks={"start_distance": 3.0},
        safety={"ramp": 0.0, "command_timeout_periods": 20, "joint_margin": 0.5, "action_rate": 0.8},
    )
    fake.m = fake.m.copy()
    fake.m[SPEC.measurement.joint_position] = 0.0
    fake.reply = lambda: np.full(SPEC.nu, 0.3)  # of a scale of 20 rad
    sent, send = [], bridge.output.send

    def note(action, *rest):
        sent.append(action)
        send(action, *rest)

    bridge.output.send = note
    fake.enable()
    fake.rig.until(lambda: sent and np.allclose(sent[-1], 1.5 / 20.0), "the end of the margin")
    fake.m = fake.m.copy()
    fake.m[SPEC.measurement.joint_position] = 1.9  # nearer to the end of the range than the margin
    count = len(sent)
    fake.rig.until(lambda: len(sent) > count + 5 and np.allclose(sent[-5:], 1.5 / 20.0), "staying there")
    assert np.max(sent) <= 1.5 / 20.0 + 1e-9


@pytest.mark.parametrize("stop", ["estop", "disable", "silent controller"])
def test_a_stop_does_not_throw_the_robot_into_its_safe_posture(setup, stop):
    """Each target is within reach of the one before; disabled, it stays the last."""
    bridge, fake = setup(command={"interface": "position", "stop_speed": 1.0}, checks={"start_distance": 3.0})
    fake.enable()
    far = np.full(SPEC.nu, 0.05)  # of a scale of 20 rad: beyond the reach of one period at the stop's speed
    targets, send = [], bridge.output._send

    def note(data):
        targets.append(np.array(data))
        send(data)

    fake.reply = lambda: far
    fake.rig.until(lambda: np.array_equal(bridge.output.in_force, far), "a posture far from the safe one")
    bridge.output._send = note
    if stop == "estop":
        assert fake.rig.call(Trigger, "hardware_bridge/estop").success
    elif stop == "disable":
        assert fake.rig.call(SetBool, "hardware_bridge/enable", data=False).success
    fake.answering = False  # until then it went on: finding a service may take longer than the command's timeout
    if stop == "disable":
        fake.rig.until(lambda: bridge.output.in_force is None, "the release")
        fake.reach(3)
        np.testing.assert_array_equal(
            targets[-1], bridge.output._commands.data(far)
        )  # it stays where it was told to be
        return
    fake.rig.until(lambda: not bridge.safety.layer.passing, "the stop")
    fake.rig.until(lambda: (bridge.output.in_force == SPEC.safe_action).all(), "the safe posture", timeout_s=20.0)
    joints = [bridge.hardware.joints[name] for name in SPEC.actuated_joints]
    ratio = np.array([joint.gear for joint in joints])
    order = [[joint.name for joint in joints].index(name) for name in bridge.hardware.command.order]
    steps = np.abs(np.diff(np.array(targets), axis=0)) / ratio[order]
    assert steps.max() <= 1.0 * SPEC.dt_s + 1e-9
    assert (steps > 0).any(1).sum() >= 15  # 1 rad at 1 rad/s
