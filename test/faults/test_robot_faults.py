"""What goes wrong with a robot behind the hardware bridge: its sensors, its clock, its controller, the bridge itself.

The robot is the ant's stand-in. Control is lost when a measurement is older than its age limit, or not credible.
"""

from __future__ import annotations

import math
import signal
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from nav_msgs.msg import Odometry
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import Imu, JointState
from std_srvs.srv import SetBool

from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import time_seconds
from mbmf_ros.robots import robot

pytestmark = pytest.mark.ros
SPEC = robot("ant")
TYPES = {bool: (ParameterType.PARAMETER_BOOL, "bool_value"), str: (ParameterType.PARAMETER_STRING, "string_value")}
TYPES |= {float: (ParameterType.PARAMETER_DOUBLE, "double_value")}
MAX_AGE_PERIODS = 3  # of every input: 0.15 s


def set_fault(real, name: str, value: bool | str | float) -> None:
    kind, field = TYPES[type(value)]
    parameter = Parameter(name=f"fault.{name}", value=ParameterValue(type=kind, **{field: value}))
    answer = real.call(SetParameters, "hardware_stand_in/set_parameters", parameters=[parameter])
    assert answer.results[0].successful, answer.results[0].reason


def holds(real, because: str) -> None:
    real.until(lambda: real.last.status == RobotState.STATUS_HOLDING, "holding")
    real.until(lambda: because in real.safety.reason, f"the reason: {because}")
    real.until(lambda: real.commands and not np.any(real.commands[-1][0]), "the safe command")


def moving_commands_since(real, since_s: float) -> int:
    """Commands heard since then [s] up to the first safe one."""
    later = [bool(np.any(command)) for command, at_s in real.commands if at_s > since_s]
    return later.index(False)


def goes_on(real, episode: int) -> None:
    """It walks on along the path that it had."""
    real.until(lambda: real.walking, "walking on")
    real.gets_on()
    assert real.last.episode == episode


def test_a_silent_imu(real, moment):
    heard_s: list[float] = []
    real.hear(Imu, "imu/data", qos.SENSOR, lambda _: heard_s.append(time.monotonic()))
    moment(real)
    episode = real.last.episode
    set_fault(real, "imu_silent", True)
    try:
        holds(real, "imu")
        periods = moving_commands_since(real, heard_s[-1])
    finally:
        set_fault(real, "imu_silent", False)
    goes_on(real, episode)
    print(f"IMU silence: safe command {periods} control periods after the last message, {MAX_AGE_PERIODS} are its age")
    assert periods <= MAX_AGE_PERIODS + 2


@pytest.mark.parametrize("sensor", ["joint_states", "odom"])
def test_numbers_that_are_none(real, moment, sensor):
    good_s: list[float] = []

    def on_joints(message: JointState) -> None:
        if sensor == "joint_states" and np.isfinite(message.position).all():
            good_s.append(time.monotonic())

    def on_odom(message: Odometry) -> None:
        if sensor == "odom" and math.isfinite(message.pose.pose.position.x):
            good_s.append(time.monotonic())

    real.hear(JointState, "joint_states", qos.SENSOR, on_joints)
    real.hear(Odometry, "odom", qos.SENSOR, on_odom)
    moment(real)
    episode, refused = real.last.episode, real.refused("hardware_bridge")
    set_fault(real, "nan", sensor)
    try:
        holds(real, "")
        periods = moving_commands_since(real, good_s[-1])
        real.until(lambda: real.refused("hardware_bridge") > refused, "the count")
    finally:
        set_fault(real, "nan", "")
    goes_on(real, episode)
    print(f"NaN on {sensor}: safe command {periods} control periods after the last good message")
    assert periods <= MAX_AGE_PERIODS + 2


def test_an_odometry_that_jumps(real, moment):
    jumped_s: list[float] = []
    before = real.last.pose.position.x

    def on_odom(message: Odometry) -> None:
        if message.pose.pose.position.x > before + 20.0:
            jumped_s.append(time.monotonic())

    real.hear(Odometry, "odom", qos.SENSOR, on_odom)
    moment(real)
    episode = real.last.episode
    set_fault(real, "odom_jump", 30.0)
    holds(real, "the pose jumped")
    periods = moving_commands_since(real, jumped_s[0])
    real.until(lambda: real.last.episode == episode + 1, "the new episode, where it is now")
    real.until(lambda: real.actions[-1].idle, "standing still: where its path lies nobody knows")
    set_fault(real, "odom_jump", 0.0)
    real.until(lambda: real.last.episode == episode + 2, "the new episode, back there")
    real.walk()  # it takes the next task
    print(f"odometry jump: safe command {periods} control periods after it was told")
    assert periods <= 2


@pytest.mark.parametrize("jump_s", [3600.0, 0.0])
def test_a_robots_clock_that_jumps(real, moment, jump_s):
    moment(real)
    first = len(real.ticks)
    set_fault(real, "clock_jump", jump_s)  # forwards, then backwards
    periods = real.gets_on(1.0)
    real.until(lambda: real.walking, "walking on")
    real.undisturbed(first)
    held = sum(tick.state.action_source == RobotState.SOURCE_SAFE for tick in real.ticks[first:])
    print(f"clock jump to {jump_s:+g} s: 1 m on took {periods} control periods, {held} with the safe action")


def test_a_hanging_controller(real, moment):
    moment(real)
    episode = real.last.episode
    first, stopped_s = real.kill("mpc_controller", signal.SIGSTOP)
    try:
        holds(real, "the controller does not answer")
        real.until(lambda: real.first_safe(first) >= 0, "the safe action")
        periods, held = real.periods_out_of_control(first), real.ticks[real.first_safe(first)]
        real.until(lambda: time.monotonic() > stopped_s + 2.0, "two seconds")
    finally:
        real.kill("mpc_controller", signal.SIGCONT)
    goes_on(real, episode)
    after_ms = 1e3 * (held.at_s - stopped_s)
    print(f"SIGSTOP: safe {periods} control periods after control was lost, told {after_ms:.0f} ms after the fault")
    assert periods <= 2


def test_a_killed_bridge(real, moment):
    torques: list[tuple[float, np.ndarray]] = []  # by the robot's clock [s]

    def on_joints(message: JointState) -> None:
        torques.append((time_seconds(message.header.stamp), np.array(message.effort)))

    real.hear(JointState, "joint_states", qos.SENSOR, on_joints)
    moment(real)
    before = real.pids()["hardware_bridge"]
    real.status.pop("hardware_bridge")
    _, killed_s = real.kill("hardware_bridge")
    real.until(lambda: not torques[-1][1].any(), "drives that let go")
    free_s, held = torques[-1][0], torques[-2][1]
    obeyed_s = next(at_s for at_s, torque in torques if np.array_equal(torque, held))  # since then: the last command
    periods = (free_s - obeyed_s) / SPEC.dt_s - 1  # it was good for one
    real.until(lambda: real.is_back("hardware_bridge", before), "the restart")
    real.until(lambda: real.last.status == RobotState.STATUS_DISABLED, "a bridge that is not enabled")
    real.reach(10)
    assert not any(torque.any() for _, torque in torques[-10:])
    print(
        f"kill -9 hardware_bridge: no torque {periods:.1f} control periods after control was lost; "
        f"back after {time.monotonic() - killed_s:.1f} s"
    )
    assert periods <= 2
    real.until(lambda: real.call(SetBool, "hardware_bridge/enable", data=True).success, "being enabled again")
    real.until(lambda: real.last.status == RobotState.STATUS_ACTIVE, "a robot that takes orders")
    real.reach(10)
    assert not real.walking  # its path went with the old bridge
    real.walk()  # it takes the next task
