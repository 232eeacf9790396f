"""What goes wrong with a robot behind the hardware bridge: its sensors, its clock, its controller, the bridge itself.

The robot is the ant's stand-in. Control is lost when a measurement is older than its age limit, or not credible.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import statistics
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import Imu, JointState
from std_srvs.srv import SetBool

from mbmf_ros.deployment import discovery_environment
from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import time_seconds
from mbmf_ros.robots import robot

pytestmark = pytest.mark.ros
SPEC = robot("ant")
TYPES = {bool: (ParameterType.PARAMETER_BOOL, "bool_value"), str: (ParameterType.PARAMETER_STRING, "string_value")}
TYPES |= {float: (ParameterType.PARAMETER_DOUBLE, "double_value")}
MAX_AGE_PERIODS = 3  # of every input: 0.15 s
JUMP_PERIODS = 3  # what is measured anew: 3 messages in a row, 20 ms each, begun anywhere, and a control period
JUMP_SEEN_PERIODS = 24  # longer than anything that one jump may bring about
JUMPS = 3
SAMPLE_S = 0.02  # between two messages of a sensor
STALL_PERIODS = 8  # of a busy computer; who waits for a lock in shared memory does so for 20


def set_fault(real, name: str, value: bool | str | float) -> None:
    kind, field = TYPES[type(value)]
    parameter = Parameter(name=f"fault.{name}", value=ParameterValue(type=kind, **{field: value}))
    answer = real.call(SetParameters, "hardware_stand_in/set_parameters", parameters=[parameter])
    assert answer.results[0].successful, answer.results[0].reason


def holds(real, because: str) -> None:
    real.until(lambda: real.last.status == RobotState.STATUS_HOLDING, "holding")
    real.until(lambda: because in real.safety.reason, f"the reason: {because}")
    real.until(lambda: real.commands and not np.any(real.commands[-1][0]), "the safe command")


def moving_commands_since(real, since_s: list[float]) -> int:
    """Commands sent since the last of these times [s] up to the first safe one, which there has to be."""
    later = lambda: [bool(np.any(command)) for command, at_s in real.commands if at_s > since_s[-1]]  # noqa: E731
    real.until(lambda: False in later(), "the safe command")
    return later().index(False)


def goes_on(real, episode: int) -> None:
    """It walks on along the path that it had."""
    real.until(lambda: real.walking, "walking on")
    real.gets_on()
    assert real.last.episode == episode


@pytest.mark.skipif(
    "FASTDDS_DEFAULT_PROFILES_FILE" not in {**os.environ, **discovery_environment(None)},
    reason="the environment has settings of its own for Fast DDS, or another middleware",
)
def test_no_node_shares_memory_or_listens_beyond_this_machine(real):
    """Who is stopped or killed may hold any lock in shared memory: whoever sends to it would wait for that."""
    sockets: dict[str, set[str]] = {}
    for node, pid in real.pids().items():
        threads, sockets[node] = set(), set()
        for entry in (*Path(f"/proc/{pid}/task").iterdir(), *Path(f"/proc/{pid}/fd").iterdir()):
            with contextlib.suppress(OSError):  # it is gone
                if entry.parent.name == "task":
                    threads.add((entry / "comm").read_text().strip())
                else:
                    sockets[node].add(os.readlink(entry))
        assert any(name.startswith("dds.udp") for name in threads), (node, threads)
        assert not any(name.startswith("dds.shm") for name in threads), (node, threads)
    lines = [line.split() for path in ("udp", "udp6") for line in Path("/proc/net", path).read_text().splitlines()[1:]]
    address = {f"socket:[{words[9]}]": words[1].split(":")[0] for words in lines}
    for node, its in sockets.items():
        assert {address[name] for name in its if name in address} == {"0100007F"}, node  # 127.0.0.1
    real.gets_on()


def test_a_silent_imu(real, moment, measured):
    heard_s = real.when(Imu, "imu/data")
    moment(real)
    episode = real.last.episode
    set_fault(real, "imu_silent", True)
    try:
        holds(real, "imu")
        periods = moving_commands_since(real, heard_s)
    finally:
        set_fault(real, "imu_silent", False)
    goes_on(real, episode)
    measured("IMU silence", safe_periods_after_the_last_message=periods)
    assert periods <= MAX_AGE_PERIODS + 2


@pytest.mark.parametrize("sensor", ["joint_states", "odom"])
def test_numbers_that_are_none(real, moment, measured, sensor):
    if sensor == "joint_states":
        good_s = real.when(JointState, sensor, lambda message: bool(np.isfinite(message.position).all()))
    else:
        good_s = real.when(Odometry, sensor, lambda message: math.isfinite(message.pose.pose.position.x))
    moment(real)
    episode, refused = real.last.episode, real.refused("hardware_bridge")
    set_fault(real, "nan", sensor)
    try:
        holds(real, {"joint_states": sensor, "odom": "pose"}[sensor])
        periods = moving_commands_since(real, good_s)
        real.until(lambda: real.refused("hardware_bridge") > refused, "the count")
    finally:
        set_fault(real, "nan", "")
    goes_on(real, episode)
    measured(f"NaN on {sensor}", safe_periods_after_the_last_good_message=periods)
    assert periods <= MAX_AGE_PERIODS + 2


def test_an_odometry_that_jumps(real, moment, measured):
    before = real.last.pose.position.x
    jumped_s = real.when(Odometry, "odom", lambda message: message.pose.pose.position.x > before + 20.0)
    moment(real)
    episode = real.last.episode
    set_fault(real, "odom_jump", 30.0)
    holds(real, "the pose jumped")
    periods = moving_commands_since(real, jumped_s[:1])
    real.until(lambda: real.last.episode == episode + 1, "the new episode, where it is now")
    real.until(lambda: real.actions[-1].idle, "standing still: where its path lies nobody knows")
    set_fault(real, "odom_jump", 0.0)
    real.until(lambda: real.last.episode == episode + 2, "the new episode, back there")
    real.walk()  # it takes the next task
    measured("odometry jump", safe_periods_after_it_was_told=periods)
    assert periods <= 2


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, -0.2])
def test_a_robots_clock_that_jumps(real, moment, measured, jump_s):
    moment(real)
    first = len(real.ticks)
    unmeasured: dict[bool, list[int]] = {False: [], True: []}
    try:
        for turn in range(2 * JUMPS):  # without a jump and with one in turn: a busy computer leaves out periods too
            before, jumps = len(real.ticks) - 1, turn % 2 == 1
            if jumps:
                set_fault(real, "clock_jump", (turn + 1) / 2 * jump_s)
            real.reach(JUMP_SEEN_PERIODS)
            unmeasured[jumps].append(real.unmeasured_periods(before))
        real.gets_on()
    finally:
        set_fault(real, "clock_jump", 0.0)
    real.until(lambda: real.walking, "walking on")
    real.undisturbed(first)
    without, with_one = (statistics.median(unmeasured[jumps]) for jumps in (False, True))
    measured(f"clock jump by {jump_s:+g} s", unmeasured_periods=with_one, without_a_jump=without)
    assert with_one <= without + JUMP_PERIODS


def test_a_robot_that_goes_dead(real, moment, measured):
    heard_s = real.when(JointState, "joint_states")
    moment(real)
    episode = real.last.episode
    real.status.pop("hardware_stand_in")
    set_fault(real, "freeze", True)
    try:
        holds(real, "joint_states: nothing usable")
        periods = moving_commands_since(real, heard_s)
        let_go = lambda: "let go" in real.status.get("hardware_stand_in", DiagnosticStatus()).message  # noqa: E731
        real.until(let_go, "drives that let go")
        silent = len(real.ticks)
    finally:
        set_fault(real, "freeze", False)
    real.until(lambda: len(real.ticks) > silent and real.last.status == RobotState.STATUS_ACTIVE, "control")
    measured("robot dead", safe_periods_after_the_last_message=periods, same_episode=real.last.episode == episode)
    assert periods <= MAX_AGE_PERIODS + 2
    if real.last.episode == episode:
        goes_on(real, episode)
    else:  # it came to rest where nobody could expect it: its path is no more
        real.until(lambda: real.actions[-1].idle, "standing still")
        real.walk()


def test_a_killed_controller_behind_the_hardware_bridge(real, moment, measured):
    moment(real)
    episode, before = real.last.episode, real.pids()["mpc_controller"]
    real.status.pop("mpc_controller")
    first, killed_s = real.kill("mpc_controller")
    holds(real, "controller")
    real.until(lambda: real.first_safe(first) >= 0, "the safe action")
    periods, held = real.periods_out_of_control(first), real.ticks[real.first_safe(first)]
    stall = real.unmeasured_periods(first - 1)
    real.until(lambda: real.is_back("mpc_controller", before), "the restart")
    goes_on(real, episode)  # the waypoints node's topic is latched
    measured(
        "kill -9 mpc_controller, hardware bridge",
        safe_periods_after_control_was_lost=periods,
        unmeasured_periods=stall,
        told_ms_after_the_fault=1e3 * (held.at_s - killed_s),
        walks_on_s_after_the_fault=time.monotonic() - killed_s,
    )
    assert periods <= 2
    assert stall <= STALL_PERIODS


def test_a_killed_learner_behind_the_hardware_bridge(real, graphs, moment, measured):
    graphs.log_may_have_gaps = True
    moment(real)
    before = real.pids()["dynamics_learner"]
    real.status.pop("dynamics_learner")
    first, killed_s = real.kill("dynamics_learner")
    periods = real.gets_on()
    real.until(lambda: real.is_back("dynamics_learner", before), "the restart", timeout_s=120)
    back_s = time.monotonic() - killed_s
    real.gets_on()
    real.undisturbed(first)
    measured("kill -9 dynamics_learner, hardware bridge", periods_for_0_4_m=periods, back_s_after_the_fault=back_s)


def test_a_hanging_controller(real, moment, measured):
    moment(real)
    episode = real.last.episode
    first, stopped_s = real.kill("mpc_controller", signal.SIGSTOP)
    try:
        holds(real, "the controller does not answer")
        real.until(lambda: real.first_safe(first) >= 0, "the safe action")
        periods, held = real.periods_out_of_control(first), real.ticks[real.first_safe(first)]
        stall = real.unmeasured_periods(first - 1)
        real.until(lambda: time.monotonic() > stopped_s + 2.0, "two seconds")
    finally:
        real.kill("mpc_controller", signal.SIGCONT)
    goes_on(real, episode)
    measured(
        "SIGSTOP mpc_controller, hardware bridge",
        safe_periods_after_control_was_lost=periods,
        unmeasured_periods=stall,
        told_ms_after_the_fault=1e3 * (held.at_s - stopped_s),
    )
    assert periods <= 2
    assert stall <= STALL_PERIODS


def test_a_killed_bridge(real, moment, measured):
    torques: list[tuple[float, np.ndarray]] = []  # by the robot's clock [s]

    def on_joints(message: JointState) -> None:
        torques.append((time_seconds(message.header.stamp), np.array(message.effort)))

    real.hear(JointState, "joint_states", qos.SENSOR, on_joints)
    moment(real)
    before = real.pids()["hardware_bridge"]
    real.until(lambda: torques and torques[-1][1].any(), "torque")
    real.status.pop("hardware_bridge")
    _, killed_s = real.kill("hardware_bridge")
    real.until(lambda: not torques[-1][1].any(), "drives that let go")
    last = max(index for index, (_, torque) in enumerate(torques) if torque.any())
    obeyed = last
    while obeyed > 0 and np.array_equal(torques[obeyed - 1][1], torques[last][1]):
        obeyed -= 1  # since then: the last command
    stamps_s = [stamp_s for stamp_s, _ in torques[obeyed : last + 2]]
    lived_s = np.minimum(np.diff(stamps_s), 2 * SAMPLE_S).sum()  # a stand-in that stalls does nothing meanwhile
    periods = lived_s / SPEC.dt_s - 1  # the command was good for one
    real.until(lambda: real.is_back("hardware_bridge", before), "the restart")
    real.until(lambda: real.last.status == RobotState.STATUS_DISABLED, "a bridge that is not enabled")
    real.reach(10)
    assert not any(torque.any() for _, torque in torques[-10:])
    back_s = time.monotonic() - killed_s
    measured("kill -9 hardware_bridge", no_torque_periods_after_control_was_lost=periods, back_s_after_the_fault=back_s)
    assert periods <= 2
    real.until(lambda: real.call(SetBool, "hardware_bridge/enable", data=True).success, "being enabled again")
    real.until(lambda: real.last.status == RobotState.STATUS_ACTIVE, "a robot that takes orders")
    real.reach(10)
    assert not real.walking  # its path went with the old bridge
    real.walk()  # it takes the next task


def test_a_killed_stand_in_ends_everything(real_to_lose, moment, measured):
    graph = real_to_lose
    moment(graph)
    _, killed_s = graph.kill("hardware_stand_in")
    assert graph.process.wait(timeout=60) == 1
    measured("kill -9 hardware_stand_in", all_ended_s_after_the_fault=time.monotonic() - killed_s)
    said = "hardware_stand_in was killed by SIGKILL (exit code -9); nothing works without it: stopping everything"
    assert said in graph.said()
    assert not graph.pids()
