"""How the robot behind the topics is built and wired, from the file that its bridge reads too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mbmf_ros.hardware.config import HardwareConfig
from mbmf_ros.hardware.settings import ANGLES, TORQUES, VELOCITIES
from mbmf_ros.hardware.stand_in.driver import Wiring
from mbmf_ros.hardware.stand_in.sensors import quaternion_of_rpy


@dataclass(frozen=True)
class Circuitry:
    """What of a robot is not in its spec. Joints are in the robot's own order, that of their names.

    Attributes:
        names: what the robot calls its joints.
        joints: which joint of the spec each of them is, by index, (joints,).
        motors: for each motor, in the order of the commands, which of these joints it drives, (nu,).
        wiring: of all joints.
        units: of positions, velocities and efforts in [rad], [rad/s], [N m].
        interface: what a command says: effort, velocity or position.
        command_unit: of commands in [N m], [rad/s] or [rad].
        rates: samples per second of each sensor.
        mounting: orientation of the IMU on the base, a unit quaternion, w first, (4,).
        captured: motion capture tells the pose, which does not drift.
        tracked_position, tracked_orientation: [m] (3,) and (4,), of the frame on the base whose pose is told.
        twist: frame of the velocities told with it: base, odom or none.
    """

    names: tuple[str, ...]
    joints: np.ndarray
    motors: np.ndarray
    wiring: Wiring
    units: tuple[float, float, float]
    interface: str
    command_unit: float
    rates: Mapping[str, float]
    mounting: np.ndarray
    captured: bool
    tracked_position: np.ndarray
    tracked_orientation: np.ndarray
    twist: str


def circuitry_of(hardware: HardwareConfig) -> Circuitry:
    """What the file of a robot says about how it is built."""
    spec = hardware.spec
    ours = {joint.name: index for index, joint in enumerate(hardware.in_order())}
    names = sorted(ours)
    joints = [hardware.joints[spec.joints[ours[name]]] for name in names]
    units = hardware.units
    angle, velocity, torque = ANGLES[units.position], VELOCITIES[units.velocity], TORQUES[units.effort]
    command_units = {"position": angle, "velocity": velocity, "effort": torque}
    interface = hardware.command.interface
    return Circuitry(
        names=tuple(names),
        joints=np.array([ours[name] for name in names]),
        motors=np.array([names.index(name) for name in hardware.command.order]),
        wiring=Wiring(np.array([joint.sign * joint.gear for joint in joints]), np.array([j.offset for j in joints])),
        units=(angle, velocity, torque),
        interface=interface,
        command_unit=command_units[interface],
        rates={"joint_states": hardware.joint_states.rate, "imu": hardware.imu.rate, "odom": hardware.pose.rate},
        mounting=quaternion_of_rpy(*hardware.imu.rpy),
        captured=hardware.pose.source == "pose",
        tracked_position=np.array(hardware.pose.xyz),
        tracked_orientation=quaternion_of_rpy(*hardware.pose.rpy),
        twist=hardware.pose.twist,
    )
