"""Who takes the commands: nobody, somebody with other joints, somebody who does not tell, a command-line tool."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from rcl_interfaces.msg import Log
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.hardware_stand_in import HardwareStandIn
from mbmf_ros.robots import robot

pytestmark = pytest.mark.ros
SPEC = robot("ant")
TOPIC = "effort_controller/commands"


def controller(rig, joints: list[str] | None, **options) -> Node:
    """A node that takes commands; with ``joints`` it has that parameter."""

    def make(**given) -> Node:
        node = Node("effort_controller", **options, **given)
        if joints is not None:
            node.declare_parameter("joints", joints)
        node.create_subscription(Float64MultiArray, TOPIC, lambda _: None, qos.COMMAND)
        return node

    return rig.add(make)


@pytest.fixture
def warnings(rig) -> list[str]:
    """That the order of the joints is not known, as told by the bridge."""
    heard: list[str] = []

    def on_log(message: Log) -> None:
        if "compare command.order yourself" in message.msg:
            heard.append(message.msg)

    rig.probe.create_subscription(Log, "/rosout", on_log, qos.STATE_ALL)
    return heard


@pytest.mark.parametrize("command", [{}, {"interface": "position"}])
def test_a_listener_that_is_lost_makes_the_robot_hold_until_there_is_one_again(setup, rig, command):
    bridge, fake = setup(command=command, checks={"start_distance": 3.0})
    fake.enable()
    fake.rig.until(lambda: fake.commands and bridge.output.in_force is not None, "commands")
    episode = fake.last.episode
    rig.probe.destroy_subscription(fake.listening)
    rig.until(lambda: fake.last.status == RobotState.STATUS_HOLDING, "holding")
    rig.until(lambda: "nobody listens on /effort_controller/commands" in bridge.safety.layer.reason, "the reason")
    first = len(fake.states)
    fake.reach(5)
    assert bridge.output.in_force is None
    assert fake.transitions(first) == []  # what the robot does is not known
    fake.listen()
    rig.until(lambda: fake.last.status == RobotState.STATUS_ACTIVE, "going on")
    count = len(fake.commands)
    rig.until(lambda: len(fake.commands) > count, "commands")
    assert fake.last.episode == episode


def test_a_posture_that_nobody_heard_of_is_not_gone_on_from(setup, rig):
    """The joints are where they were when the listener was lost, and the first target after that is there."""
    bridge, fake = setup(command={"interface": "position", "stop_speed": 1e-3}, checks={"start_distance": 3.0})
    fake.m = fake.m.copy()
    fake.m[SPEC.measurement.joint_position] = 0.4
    fake.enable()
    rig.probe.destroy_subscription(fake.listening)
    rig.until(lambda: bridge.output.in_force is None, "the loss")
    fake.m[SPEC.measurement.joint_position] = 0.8
    fake.reach(10)
    fake.listen()
    count = len(fake.commands)
    rig.until(lambda: len(fake.commands) > count, "a command")
    scale = [bridge.hardware.joints[name].scale for name in SPEC.actuated_joints]
    assert bridge.output.in_force == pytest.approx([0.8 / one for one in scale], abs=1e-3)


def test_a_controller_of_other_joints_refuses_the_start(setup, rig):
    bridge, fake = setup()
    order = list(bridge.hardware.command.order)
    wrong = controller(rig, [order[1], order[0], *order[2:]])
    line = f"/effort_controller takes commands for the joints {order[1]}, {order[0]}"
    rig.until(lambda: any(problem.startswith(line) for problem in bridge._problems()), "the difference")
    refusal = rig.call(SetBool, "hardware_bridge/enable", data=True)
    assert not refusal.success
    assert f"command.order has {order[0]}, {order[1]}" in refusal.message
    wrong.destroy_node()
    rig.until(lambda: not bridge._problems(), "nobody else")
    fake.enable()
    controller(rig, order[:3])
    rig.until(lambda: fake.last.status == RobotState.STATUS_HOLDING, "holding")
    assert "takes commands for the joints" in bridge.safety.layer.reason


def test_a_controller_of_the_joints_that_are_commanded_is_what_is_asked_for(setup, rig, warnings):
    controller(rig, [f"r_{name}" for name in reversed(SPEC.actuated_joints)])
    bridge, fake = setup()
    assert bridge.output.listeners.told
    fake.enable()
    fake.reach(5)
    assert warnings == []


def test_who_does_not_tell_its_joints_is_warned_of_once_and_takes_commands(setup, rig, warnings):
    bridge, fake = setup()  # the probe has no such parameter
    rig.until(lambda: warnings, "the warning")
    controller(rig, None, start_parameter_services=False)
    rig.until(lambda: len(bridge.output.listeners._known) == 2, "the listener")
    rig.until(lambda: not bridge.output.listeners.unasked(), "the end of patience")
    assert not bridge.output.listeners.told
    fake.enable()
    fake.reach(5)
    assert len(warnings) == 1


def test_a_command_line_tool_is_no_listener(setup, rig):
    bridge, fake = setup()
    rig.add(lambda **given: Node("_ros2cli_123", **given)).create_subscription(
        Float64MultiArray, TOPIC, lambda _: None, qos.COMMAND
    )
    rig.until(lambda: len(bridge.output.listeners._known) == 2, "the tool")
    rig.until(lambda: not bridge._problems(), "the robot")
    rig.probe.destroy_subscription(fake.listening)
    rig.until(lambda: any("nobody listens" in problem for problem in bridge._problems()), "the loss")


def test_the_stand_in_tells_its_joints(rig, tmp_path):
    from fake_robot import write

    file = write(tmp_path / "robot.yaml")
    stand_in = rig.add(HardwareStandIn, config=str(file))
    assert stand_in.get_parameter("joints").value[0] == "r_ankle_4"
