"""The simulator bridge, with a probe for a controller."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

import rclpy.parameter
from bridge_controller import LOCK_STEP, SPEC, Controller
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu, JointState
from std_srvs.srv import SetBool, Trigger

from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import measurement_from, planar_pose_of, pose_message, time_seconds
from mbmf_ros.nodes.sim_bridge import SimBridge
from mbmf_ros.robots.sim import Simulation

pytestmark = pytest.mark.ros


def test_consecutive_states_of_an_episode_are_the_transitions_of_the_simulation(rig):
    rig.add(SimBridge, **LOCK_STEP)
    controller = Controller(rig)
    controller.reach(20)
    states = [state for state in controller.states if state.tick <= 20]
    unique = {state.tick: state for state in states}
    assert sorted(unique) == list(range(21))
    assert (unique[0].action_source, list(unique[0].applied_action)) == (RobotState.SOURCE_NONE, [])
    simulation = Simulation(SPEC)
    simulation.reset(measurement_from(unique[0], SPEC))
    for tick in range(1, 21):
        assert unique[tick].action_source == RobotState.SOURCE_CONTROLLER
        expected = simulation.step(np.array(unique[tick].applied_action))
        np.testing.assert_allclose(measurement_from(unique[tick], SPEC), expected, atol=1e-9)
        elapsed = time_seconds(unique[tick].header.stamp) - time_seconds(unique[tick - 1].header.stamp)
        assert elapsed == pytest.approx(SPEC.dt_s)


def test_the_same_seed_gives_the_same_start(rig):
    first = rig.add(SimBridge, seed=3, **LOCK_STEP)
    second = SimBridge(context=rig.context, parameter_overrides=list(first._parameter_overrides.values()))
    np.testing.assert_array_equal(first.simulation.measure(), second.simulation.measure())
    first.reset()
    assert not np.array_equal(first.simulation.measure(), second.simulation.measure())
    second.destroy_node()


def test_lock_step_waits_for_the_answer_and_repeats_the_state(rig):
    rig.add(SimBridge, **LOCK_STEP)
    controller = Controller(rig)
    controller.reach(3)
    controller.answering = False
    rig.until(lambda: len([s for s in controller.states if s.tick == controller.last.tick]) >= 3, "repetitions")
    waiting = controller.last
    controller.answer(waiting, np.zeros(SPEC.nu))
    controller.reach(waiting.tick + 1)


def test_in_real_time_a_missing_answer_is_bridged_by_the_plan_then_by_the_safe_action(rig):
    # Slowly, for busy computers; the plan is played on for two control periods, however long they take.
    bridge = rig.add(SimBridge, real_time_factor=0.1)
    controller = Controller(rig)
    controller.answering = False
    state = controller.last
    plan = np.stack([np.full(SPEC.nu, 0.01), np.full(SPEC.nu, 0.02), np.full(SPEC.nu, 0.03)])
    controller.answer(state, np.zeros(SPEC.nu), plan)
    controller.reach(state.tick + 4)
    told = [s for s in controller.states if s.tick > state.tick]
    first = next(i for i, s in enumerate(told) if s.action_source == RobotState.SOURCE_PLAN)
    rows = [s.applied_action[0] for s in told if s.action_source == RobotState.SOURCE_PLAN]
    assert rows == [0.01, 0.02] or rows == [0.02]  # the answer itself may have come late on a busy computer
    held = told[first + len(rows)]
    assert (held.action_source, held.status) == (RobotState.SOURCE_SAFE, RobotState.STATUS_HOLDING)
    assert bridge.missed >= 2


@pytest.mark.parametrize(("late_s", "restarts"), [(0.0, 0), (0.03, 1)])
def test_after_a_late_step_the_controller_still_gets_a_whole_period(rig, monkeypatch, late_s, restarts):
    bridge = rig.add(SimBridge)
    resets = []
    with monkeypatch.context() as patch:
        patch.setattr(bridge, "_pace", SimpleNamespace(reset=lambda: resets.append(bridge.tick)))
        bridge._published_s = time.monotonic() - SPEC.dt_s - late_s
        bridge._on_period()
    assert (bridge.tick, bridge.overruns, len(resets)) == (1, restarts, restarts)


def test_wrong_actions_are_counted_by_cause_and_never_applied(rig):
    bridge = rig.add(SimBridge, **LOCK_STEP)
    controller = Controller(rig)
    controller.answering = False
    state = controller.last
    controller.answer(state, np.ones(3))
    rig.until(lambda: bridge.rejects["action"] == 1, "count of a wrong size")
    assert "got 3" in bridge.rejects.last
    controller.answer(state, np.full(SPEC.nu, np.nan))
    rig.until(lambda: bridge.rejects["action"] == 2, "count of not finite")
    assert "not all numbers are finite" in bridge.rejects.last
    controller.answer(state, np.ones(SPEC.nu), tick=state.tick + 5)
    rig.until(lambda: bridge.slot.counts["early"] == 1, "count of a wrong tick")
    controller.answer(state, np.ones(SPEC.nu), episode=state.episode + 5)
    rig.until(lambda: bridge.slot.counts["other_episode"] == 1, "count of a wrong episode")
    assert bridge.tick == state.tick
    controller.answer(state, np.full(SPEC.nu, 0.25))
    controller.reach(state.tick + 1)
    assert set(controller.last.applied_action) == {0.25}
    assert bridge._condition()[2]["answers early"] == 1


def test_reset_begins_an_episode_later_in_time(rig):
    rig.add(SimBridge, **LOCK_STEP)
    controller = Controller(rig)
    controller.reach(5)
    assert rig.call(Trigger, "sim_bridge/reset").success
    rig.until(lambda: controller.last.episode == 2, "the new episode")
    begin = next(s for s in controller.states if s.episode == 2)
    before = [s for s in controller.states if s.episode == 1][-1]
    assert (begin.tick, list(begin.applied_action)) == (0, [])
    assert time_seconds(begin.header.stamp) > time_seconds(before.header.stamp)


def test_initialpose_places_the_robot(rig):
    bridge = rig.add(SimBridge, start_noise=0.0, **LOCK_STEP)
    controller = Controller(rig)
    controller.answering = False
    publisher = rig.speak(PoseWithCovarianceStamped, "initialpose", qos.CLICK)
    message = PoseWithCovarianceStamped()
    for frame, x in (("map", 1.0), ("odom", float("nan")), ("odom", 1e300), ("odom", 2.0)):
        message.header.frame_id = frame
        message.pose.pose = pose_message(x, -1.0, 0.7)
        publisher.publish(message)
    rig.until(lambda: controller.last.episode > 1, "the new episode")
    assert controller.last.episode == 2
    assert bridge.rejects["initialpose"] == 3
    assert planar_pose_of(controller.last.pose) == pytest.approx((2.0, -1.0, 0.7))


def test_emergency_stop_latches_and_survives_a_reset(rig):
    rig.add(SimBridge, **LOCK_STEP)
    controller = Controller(rig)
    assert rig.call(Trigger, "sim_bridge/estop").success
    rig.until(lambda: controller.last.status == RobotState.STATUS_ESTOP, "the stop")
    rig.call(Trigger, "sim_bridge/reset")
    rig.until(lambda: controller.last.episode == 2, "the new episode")
    controller.reach(3)
    assert controller.last.status == RobotState.STATUS_ESTOP
    stopped = [s for s in controller.states if s.episode == 2 and s.tick > 0]
    assert {s.action_source for s in stopped} == {RobotState.SOURCE_SAFE}
    assert {tuple(s.applied_action) for s in stopped} == {SPEC.safe_action}
    assert rig.call(Trigger, "sim_bridge/clear_estop").success
    rig.until(lambda: controller.last.action_source == RobotState.SOURCE_CONTROLLER, "actions again")


def test_disabled_it_applies_the_safe_action(rig):
    rig.add(SimBridge, **LOCK_STEP)
    controller = Controller(rig)
    rig.call(SetBool, "sim_bridge/enable", data=False)
    rig.until(lambda: controller.last.action_source == RobotState.SOURCE_SAFE, "the safe action")
    assert controller.last.status == RobotState.STATUS_DISABLED
    refusal = rig.call(Trigger, "sim_bridge/clear_estop")
    assert (refusal.success, "sim_bridge/enable" in refusal.message) == (False, True)
    rig.call(SetBool, "sim_bridge/enable", data=True)
    assert rig.call(Trigger, "sim_bridge/clear_estop").success
    rig.until(lambda: controller.last.action_source == RobotState.SOURCE_CONTROLLER, "actions again")


@pytest.mark.parametrize("mode", [LOCK_STEP, {}], ids=["lock-step", "real time"])
def test_paused_it_takes_single_steps(rig, mode):
    bridge = rig.add(SimBridge, **mode)
    controller = Controller(rig)
    refusal = rig.call(Trigger, "sim_bridge/step")
    assert not refusal.success
    assert "set_paused" in refusal.message
    rig.call(SetBool, "sim_bridge/set_paused", data=True)
    rig.until(lambda: controller.last.status == RobotState.STATUS_PAUSED, "the pause")
    tick = bridge.tick
    repeated = len(controller.states)
    rig.until(lambda: len(controller.states) > repeated, "a repeated state")
    assert bridge.tick == tick
    assert rig.call(Trigger, "sim_bridge/step").success
    rig.until(lambda: controller.last.tick == tick + 1 and controller.last.status == RobotState.STATUS_PAUSED, "a step")
    assert controller.last.action_source == RobotState.SOURCE_CONTROLLER
    rig.call(SetBool, "sim_bridge/set_paused", data=False)
    controller.reach(tick + 3)


def test_after_a_fall_a_new_episode_begins(rig):
    bridge = rig.add(SimBridge, **LOCK_STEP)
    controller = Controller(rig)
    upside_down = bridge.simulation.measure()
    upside_down[SPEC.measurement.orientation] = (0, 1, 0, 0)
    bridge.simulation.reset(upside_down)
    rig.until(lambda: controller.last.status == RobotState.STATUS_FALLEN, "the fall")
    rig.until(lambda: controller.last.episode == 2, "the new episode")
    fallen = {s.tick for s in controller.states if s.status == RobotState.STATUS_FALLEN}
    assert (len(fallen) + 1) * SPEC.dt_s == pytest.approx(1.0, abs=0.1)
    assert controller.last.status == RobotState.STATUS_ACTIVE


def test_standard_topics_and_the_clock_tell_the_same(rig):
    rig.add(SimBridge, base_frame="torso", odom_frame="world", **LOCK_STEP)
    joints, imu = rig.hear(JointState, "joint_states", qos.SENSOR_PUB), rig.hear(Imu, "imu/data", qos.SENSOR_PUB)
    odom, clock = rig.hear(Odometry, "odom", qos.SENSOR_PUB), rig.hear(Clock, "/clock", qos.CLOCK)
    controller = Controller(rig)
    rig.until(lambda: joints and imu and odom and clock and clock[-1].clock.sec >= 2, "sensors and a second of time")
    assert tuple(joints[-1].name) == SPEC.joints
    torque = {time_seconds(j.header.stamp): j.effort for j in joints}
    told = [s for s in controller.states if s.tick and time_seconds(s.header.stamp) in torque]
    gear = 150.0  # of the ant's motors: N m for an action of 1
    for state in told:
        applied = dict(zip(SPEC.actuated_joints, state.applied_action, strict=True))
        expected = [gear * applied[name] for name in SPEC.joints]
        np.testing.assert_allclose(torque[time_seconds(state.header.stamp)], expected, atol=1e-9)
    assert told
    assert (odom[-1].header.frame_id, odom[-1].child_frame_id, imu[-1].header.frame_id) == ("world", "torso", "torso")
    told = {time_seconds(s.header.stamp): s for s in controller.states}
    same = next(o for o in odom if time_seconds(o.header.stamp) in told)
    assert same.pose.pose == told[time_seconds(same.header.stamp)].pose
    times = [time_seconds(c.clock) for c in clock]
    assert times == sorted(times)


def test_a_second_bridge_leaves_the_clock_to_the_first(rig):
    bridge = rig.add(SimBridge, publish_clock=False, **LOCK_STEP)
    Controller(rig).reach(3)
    assert bridge.count_publishers("/clock") == 0


def test_as_fast_as_possible_needs_lock_step(rig):
    with pytest.raises(MbmfError, match="sync_mode"):
        rig.add(SimBridge, real_time_factor=0.0)


def test_the_robot_is_disturbed_when_a_parameter_says_so(rig):
    bridge = rig.add(SimBridge, disturbance__payload_kg=1.5, **LOCK_STEP)
    assert bridge.disturbance.config.payload_kg == 1.5
    model = bridge.simulation.model

    def put(name: str, value) -> tuple[bool, str]:
        parameter = rclpy.parameter.Parameter(name, value=value).to_parameter_msg()
        answer = rig.call(SetParameters, "sim_bridge/set_parameters", parameters=[parameter])
        return answer.results[0].successful, answer.results[0].reason

    mass_kg = float(model.body("torso").mass[0])
    assert put("disturbance.payload_kg", 0.0) == (True, "")
    assert model.body("torso").mass[0] == pytest.approx(mass_kg - 1.5)
    assert put("disturbance.motor_strength", [1.0, 0.3, *[1.0] * 6]) == (True, "")
    assert sorted(model.actuator_gear[:, 0]) == [45.0] + [150.0] * 7
    assert put("disturbance.motor_strength", [1.0, 0.3])[0] is False
    assert "expected 8 numbers" in put("disturbance.motor_strength", [1.0, 0.3])[1]
    assert put("disturbance.floor_friction_scale", -1.0)[0] is False
    assert put("seed", 3)[0] is False
    assert sorted(model.actuator_gear[:, 0]) == [45.0] + [150.0] * 7
    Controller(rig).reach(3)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"safety.max_tilt": 0.3, "disturbance.motor_strength": [1.0] * 3}, "expected 8 numbers"),
        ({"safety.dead_man": True, "disturbance.motor_strength": [1.0] * 3}, "expected 8 numbers"),
        ({"disturbance.payload_kg": 1.5, "safety.dry_run": False}, "dry_run: without it the robot could start to move"),
    ],
    ids=["motors", "motors, and what cannot be taken back", "dry run"],
)
def test_parameters_of_several_groups_are_set_together_or_not_at_all(rig, changes, why):
    bridge = rig.add(SimBridge, safety__dry_run=True, **LOCK_STEP)
    mass_kg = float(bridge.simulation.model.body("torso").mass[0])
    parameters = [rclpy.parameter.Parameter(name, value=value).to_parameter_msg() for name, value in changes.items()]
    before = bridge.safety.layer.config, bridge.disturbance.config
    answer = rig.call(SetParametersAtomically, "sim_bridge/set_parameters_atomically", parameters=parameters)
    assert (answer.result.successful, why in answer.result.reason) == (False, True)
    assert (bridge.safety.layer.config, bridge.disturbance.config) == before
    assert bridge.simulation.model.body("torso").mass[0] == mass_kg
    said = {name: bridge.get_parameter(name).value for name in ("safety.max_tilt", "disturbance.payload_kg")}
    assert said == {"safety.max_tilt": 0.0, "disturbance.payload_kg": 0.0}
