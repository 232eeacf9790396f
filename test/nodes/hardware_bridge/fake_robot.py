"""A robot at rest, and a controller, in the probe: what the bridge hears, and what it does about that."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from geometry_msgs.msg import Point, Quaternion, Vector3
from nav_msgs.msg import Odometry
from robot_side import SPEC, Robot, standing, values  # pyright: ignore[reportMissingImports]
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from mbmf_ros.hardware.config import HardwareConfig
from mbmf_ros.msg import RobotAction, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles, time_message
from mbmf_ros.nodes.runtime import STEADY

CLOCK_OFFSET_S = 5e4  # the robot's clock is not ours
SCALE = 20.0
# So that a busy computer does not fail what it does not test.
UNHURRIED = {"rate": 10.0, "max_age": 0.3}


def write(file: Path, **sections: Any) -> Path:
    """A YAML of a robot with signs and gears, on slow ages; ``sections`` are put over it."""
    content = values()
    for index, entry in enumerate(content["joints"].values()):
        entry.update(sign=-1 if index % 3 == 0 else 1, gear=2.0 + index, offset=0.1 * index, scale=SCALE, limit=SCALE)
    content["command"]["order"].reverse()
    content |= {name: dict(UNHURRIED) for name in ("joint_states", "imu", "pose")}
    content |= {"sync": {"tolerance": 0.05}, "safety": {"ramp": 0.0, "command_timeout_periods": 20}}
    for name, section in sections.items():
        content[name] = {**content.get(name, {}), **section}
    file.write_text(yaml.safe_dump(content))
    return file


class FakeRobot:
    """Publishes at 50 Hz what a robot in state ``m`` measures, notes its commands, and answers every state.

    Attributes:
        m: what it measures.
        silent: inputs that say nothing.
        answering: there is a controller that answers.
        reply: its next action; at random, unless set.
        commands: actions that arrived, in the spec's order, with the time of arrival and the number of states before.
        states, heard_s: heard so far, and when [s].
        given: answers, by episode and tick.
    """

    def __init__(self, rig: Any, bridge: Any = None, hardware: HardwareConfig | None = None):
        self.rig, self.bridge, self.hardware = rig, bridge, hardware or bridge.hardware
        self.m, self.silent, self.answering = standing(), set(), True
        self.commands: list[tuple[np.ndarray, float, int]] = []
        self.states: list[RobotState] = []
        self.rng = np.random.default_rng(0)
        self.reply = lambda: self.rng.uniform(-1, 1, SPEC.nu)
        self.robot = Robot(self.hardware)
        self.heard_s: list[float] = []
        self.given: dict[tuple[int, int], np.ndarray] = {}
        self.clock_s = CLOCK_OFFSET_S
        node = rig.probe
        self.joints = node.create_publisher(JointState, "joint_states", qos.SENSOR_PUB)
        self.imu = node.create_publisher(Imu, "imu/data", qos.SENSOR_PUB)
        self.odom = node.create_publisher(Odometry, "odom", qos.SENSOR_PUB)
        self.actions = node.create_publisher(RobotAction, "action", qos.ACTION)
        self.listen()
        node.create_subscription(RobotState, "state", self._on_state, qos.STATE_ALL)
        node.create_timer(0.02, self.tell, clock=STEADY)
        rig.until(lambda: self.states, "the first state")
        if bridge is not None:
            rig.until(lambda: not bridge._problems(), "a robot as it is described")

    def listen(self) -> None:
        """Take commands, until ``listening`` is destroyed."""
        topic = "effort_controller/commands"
        self.listening = self.rig.probe.create_subscription(Float64MultiArray, topic, self._on_command, qos.STATE_ALL)

    @property
    def last(self) -> RobotState:
        return self.states[-1]

    def enable(self) -> None:
        self.enable_holding()
        self.rig.until(lambda: self.last.status == RobotState.STATUS_ACTIVE, "being enabled")

    def enable_holding(self) -> None:
        """Enable it, whether there is a controller or not; on a computer that stalled just now it refuses, rightly."""
        ask = lambda: self.rig.call(SetBool, "hardware_bridge/enable", data=True).success  # noqa: E731
        self.rig.until(ask, "being allowed to move")

    def reach(self, more: int) -> None:
        """Wait for some more states."""
        count = len(self.states) + more
        self.rig.until(lambda: len(self.states) >= count, f"{more} more states")

    def tell(self) -> None:
        """Send one message on each topic."""
        header = JointState().header
        header.stamp = time_message(round(1e9 * (time.monotonic() + self.clock_s)))
        if "joint_states" not in self.silent:
            names, position, velocity = self.robot.joints(self.m)
            self.joints.publish(JointState(header=header, name=names, position=position, velocity=velocity))
        if "imu" not in self.silent:
            q, gyro, force = self.robot.imu(self.m)
            message = Imu(header=header, orientation=_q(q), angular_velocity=_v(gyro), linear_acceleration=_v(force))
            self.imu.publish(message)
        if "pose" not in self.silent:
            frame, position, q, linear, angular = self.robot.pose(self.m)
            odom = Odometry(header=header)
            odom.header.frame_id = frame
            odom.pose.pose.position, odom.pose.pose.orientation = Point(**_xyz(position)), _q(q)
            odom.twist.twist.linear, odom.twist.twist.angular = _v(linear), _v(angular)
            self.odom.publish(odom)

    def _on_command(self, message: Float64MultiArray) -> None:
        hardware = self.hardware
        told = dict(zip(hardware.command.order, message.data, strict=True))
        joints = [hardware.joints[name] for name in SPEC.actuated_joints]
        torque = np.array([told[joint.name] * joint.sign * joint.gear for joint in joints])
        self.commands.append((torque / SCALE, time.monotonic(), len(self.states)))

    def _on_state(self, state: RobotState) -> None:
        repeated = bool(self.states) and (state.episode, state.tick) == (self.last.episode, self.last.tick)
        self.states.append(state)
        self.heard_s.append(time.monotonic())
        if self.answering and not repeated:
            self.answer(state, self.reply())

    def answer(self, state: RobotState, action: Any, plan: Any = ()) -> None:
        """What a controller says to ``state``."""
        self.given[state.episode, state.tick] = np.asarray(action)
        answer = RobotAction(episode=state.episode, tick=state.tick, action=doubles(action), plan=doubles(plan))
        self.actions.publish(answer)

    def transitions(self, first: int = 0) -> list[tuple[RobotState, RobotState]]:
        """States from number ``first`` in the list on that are told to be transitions."""
        unique: dict[tuple[int, int], RobotState] = {}
        for state in self.states[first:]:
            unique.setdefault((state.episode, state.tick), state)
        return [(s, unique[e, t + 1]) for (e, t), s in unique.items() if (e, t + 1) in unique]


def _xyz(values: np.ndarray) -> dict[str, float]:
    return dict(zip("xyz", values.tolist(), strict=True))


def _v(values: np.ndarray) -> Vector3:
    return Vector3(**_xyz(values))


def _q(values: np.ndarray) -> Quaternion:
    return Quaternion(**dict(zip("wxyz", values.tolist(), strict=True)))
