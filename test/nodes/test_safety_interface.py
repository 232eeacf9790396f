"""The safety layer as a bridge offers it, on the simulator bridge."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

import rclpy.parameter
from bridge_controller import LOCK_STEP, SPEC, Controller
from rcl_interfaces.srv import DescribeParameters, SetParameters
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from mbmf_ros.msg import RobotState, SafetyState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.runtime import OK, WARN
from mbmf_ros.nodes.sim_bridge import NO_ANSWER, NO_CONTROLLER, SimBridge
from mbmf_ros.safety import Mode

pytestmark = pytest.mark.ros


@pytest.fixture
def put(rig):
    """Sets a parameter of the bridge; returns whether it was accepted, and why not."""

    def put(name: str, value) -> tuple[bool, str]:
        parameter = rclpy.parameter.Parameter(name, value=value).to_parameter_msg()
        result = rig.call(SetParameters, "sim_bridge/set_parameters", parameters=[parameter]).results[0]
        return result.successful, result.reason

    return put


def heard(rig) -> list[SafetyState]:
    return rig.hear(SafetyState, "sim_bridge/safety", qos.LATCHED)


def test_modes_and_statuses_have_the_values_of_the_messages():
    assert {mode.name: mode.value for mode in Mode} == {
        name: getattr(SafetyState, f"MODE_{name}") for name in Mode.__members__
    }


def test_each_mode_is_told_as_the_status_of_its_name(rig):
    layer = rig.add(SimBridge, **LOCK_STEP).safety.layer
    for mode in Mode:
        layer.mode = mode
        name = "ACTIVE" if mode is Mode.RAMPING else mode.name
        assert layer.status() == getattr(RobotState, f"STATUS_{name}")


def test_the_topic_estop_latches_and_only_the_service_clears(rig):
    rig.add(SimBridge, **LOCK_STEP)
    controller, safety = Controller(rig), heard(rig)
    button = rig.speak(Bool, "estop", qos.COMMAND)
    rig.until(lambda: safety and safety[-1].mode == SafetyState.MODE_ACTIVE, "active")
    button.publish(Bool(data=True))
    rig.until(lambda: safety[-1].mode == SafetyState.MODE_ESTOP, "the stop")
    assert "topic estop" in safety[-1].reason
    button.publish(Bool(data=False))
    stopped = controller.last.tick
    controller.reach(stopped + 5)
    assert controller.last.status == RobotState.STATUS_ESTOP
    assert {s.action_source for s in controller.states if s.tick > stopped + 1} == {RobotState.SOURCE_SAFE}
    assert rig.call(Trigger, "sim_bridge/clear_estop").success
    rig.until(lambda: controller.last.action_source == RobotState.SOURCE_CONTROLLER, "actions again")


@pytest.mark.parametrize("profile", [qos.COMMAND, qos.ESTOP[1]], ids=["reliable", "best effort"])
def test_a_button_that_is_only_tapped_stops_whatever_it_offers(rig, profile):
    rig.add(SimBridge, **LOCK_STEP)
    button, safety = rig.speak(Bool, "estop", profile), heard(rig)
    for pressed in (True, False, False):  # before the bridge looks again
        button.publish(Bool(data=pressed))
    rig.until(lambda: safety and safety[-1].mode == SafetyState.MODE_ESTOP, "the stop")
    assert rig.call(Trigger, "sim_bridge/clear_estop").success
    rig.until(lambda: safety[-1].mode != SafetyState.MODE_ESTOP, "the end of the stop, which is not heard again")


def test_with_a_dead_man_the_robot_moves_only_while_it_is_pressed(rig):
    rig.add(SimBridge, safety__dead_man=True, safety__dead_man_timeout=0.5, **LOCK_STEP)
    controller, safety = Controller(rig), heard(rig)
    controller.reach(5)
    assert {s.status for s in controller.states if s.tick <= 5} == {RobotState.STATUS_HOLDING}
    assert "dead-man" in safety[-1].reason
    switch = rig.speak(Bool, "dead_man", qos.COMMAND)
    switch.publish(Bool(data=True))
    rig.until(lambda: controller.last.action_source == RobotState.SOURCE_CONTROLLER, "motion")
    first = controller.last.tick
    rig.until(lambda: controller.last.status == RobotState.STATUS_HOLDING, "the hold, as nobody presses any more")
    moved = [s for s in controller.states if s.tick >= first and s.action_source == RobotState.SOURCE_CONTROLLER]
    assert len({s.tick for s in moved}) * SPEC.dt_s <= 0.5 + 2 * SPEC.dt_s
    switch.publish(Bool(data=True))
    rig.until(lambda: controller.last.action_source == RobotState.SOURCE_CONTROLLER, "motion again")
    switch.publish(Bool(data=False))
    rig.until(lambda: controller.last.status == RobotState.STATUS_HOLDING, "the hold at once")


def test_a_bridge_that_is_not_enabled_by_itself_waits_for_it_and_then_ramps(rig):
    bridge = rig.add(SimBridge, safety__auto_enable=False, safety__ramp=0.5, **LOCK_STEP)
    controller, safety = Controller(rig), heard(rig)
    controller.reach(3)
    assert controller.last.status == RobotState.STATUS_DISABLED
    assert bridge._condition()[:2] == (WARN, "disabled: not enabled yet")
    controller.answering = False
    assert rig.call(SetBool, "sim_bridge/enable", data=True).success
    rig.until(lambda: safety[-1].mode == SafetyState.MODE_RAMPING, "the ramp")
    sizes = []
    while not sizes or sizes[-1] < 1:
        tick = bridge.tick
        rig.until(lambda tick=tick: controller.last.tick == tick, "the state")
        controller.answer(controller.last, np.ones(SPEC.nu))
        controller.reach(tick + 1)
        sizes.append(controller.last.applied_action[0])
    assert sizes[0] <= SPEC.dt_s / 0.5 + 1e-9  # an answer that was on its way may have begun the ramp
    np.testing.assert_allclose(np.diff(sizes), SPEC.dt_s / 0.5, atol=1e-9)
    rig.until(lambda: safety[-1].mode == SafetyState.MODE_ACTIVE, "active")
    assert bridge._condition()[0] == OK


def test_a_tilted_robot_trips_and_is_cleared_when_it_stands_again(rig):
    bridge = rig.add(SimBridge, safety__max_tilt=1.0, reset_after_fall=False, **LOCK_STEP)
    controller, safety = Controller(rig), heard(rig)
    upside_down = bridge.simulation.measure()
    upside_down[SPEC.measurement.orientation] = (0, 1, 0, 0)
    bridge.simulation.reset(upside_down)
    rig.until(lambda: controller.last.status == RobotState.STATUS_TRIPPED, "the trip")
    rig.until(lambda: safety and "max_tilt" in safety[-1].reason, "why")
    refused = rig.call(Trigger, "sim_bridge/clear_estop")
    assert (refused.success, "still tilted" in refused.message) == (False, True)
    refused = rig.call(SetBool, "sim_bridge/enable", data=True)
    assert (refused.success, "clear it first" in refused.message) == (False, True)
    assert rig.call(Trigger, "sim_bridge/reset").success
    rig.until(lambda: controller.last.episode == 2, "the new episode")
    assert controller.last.status == RobotState.STATUS_TRIPPED
    assert rig.call(Trigger, "sim_bridge/clear_estop").success
    rig.until(lambda: controller.last.action_source == RobotState.SOURCE_CONTROLLER, "actions again")


def test_limits_may_be_set_at_any_time_and_hold_from_then_on(rig, put):
    bridge = rig.add(SimBridge, **LOCK_STEP)
    controller = Controller(rig)
    assert put("safety.action_limit", 0.05) == (True, "")
    since = controller.last.tick
    controller.reach(since + 10)
    later = np.array([s.applied_action for s in controller.states if s.tick > since + 2])
    assert np.abs(later).max() == 0.05
    assert bridge.safety.layer.limited > 0
    assert put("safety.action_limit", 1.5)[0] is False
    assert put("safety.dry_run", True) == (True, "")
    refused = put("safety.dry_run", False)
    assert (refused[0], "disable it first" in refused[1]) == (False, True)
    rig.until(lambda: controller.last.action_source == RobotState.SOURCE_SAFE, "a dry run")
    assert controller.last.status == RobotState.STATUS_ACTIVE
    assert bridge._condition()[1] == "dry run: nothing is sent"
    limit = rig.call(DescribeParameters, "sim_bridge/describe_parameters", names=["safety.action_limit"])
    described = limit.descriptors[0]
    assert (described.description, described.read_only) == ("largest size of an action", False)
    assert described.floating_point_range[0].to_value == 1.0


def test_in_real_time_the_robot_holds_without_answers_and_goes_on_with_them(rig):
    bridge = rig.add(SimBridge, safety__ramp=0.2)
    controller, safety = Controller(rig), heard(rig)
    rig.until(lambda: bridge.safety.layer.mode is Mode.ACTIVE, "full size")
    controller.answering = False
    rig.until(lambda: controller.last.status == RobotState.STATUS_HOLDING, "the hold")
    assert bridge._condition()[:2] == (WARN, f"holding: {NO_ANSWER}")
    answered = max(s.tick for s in controller.states if s.action_source == RobotState.SOURCE_CONTROLLER)
    told = {s.tick: s for s in controller.states}
    assert min(t for t, s in told.items() if s.status == RobotState.STATUS_HOLDING and t > answered) == answered + 2
    assert {tuple(told[t].applied_action) for t in told if t > answered} == {SPEC.safe_action}
    missed, tick = bridge.missed, controller.last.tick
    controller.reach(tick + 5)
    assert bridge.missed == missed  # it is not late, it is not there
    controller.answering = True
    rig.until(lambda: bridge.safety.layer.mode is Mode.RAMPING, "the ramp")
    rig.until(lambda: bridge.safety.layer.mode is Mode.ACTIVE, "full size")
    assert bridge._condition()[0] == OK
    rig.probe.destroy_publisher(controller.publisher)
    controller.answering = False
    rig.until(lambda: safety[-1].reason == NO_CONTROLLER, "the missing controller")
    assert controller.last.status == RobotState.STATUS_HOLDING


def test_a_controller_that_never_came_is_told_of(rig):
    bridge = rig.add(SimBridge)
    states = rig.hear(RobotState, "state", qos.STATE_ALL)
    rig.until(lambda: bridge.tick > 3 and states, "some ticks")
    assert {s.status for s in states} == {RobotState.STATUS_HOLDING}
    assert bridge._condition()[:2] == (WARN, f"holding: {NO_CONTROLLER}")
    assert bridge.missed == 0
