"""Settings of a real robot's topics, of how they are brought together, and of what is checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.errors import MbmfError, unknown

ANGLES = {"rad": 1.0, "deg": math.pi / 180, "turn": 2 * math.pi}
VELOCITIES = {"rad/s": 1.0, "deg/s": math.pi / 180, "turn/s": 2 * math.pi, "rpm": math.pi / 30}
TORQUES = {"N m": 1.0, "mN m": 1e-3}
INTERFACES = ("effort", "velocity", "position")
POSE_SOURCES = ("odometry", "pose")
TWIST_FRAMES = ("base", "odom", "none")
TILT_SOURCES = ("imu", "pose")
STAMPS = ("robot", "arrival")


@dataclass(frozen=True)
class UnitsConfig:
    """Units of the robot's joint messages and commands.

    Attributes:
        position: rad, deg or turn.
        velocity: rad/s, deg/s, turn/s or rpm.
        effort: N m or mN m.
    """

    position: str = "rad"
    velocity: str = "rad/s"
    effort: str = "N m"

    def __post_init__(self) -> None:
        for name, known in (("position", ANGLES), ("velocity", VELOCITIES), ("effort", TORQUES)):
            if getattr(self, name) not in known:
                raise unknown(f"unit of {name}", getattr(self, name), known)


@dataclass(frozen=True)
class InputConfig(Ranged):
    """An input topic.

    Attributes:
        topic: relative names get the robot's namespace.
        rate: messages per second that are expected.
        max_age: without a message for that long [s] control is lost.
    """

    topic: str = ""
    rate: float = ranged(100.0, 0.1, 10_000.0)
    max_age: float = ranged(0.1, 1e-3, 10.0)


@dataclass(frozen=True)
class JointStatesConfig(InputConfig):
    """Joint states (sensor_msgs/JointState).

    Attributes:
        others: joints that the messages may hold besides the robot's; any further name is refused.
        velocity_filter: time constant [s] of velocities derived from positions, where the messages have none.
        derive_velocity: derive them even though the messages have some.
    """

    topic: str = "joint_states"
    others: tuple[str, ...] = ()
    velocity_filter: float = ranged(0.01, 0.0, 1.0)
    derive_velocity: bool = False


@dataclass(frozen=True)
class ImuConfig(InputConfig):
    """Inertial measurement (sensor_msgs/Imu).

    Attributes:
        rpy: orientation of the IMU's frame in base_link: roll, pitch, yaw [rad] as in a URDF's fixed joint.
        tilt: where roll and pitch come from: imu, or pose for an IMU that gives no orientation.
    """

    topic: str = "imu/data"
    rpy: tuple[float, ...] = (0.0, 0.0, 0.0)
    tilt: str = "imu"

    def __post_init__(self) -> None:
        super().__post_init__()
        _three("rpy", self.rpy)
        if self.tilt not in TILT_SOURCES:
            raise unknown("tilt", self.tilt, TILT_SOURCES)


@dataclass(frozen=True)
class PoseConfig(InputConfig):
    """Where the robot is: odometry (nav_msgs/Odometry), or motion capture (geometry_msgs/PoseStamped).

    Attributes:
        source: odometry or pose, the type of the message.
        twist: frame of odometry's linear velocity: base (as REP 105 has it), odom, or none: derived from positions.
        velocity_filter: time constant [s] of velocities derived from positions.
        xyz, rpy: position [m] and roll, pitch, yaw [rad] of the tracked frame in base_link.
        frame: frame_id that poses must have; empty: any.
    """

    topic: str = "odom"
    source: str = "odometry"
    twist: str = "base"
    velocity_filter: float = ranged(0.02, 0.0, 1.0)
    xyz: tuple[float, ...] = (0.0, 0.0, 0.0)
    rpy: tuple[float, ...] = (0.0, 0.0, 0.0)
    frame: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _three("xyz", self.xyz)
        _three("rpy", self.rpy)
        if self.source not in POSE_SOURCES:
            raise unknown("source", self.source, POSE_SOURCES)
        if self.twist not in TWIST_FRAMES:
            raise unknown("twist", self.twist, TWIST_FRAMES)
        if self.source == "pose" and self.twist == "base":
            object.__setattr__(self, "twist", "none")  # a PoseStamped has no twist


@dataclass(frozen=True)
class PdConfig(Ranged):
    """Position control in the bridge over the effort interface: an action is a target position.

    It runs with every joint message, not once per control period.

    Attributes:
        enabled: whether.
        kp: [N m/rad] at the joint.
        kd: [N m s/rad] at the joint.
    """

    enabled: bool = False
    kp: float = ranged(0.0, 0.0)
    kd: float = ranged(0.0, 0.0)


@dataclass(frozen=True)
class CommandConfig(Ranged):
    """Commands (std_msgs/Float64MultiArray), as ros2_control's forward command controllers take them.

    Attributes:
        topic: relative names get the robot's namespace.
        interface: effort, velocity or position.
        order: the robot's joint names in the controller's order (its parameter ``joints``).
        pd: position control in the bridge.
        stop_speed: a stop takes each joint to the safe posture no faster than this [rad/s], and back from there; for
            interface position, and PD.
    """

    topic: str = "effort_controller/commands"
    interface: str = "effort"
    order: tuple[str, ...] = ()
    pd: PdConfig = field(default_factory=PdConfig)
    stop_speed: float = ranged(0.5, 1e-3, 100.0)

    @property
    def postures(self) -> bool:
        """An action is where the joints shall be."""
        return self.interface == "position" or self.pd.enabled

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interface not in INTERFACES:
            raise unknown("interface", self.interface, INTERFACES)
        if self.pd.enabled and self.interface != "effort":
            raise MbmfError(f"pd: works over interface effort, got {self.interface!r}; leave pd.enabled out")


@dataclass(frozen=True)
class SyncConfig(Ranged):
    """How messages are brought together.

    Attributes:
        tolerance: messages of one instant differ at most so much in their stamps [s].
        stamps: robot, or arrival where the robot's drivers do not share a clock.
        clock_jump: a stamp that is so much [s] ahead of what passed by our own clock is of one that was set forward.
    """

    tolerance: float = ranged(0.02, 1e-4, 1.0)
    stamps: str = "robot"
    clock_jump: float = ranged(0.25, 0.01, 60.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stamps not in STAMPS:
            raise unknown("stamps", self.stamps, STAMPS)


@dataclass(frozen=True)
class JumpConfig(Ranged):
    """When a pose is not where the velocity leads.

    Attributes:
        distance: from where the velocity leads within one control period [m].
        angle: the same for the orientation [rad].
        settle: a pose that stays at the new place for that long [s] is believed; until then the robot holds.
    """

    distance: float = ranged(0.15, 1e-3, 100.0)
    angle: float = ranged(0.5, 1e-3, math.pi)
    settle: float = ranged(0.3, 0.0, 10.0)


@dataclass(frozen=True)
class LatencyConfig(Ranged):
    """Known latencies, which commands are sent ahead by.

    Attributes:
        actuator: from sending a command to its effect [s].
        sensor: from an instant to the arrival of its measurement [s].
        planning: from a state to the controller's answer, with some reserve [s].
    """

    actuator: float = ranged(0.0, 0.0, 1.0)
    sensor: float = ranged(0.0, 0.0, 1.0)
    planning: float = ranged(0.03, 0.0, 1.0)

    @property
    def ahead_s(self) -> float:
        """How long before a control period begins its command has to be sent [s]."""
        return self.actuator + self.sensor


@dataclass(frozen=True)
class CheckConfig(Ranged):
    """What start-up checks allow.

    Attributes:
        window: time over which rates and gravity are looked at [s].
        rate_share: smallest share of the expected rate of an input.
        gravity_angle: between the measured gravity and the orientation [rad].
        gravity: deviation of the measured gravity from 9.81 m/s^2.
        joint_margin: how far outside its range a joint may be read [rad].
        start_distance: from a joint to where the first command puts it [rad]; interface position, and PD.
    """

    window: float = ranged(1.0, 0.1, 30.0)
    rate_share: float = ranged(0.7, 0.0, 1.0)
    gravity_angle: float = ranged(0.2, 0.0, math.pi)
    gravity: float = ranged(1.5, 0.0, 100.0)
    joint_margin: float = ranged(0.05, 0.0, math.pi)
    start_distance: float = ranged(0.2, 0.0, math.pi)


@dataclass(frozen=True)
class TemperatureConfig(Ranged):
    """A temperature to watch (sensor_msgs/Temperature).

    Attributes:
        topic: relative names get the robot's namespace; empty: none.
        warn: from here on diagnostics warn [degrees Celsius].
        stop: from here on control is held [degrees Celsius].
        max_age: without a message for that long [s], of any frame that was heard, control is held.
    """

    topic: str = ""
    warn: float = 60.0
    stop: float = 80.0
    max_age: float = ranged(5.0, 0.01, 600.0)


def _three(name: str, values: tuple[float, ...]) -> None:
    if len(values) != 3:
        raise MbmfError(f"{name}: expected three numbers, got {list(values)}")
