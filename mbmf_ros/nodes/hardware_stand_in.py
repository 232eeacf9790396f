"""A robot that is not there, behind the topics that a real one has, to try a hardware bridge at one's desk.

It publishes `joint_states`, `imu/data` and `odom` and takes `effort_controller/commands`, or whatever the robot's
hardware file names, in the units, order and signs that it names. It has a physics loop of its own, drives that hold the
last command and let go without one, sensors that err, a radio that loses messages, and a clock that was never set to
ours. It knows nothing of states, actions, episodes or control periods.

Physics follows the wall clock: a sample that is late is followed by the next one in time. After a longer stop (beyond
CATCH_UP_S) the time that was missed is left out, and counted; the robot's clock goes on meanwhile.

The parameters `fault.*` may be set at any time: a silent IMU, an odometry jump, numbers that are none, a jump of the
robot's clock, a computer that hangs. `~/reset` lifts the robot back to its start. `~/truth` is where it really is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry as OdometryMessage
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.config import load_hardware
from mbmf_ros.hardware.stand_in.circuitry import circuitry_of
from mbmf_ros.hardware.stand_in.config import FaultConfig
from mbmf_ros.hardware.stand_in.robot import Sample, StandIn
from mbmf_ros.hardware.stand_in.sensors import Odometry
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles, set_quaternion, set_vector, time_message
from mbmf_ros.nodes.hardware_listeners import PARAMETER
from mbmf_ros.nodes.parameter_groups import settable
from mbmf_ros.nodes.rejects import Rejects
from mbmf_ros.nodes.runtime import OK, STEADY, WARN, Diagnostics, declare, run
from mbmf_ros.nodes.services import offer
from mbmf_ros.nodes.stand_in_config import HardwareStandInConfig

GROUP = "fault"
CATCH_UP_S = 0.1


class HardwareStandIn(Node):
    """See the module."""

    def __init__(self, **options):
        super().__init__("hardware_stand_in", **options)
        self.config = config = declare(self, HardwareStandInConfig(), mutable=(GROUP,))
        if not config.config:
            raise MbmfError("config: expected the robot's hardware file, for example config/hardware/ant_stand_in.yaml")
        hardware = load_hardware(Path(config.config).expanduser())
        if hardware.robot != config.robot:
            raise MbmfError(f"config: {config.config} is of robot {hardware.robot!r}, expected {config.robot!r}")
        self.spec = hardware.spec
        self.robot = StandIn(self.spec, circuitry_of(hardware), config, time.time())
        self.robot.break_down(config.fault)
        self.rejects = Rejects()
        self.left_out_s = 0.0
        self._started_s: float | None = None  # by the steady clock; with the first timer
        self._samples, self._reported_samples, self._reported_s = 0, 0, time.monotonic()

        posed = PoseStamped if hardware.pose.source == "pose" else OdometryMessage
        self._joint_states = self.create_publisher(JointState, hardware.joint_states.topic, qos.SENSOR_PUB)
        self._imu = self.create_publisher(Imu, hardware.imu.topic, qos.SENSOR_PUB)
        self._odom = self.create_publisher(posed, hardware.pose.topic, qos.SENSOR_PUB)
        self._truth = self.create_publisher(OdometryMessage, "~/truth", qos.SENSOR_PUB)
        self._odom_frame = hardware.pose.frame or config.odom_frame
        self._messages: dict[str, tuple[Any, Callable[[Any], Any]]] = {
            "joint_states": (self._joint_states, self._joint_message),
            "imu": (self._imu, self._imu_message),
            "odom": (self._odom, self._pose_message if posed is PoseStamped else self._odometry_message),
        }
        self.create_subscription(Float64MultiArray, hardware.command.topic, self._on_command, qos.COMMAND)
        text = "joints in the order of the commands, as a forward command controller of ros2_control has them"
        described = ParameterDescriptor(description=text, read_only=True)
        self.declare_parameter(PARAMETER, list(hardware.command.order), described)
        settable(self, GROUP, lambda: self.robot.faults, self._break_down)
        offer(self, Trigger, "reset", self._on_reset)
        self._diagnostics = Diagnostics(self, self.spec.name, self._condition, self.rejects)
        fastest = max(hardware.joint_states.rate, hardware.imu.rate, hardware.pose.rate)
        self.create_timer(1 / fastest, self._on_time, clock=STEADY)
        self.get_logger().info(
            f"a robot {self.spec.name!r} that is not there: {config.noise} sensors at up to {fastest:g} Hz, "
            f"{1e3 * config.actuator_delay:g} ms actuator delay, {100 * config.packet_loss:g} % loss"
        )

    # Time -------------------------------------------------------------------------------------------------------------

    def _now_s(self) -> float:
        """The robot's time: the wall's since the start, less what was left out [s]."""
        now_s = time.monotonic()
        if self._started_s is None:
            self._started_s = now_s
        return now_s - self._started_s - self.left_out_s

    def _on_time(self) -> None:
        now_s = self._now_s()
        missed_s = now_s - self.robot.now_s - CATCH_UP_S
        if missed_s > 0:
            self.left_out_s += missed_s
            now_s -= missed_s
            self.robot.clock.jump(missed_s)  # a clock goes on: stamps that fell behind would be of old measurements
            self.get_logger().warning(
                f"left out {1e3 * missed_s:.0f} ms. Is the computer busy?", throttle_duration_sec=5.0
            )
        try:
            samples = self.robot.advance(now_s)
        except MbmfError as error:
            self.get_logger().error(f"{error}; the robot is lifted back to its start")
            self.robot.reset()
            return
        for sample in samples:
            publisher, message = self._messages[sample.sensor]
            publisher.publish(message(sample))
            self._samples += 1
        if samples and self._truth.get_subscription_count():
            self._truth.publish(self._truth_message(samples[-1].stamp_ns))

    # Messages ---------------------------------------------------------------------------------------------------------

    def _joint_message(self, sample: Sample) -> JointState:
        joints: Any = sample.value
        message = JointState(name=list(self.robot.circuitry.names))
        message.header.stamp = time_message(sample.stamp_ns)
        message.position, message.velocity = doubles(joints.position), doubles(joints.velocity)
        message.effort = doubles(joints.effort)
        return message

    def _imu_message(self, sample: Sample) -> Imu:
        inertial: Any = sample.value
        message = Imu()
        message.header.stamp, message.header.frame_id = time_message(sample.stamp_ns), self.config.imu_frame
        set_quaternion(message.orientation, inertial.orientation)
        set_vector(message.angular_velocity, inertial.angular_velocity)
        set_vector(message.linear_acceleration, inertial.linear_acceleration)
        return message

    def _odometry_message(self, sample: Sample) -> OdometryMessage:
        odometry: Any = sample.value
        message = OdometryMessage(child_frame_id=self.config.base_frame)
        message.header.stamp, message.header.frame_id = time_message(sample.stamp_ns), self._odom_frame
        set_vector(message.pose.pose.position, odometry.position)
        set_quaternion(message.pose.pose.orientation, odometry.orientation)
        set_vector(message.twist.twist.linear, odometry.linear_velocity)
        set_vector(message.twist.twist.angular, odometry.angular_velocity)
        return message

    def _pose_message(self, sample: Sample) -> PoseStamped:
        message = PoseStamped()
        message.header.stamp, message.header.frame_id = time_message(sample.stamp_ns), self._odom_frame
        odometry: Any = sample.value
        set_vector(message.pose.position, odometry.position)
        set_quaternion(message.pose.orientation, odometry.orientation)
        return message

    def _truth_message(self, stamp_ns: int) -> OdometryMessage:
        m, layout = self.robot.truth, self.spec.measurement
        parts = (layout.position, layout.orientation, layout.linear_velocity, layout.angular_velocity)
        message = self._odometry_message(Sample("odom", stamp_ns, Odometry(*(m[part] for part in parts))))
        message.header.frame_id = "world"
        return message

    # Requests ---------------------------------------------------------------------------------------------------------

    def _on_command(self, message: Float64MultiArray) -> None:
        try:
            self.robot.command(np.asarray(message.data, dtype=np.float64), self._now_s())
        except MbmfError as error:
            self.rejects.add("command", error)
            self.get_logger().warning(f"ignored a {error}", throttle_duration_sec=5.0)

    def _on_reset(self, _: Trigger.Request) -> str:
        self.robot.reset()
        return "lifted back to the start"

    def _break_down(self, faults: FaultConfig) -> None:
        self.robot.break_down(faults)
        self.get_logger().warning(f"from now on: {faults}")

    def _condition(self) -> tuple[bytes, str, dict]:
        now_s = time.monotonic()
        rate = (self._samples - self._reported_samples) / max(1e-3, now_s - self._reported_s)
        self._reported_samples, self._reported_s = self._samples, now_s
        values = {"samples per second": rate, "left out [s]": self.left_out_s, **self.robot.counts}
        fallen = bool(self.spec.fallen(self.robot.truth))
        driven = "driven" if self.robot.driven else "no command: the drives have let go"
        return WARN if fallen else OK, "fallen; call reset" if fallen else driven, values


def main(args: list[str] | None = None) -> int:
    """Run the node; the process's exit code."""
    return run(HardwareStandIn, args)


if __name__ == "__main__":
    sys.exit(main())
