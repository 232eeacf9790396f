"""When commands are sent, and what is told of them: compensated, sent ahead, or on arrival."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from mbmf_ros.msg import RobotAction, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.robots import robot

pytestmark = pytest.mark.ros
SPEC = robot("ant")


def offsets(fake, first: int) -> list[float]:
    """When commands arrived within the control period, as a share of it, after the state before."""
    at = {}
    for stamp, state in zip(fake.heard_s[first:], fake.states[first:], strict=True):
        at.setdefault((state.episode, state.tick), stamp)
    times = np.array(sorted(at.values()))
    shares = []
    for _, arrived, _ in fake.commands:
        before = times[times < arrived - 1e-3]
        if len(before) and arrived - before[-1] < SPEC.dt_s:
            shares.append((arrived - before[-1]) / SPEC.dt_s)
    return shares


def test_commands_are_sent_ahead_by_the_known_latency(setup):
    _, fake = setup(latency={"actuator": 0.015, "sensor": 0.005, "planning": 0.02})
    fake.enable()
    first = len(fake.states)
    fake.reach(40)
    assert 0.3 < np.median(offsets(fake, first)) < 0.95  # 0.6, if the computer is not busy
    pairs = fake.transitions(first)
    assert len(pairs) >= 8
    for before, after in pairs:
        assert len(before.pending_action) == SPEC.nu
        np.testing.assert_array_equal(before.pending_action, after.applied_action)


def test_where_little_time_is_left_two_actions_are_pending(setup):
    bridge, fake = setup(latency={"actuator": 0.03, "planning": 0.03})
    fake.enable()
    first = len(fake.states)
    fake.reach(40)
    assert {len(state.pending_action) for state in fake.states} == {2 * SPEC.nu}
    pairs = fake.transitions(first)
    assert len(pairs) >= 8
    second = 0
    for before, after in pairs:
        rows = np.reshape(before.pending_action, (2, SPEC.nu))
        np.testing.assert_array_equal(rows[0], after.applied_action)
        second += np.array_equal(rows[1], np.reshape(after.pending_action, (2, SPEC.nu))[0])
    assert second >= len(pairs) - 1  # what was decided is what was sent next
    assert bridge.slot.counts["early"] == 0


def test_the_second_pending_action_is_within_the_limits_already(setup):
    latency = {"actuator": 0.03, "planning": 0.03}
    safety = {"action_limit": 0.4, "action_rate": 6.0, "ramp": 0.5, "command_timeout_periods": 20}
    bridge, fake = setup(latency=latency, safety=safety)
    fake.enable()
    first = len(fake.states)
    fake.reach(40)
    pairs = fake.transitions(first)
    assert len(pairs) >= 8
    told = [np.reshape((before.pending_action, after.pending_action), (2, 2, SPEC.nu)) for before, after in pairs]
    assert all(np.abs(rows).max() <= 0.4 for rows in told)
    assert sum(np.array_equal(before[1], after[0]) for before, after in told) >= len(pairs) - 1
    assert bridge.safety.layer.limited > 10  # not what the controller said


def test_a_command_that_is_sent_late_makes_no_transition(setup):
    """Its turn came late by most of what was left of the control period."""
    bridge, fake = setup(latency={"actuator": 0.02, "planning": 0.02})
    fake.enable()
    send, off, sources = bridge.output.send, [], []

    def late(action, source, off_s):
        off.append(off_s)
        sources.append(source)
        send(action, source, 0.4 * SPEC.dt_s)

    fake.rig.until(lambda: fake.transitions(), "transitions")
    bridge.output.send = late
    fake.reach(4)  # what was sent in time is through
    first = len(fake.states)
    fake.reach(20)
    # Where a busy computer sends nothing for a control period, the action before goes on: one action, as of a plan.
    assert RobotState.SOURCE_CONTROLLER not in {after.action_source for _, after in fake.transitions(first)}
    assert sources.count(RobotState.SOURCE_CONTROLLER) >= 8
    assert abs(np.median(off)) < 0.3 * SPEC.dt_s  # without that they are sent in time


def test_without_compensation_an_answer_is_sent_when_it_arrives(setup):
    bridge, fake = setup({"latency_compensation": False})
    fake.enable()
    first = len(fake.states)
    fake.reach(40)
    assert {len(state.pending_action) for state in fake.states} == {0}
    pairs = fake.transitions(first)
    assert len(pairs) >= 8
    for before, after in pairs:
        given = fake.given.get((before.episode, before.tick))
        if after.action_source == RobotState.SOURCE_CONTROLLER and given is not None:
            np.testing.assert_allclose(after.applied_action, given)
    fake.answering = False
    fake.rig.until(lambda: bridge.safety.layer.passing and not bridge.slot.answered, "a state without an answer")
    action = np.linspace(-0.5, 0.5, SPEC.nu)
    bridge._on_action(RobotAction(episode=bridge.pairing.episode, tick=bridge.pairing.tick, action=action.tolist()))
    np.testing.assert_array_equal(bridge.output.in_force, action)  # at once
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_HOLDING, "holding")
    fake.rig.until(lambda: not fake.commands[-1][0].any(), "the safe command")
    fake.rig.until(lambda: "does not answer" in bridge.safety.layer.reason, "the reason")


def test_with_pd_control_the_torque_follows_the_joints(setup):
    _, fake = setup(command={"pd": {"enabled": True, "kp": 40.0, "kd": 0.0}}, checks={"start_distance": 3.0})
    fake.answering = False
    fake.enable_holding()
    count, states = len(fake.commands), len(fake.states)
    fake.rig.until(lambda: len(fake.states) >= states + 10, "time")
    assert len(fake.commands) - count > 12  # with every joint message, not with every control period alone
    fake.m = fake.m.copy()
    fake.m[SPEC.measurement.joint_position] = 0.1
    expected = -0.1 * 40.0 / 20.0  # towards the safe action's position, 0; as a share of the scale
    fake.rig.until(lambda: np.allclose(fake.commands[-1][0], expected, atol=1e-6), "the torque back")


def test_at_its_end_it_leaves_the_robot_with_the_safe_command(rig, tmp_path, monkeypatch):
    """A process of its own, ended as a terminal or a launch file ends it."""
    from fake_robot import FakeRobot, write

    from mbmf_ros.hardware.config import load_hardware

    file = write(tmp_path / "robot.yaml")
    domain = rig.context.get_domain_id()
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    command = [sys.executable, "-m", "mbmf_ros.nodes.hardware_bridge", "--ros-args", "-p", f"config:={file}"]
    process = subprocess.Popen(command, env=environment)
    try:
        heard = rig.hear(Float64MultiArray, "effort_controller/commands", qos.STATE_ALL)
        fake = FakeRobot(rig, hardware=load_hardware(file))
        for _ in range(20):  # until the start-up checks are content
            if rig.call(SetBool, "hardware_bridge/enable", data=True).success:
                break
            fake.reach(5)
        rig.until(lambda: heard and any(heard[-1].data), "commands")
        process.send_signal(signal.SIGINT)
        rig.until(lambda: process.poll() is not None, "the end")
        rig.until(lambda: not any(heard[-1].data), "the safe command", timeout_s=2.0)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
