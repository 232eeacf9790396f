"""The hardware bridge with a robot at rest: what it sends and tells, and when it sends nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from std_srvs.srv import SetBool, Trigger

from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import RobotState
from mbmf_ros.nodes.conversions import measurement_from, time_seconds
from mbmf_ros.nodes.hardware_bridge import HardwareBridge
from mbmf_ros.robots import robot
from mbmf_ros.safety import Mode

pytestmark = pytest.mark.ros
SPEC = robot("ant")
SAFE = np.array(SPEC.safe_action)


def test_the_measurement_arrives_and_nothing_is_sent_before_it_is_enabled(setup):
    bridge, fake = setup()
    fake.reach(10)
    assert fake.last.status == RobotState.STATUS_DISABLED
    np.testing.assert_allclose(measurement_from(fake.last, SPEC), fake.m, atol=1e-6)
    assert fake.commands == []
    assert fake.transitions() == []  # what the robot does is not known
    assert bridge._diagnostics.status().message.startswith("disabled: not enabled yet")


def test_enabled_it_sends_the_answers_and_every_transition_is_what_was_sent(setup):
    _, fake = setup()
    fake.enable()
    first = len(fake.states)
    fake.reach(40)
    pairs = fake.transitions(first)
    assert len(pairs) >= 10  # a busy computer is late now and then; such states are no transitions
    sent = [command for command, _, _ in fake.commands]
    for before, after in pairs:
        applied = np.array(after.applied_action)
        np.testing.assert_array_equal(applied, before.pending_action)
        assert any(np.allclose(applied, command) for command in sent)
        elapsed = time_seconds(after.header.stamp) - time_seconds(before.header.stamp)
        assert elapsed == pytest.approx(SPEC.dt_s, rel=0.35)
    assert {after.action_source for _, after in pairs} >= {RobotState.SOURCE_CONTROLLER}


def test_an_answer_comes_after_what_is_pending(setup):
    """The answer to a state is pending when the next one is told: in force in the period after that."""
    _, fake = setup()
    fake.enable()

    def in_time() -> int:
        return sum(
            np.array_equal(after.pending_action, fake.given[before.episode, before.tick])
            for before, after in fake.transitions()
        )

    fake.rig.until(lambda: in_time() >= 5, "answers in time")
    for before, after in fake.transitions():
        assert not np.array_equal(after.applied_action, fake.given[before.episode, before.tick])


def test_it_refuses_to_begin_with_another_robot(setup):
    bridge, fake = setup()
    joints = dict(bridge.hardware.joints)
    joints["ankle_1"] = dataclasses.replace(joints["ankle_1"], offset=joints["ankle_1"].offset + 30.0)
    fake.robot.config = dataclasses.replace(bridge.hardware, joints=joints)
    fake.rig.until(lambda: bridge._problems(), "a problem")
    refusal = fake.rig.call(SetBool, "hardware_bridge/enable", data=True)
    assert not refusal.success
    assert "joint ankle_1 (r_ankle_1) is at" in refusal.message
    assert fake.commands == []


def test_a_dry_run_computes_and_sends_nothing(setup):
    bridge, fake = setup(safety={"ramp": 0.0, "dry_run": True})
    fake.enable()
    fake.reach(10)
    assert bridge.safety.layer.mode is Mode.ACTIVE
    assert (bridge.safety.layer.computed != SAFE).any()
    assert fake.commands == []
    assert fake.transitions() == []


def test_the_emergency_stop_takes_effect_at_once_and_clearing_it_starts_nothing(setup):
    bridge, fake = setup()
    fake.enable()
    fake.rig.until(lambda: fake.commands and fake.commands[-1][0].any(), "a command")
    layer, commands_before = bridge.safety.layer, []
    estop = layer.estop

    def note(reason):
        commands_before.append(len(fake.commands))
        estop(reason)

    layer.estop = note
    assert fake.rig.call(Trigger, "hardware_bridge/estop").success
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_ESTOP, "the stop")
    fake.reach(5)
    after = np.array([command for command, _, _ in fake.commands[commands_before[0] :]])
    first_safe = int(np.flatnonzero((after == 0).all(1))[0])
    assert (after[first_safe:] == 0).all()
    assert first_safe <= 2  # what was under way when the stop was asked for
    assert fake.rig.call(Trigger, "hardware_bridge/clear_estop").success
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_DISABLED, "the reset")
    count = len(fake.commands)
    fake.reach(10)
    assert len(fake.commands) <= count + 1
    assert not fake.commands[-1][0].any()


def test_disabled_the_last_command_is_the_safe_one(setup):
    _, fake = setup()
    fake.enable()
    fake.rig.until(lambda: fake.commands and fake.commands[-1][0].any(), "a command")
    fake.rig.call(SetBool, "hardware_bridge/enable", data=False)
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_DISABLED, "being disabled")
    fake.reach(3)  # what was under way arrives
    assert not fake.commands[-1][0].any()
    count = len(fake.commands)
    fake.reach(10)
    assert len(fake.commands) == count


def test_a_controller_that_falls_silent_makes_the_robot_hold_until_it_answers_again(setup):
    bridge, fake = setup(safety={"command_timeout_periods": 2})
    fake.enable()
    fake.rig.until(lambda: fake.commands and fake.commands[-1][0].any(), "a command")
    fake.answering = False
    count = len(fake.states)
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_HOLDING, "holding")
    assert len({s.tick for s in fake.states[count:]}) <= 2 + bridge.safety.layer.config.command_timeout_periods
    fake.rig.until(lambda: "the controller does not answer" in bridge.safety.layer.reason, "the reason")
    fake.rig.until(lambda: not fake.commands[-1][0].any(), "the safe command")
    fake.answering = True
    fake.rig.until(lambda: fake.commands[-1][0].any(), "going on")
    assert fake.last.episode == fake.states[0].episode


def test_a_configuration_of_another_robot_or_none_is_refused(setup, rig, tmp_path):
    from fake_robot import write

    with pytest.raises(MbmfError, match=r"expected the robot's YAML; copy config/hardware/example\.yaml"):
        rig.add(HardwareBridge)
    with pytest.raises(MbmfError, match="of robot 'ant', the parameter robot says 'swimmer'"):
        rig.add(HardwareBridge, config=str(write(tmp_path / "a.yaml")), robot="swimmer")
    with pytest.raises(MbmfError, match=r"b\.yaml\.safety 'max_tlit' \(did you mean 'max_tilt'\?\)"):
        rig.add(HardwareBridge, config=str(write(tmp_path / "b.yaml", safety={"max_tlit": 1.0})))
