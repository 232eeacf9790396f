"""The hardware bridge and what goes wrong with sensors, messages and clocks."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from sensor_msgs.msg import JointState, Temperature
from std_srvs.srv import SetBool

from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.runtime import STEADY
from mbmf_ros.robots import robot

pytestmark = pytest.mark.ros
SPEC = robot("ant")


def moving(fake) -> bool:
    return bool(fake.commands) and fake.commands[-1][0].any()


@pytest.mark.parametrize("quiet", ["joint_states", "imu", "pose"])
def test_a_silent_input_makes_the_robot_hold_until_it_speaks_again(setup, quiet):
    bridge, fake = setup()
    fake.enable()
    fake.rig.until(lambda: moving(fake), "moving")
    episode, count = fake.last.episode, len(fake.states)
    fake.silent = {quiet}
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_HOLDING, "holding")
    fake.rig.until(lambda: quiet in bridge.safety.layer.reason, "the reason")
    held = fake.states[-1]
    fake.rig.until(lambda: not moving(fake), "the safe command")
    told = len(fake.states)
    fake.reach(1)  # told again and again, though there is nothing new to tell
    assert (fake.last.episode, fake.last.tick) == (held.episode, held.tick)
    fake.silent = set()
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_ACTIVE and moving(fake), "going on")
    assert fake.last.episode == episode  # the path stays
    fresh = next(s for s in fake.states[told:] if s.tick > held.tick)
    assert fresh.tick > held.tick + 1
    for before, after in fake.transitions(count):
        np.testing.assert_array_equal(before.pending_action, after.applied_action)


def test_a_pose_that_jumps_and_stays_there_begins_a_new_episode(setup):
    bridge, fake = setup()
    fake.enable()
    fake.rig.until(lambda: moving(fake), "moving")
    episode = fake.last.episode
    fake.m = fake.m.copy()
    fake.m[0] += 3.0
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_HOLDING, "holding")
    fake.rig.until(lambda: "the pose jumped by 3.00 m" in bridge.safety.layer.reason, "the reason")
    assert fake.last.pose.position.x < 1.0  # the new place is not told before it is believed
    fake.rig.until(lambda: fake.last.episode == episode + 1, "the new episode")
    first = next(s for s in fake.states if s.episode == episode + 1)
    assert (first.tick, list(first.applied_action)) == (0, [])
    assert first.pose.position.x == pytest.approx(3.0, abs=0.01)
    fake.rig.until(lambda: moving(fake), "going on")


def test_a_glitch_of_the_pose_is_held_through_within_the_episode(setup):
    _, fake = setup(jump={"settle": 5.0})
    fake.enable()
    fake.rig.until(lambda: moving(fake), "moving")
    episode, here = fake.last.episode, fake.m
    fake.m = here.copy()
    fake.m[1] -= 2.0
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_HOLDING, "holding")
    fake.m = here
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_ACTIVE, "going on")
    assert fake.last.episode == episode
    assert all(abs(s.pose.position.y) < 0.1 for s in fake.states)


def test_a_jump_of_the_robots_clock_is_survived(setup):
    bridge, fake = setup()
    fake.enable()
    fake.reach(5)
    fake.clock_s -= 3600.0
    jumps = lambda: [one.counts["clock jumps"] for one in bridge.estimator.inputs.values()]  # noqa: E731
    fake.rig.until(lambda: min(jumps()) > 0, "the jump")
    tick, episode = bridge.pairing.tick, bridge.pairing.episode
    fake.rig.until(lambda: fake.last.tick > tick + 5 and fake.last.status == RobotState.STATUS_ACTIVE, "going on")
    assert fake.last.episode == episode


def test_late_messages_make_the_robot_hold_until_a_person_says_that_its_clock_was_set_back(setup):
    bridge, fake = setup()
    fake.enable()
    fake.rig.until(lambda: moving(fake), "moving")
    everything = {"joint_states", "imu", "pose"}
    fake.silent = everything
    fake.rig.until(lambda: "nothing usable" in bridge.safety.layer.reason, "holding")
    begun_s = time.monotonic()
    fake.rig.until(lambda: time.monotonic() > begun_s + 1.0, "a silence")
    fake.clock_s -= 0.8
    fake.silent = set()
    fake.rig.until(lambda: "older than max_age when they arrive" in bridge.safety.layer.reason, "the reason")
    fake.reach(5)
    assert fake.last.status == RobotState.STATUS_HOLDING
    assert not moving(fake)
    assert "enabled already" in fake.rig.call(SetBool, "hardware_bridge/enable", data=True).message
    assert fake.rig.call(SetBool, "hardware_bridge/enable", data=False).success
    assert any("older than max_age" in problem for problem in bridge._problems())  # asking changes nothing
    fake.silent = {"imu"}
    fake.rig.until(lambda: any("nothing usable" in problem for problem in bridge._problems()), "a silent input")
    assert "nothing usable" in fake.rig.call(SetBool, "hardware_bridge/enable", data=True).message
    fake.silent = set()  # of messages that are late nobody was told by that refusal
    fake.rig.until(lambda: not any("nothing usable" in problem for problem in bridge._problems()), "all inputs")
    refusal = fake.rig.call(SetBool, "hardware_bridge/enable", data=True)
    assert not refusal.success
    assert "set back" in refusal.message
    fake.enable()
    fake.rig.until(lambda: moving(fake), "going on")


def test_malformed_messages_are_counted_and_change_nothing(setup):
    bridge, fake = setup()
    fake.enable()
    fake.reach(3)
    state = fake.last
    names, position, velocity = fake.robot.joints(fake.m)

    def until_counted(kind, send):
        """Send it, again if the newest message that came after it took its place, until it is counted."""
        count = bridge.rejects[kind]
        fake.rig.until(lambda: (send(), bridge.rejects[kind] > count)[1], f"the count of {kind}")

    for wrong in (
        {"name": names[:3], "position": position[:3]},
        {"name": names, "position": position[:3]},
        {"name": names, "position": [float("nan")] * 8},
        {"name": [*names[:7], "elbow"], "position": position, "velocity": velocity},
    ):
        until_counted("joint_states", lambda wrong=wrong: fake.joints.publish(JointState(**wrong)))
    until_counted("action", lambda: fake.answer(state, np.ones(3)))
    until_counted("action", lambda: fake.answer(state, np.full(SPEC.nu, np.inf)))
    fake.rig.until(lambda: moving(fake), "going on")
    assert all(np.isfinite(command).all() and np.abs(command).max() <= 1 + 1e-9 for command, _, _ in fake.commands)


def test_a_hot_motor_makes_the_robot_hold_and_so_does_one_that_is_not_told_of_any_more(setup, rig):
    motors = {"hip": 70.0, "knee": 20.0}
    publisher = rig.probe.create_publisher(Temperature, "motors", qos.SENSOR_PUB)

    def tell() -> None:
        for name, value in motors.items():
            message = Temperature(temperature=value)
            message.header.frame_id = name
            publisher.publish(message)

    rig.probe.create_timer(0.05, tell, clock=STEADY)
    bridge, fake = setup(temperature={"topic": "motors", "warn": 60.0, "stop": 80.0, "max_age": 2.0})
    fake.enable()
    fake.rig.until(lambda: "70 C" in bridge._condition()[1], "the warning")
    motors["hip"] = 81.0
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_HOLDING, "holding")
    fake.rig.until(lambda: "a temperature of 80 C or more on motors" in bridge.safety.layer.reason, "the reason")
    motors["hip"] = 50.0
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_ACTIVE, "going on")
    del motors["hip"]
    fake.rig.until(lambda: "nothing of hip on motors" in bridge.safety.layer.reason, "the silence")
    assert any("nothing of hip on motors" in problem for problem in bridge._problems())
    motors["hip"] = 50.0
    fake.rig.until(lambda: fake.last.status == RobotState.STATUS_ACTIVE, "going on again")


def test_a_pause_of_the_process_is_no_transition_and_nothing_is_caught_up_with(setup):
    bridge, fake = setup()
    fake.enable()
    fake.reach(5)
    bridge._period_s -= 10 * SPEC.dt_s  # as if the last period had begun that long ago
    bridge.pairing._last_s -= 10 * SPEC.dt_s
    tick = bridge.pairing.tick
    fake.rig.until(lambda: bridge.pairing.tick > tick, "the next state")
    assert bridge.overruns >= 10
    assert bridge.pairing.tick >= tick + 10
