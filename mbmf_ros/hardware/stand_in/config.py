"""Settings of the stand-in."""

from __future__ import annotations

from dataclasses import dataclass

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.errors import unknown

SENSORS = ("joint_states", "imu", "odom")


@dataclass(frozen=True)
class StandInConfig(Ranged):
    """What the robot behind the topics is like.

    Attributes:
        noise: how well its sensors measure: clean, datasheet or bad.
        seed: of noise, loss and start states.
        actuator_delay: from a command's arrival to the torque [s].
        packet_loss: share of messages lost, of commands and of each sensor's alike.
        driver_timeout: without a command for so long the torques are zero [s]; 0: the last one is held for ever.
        stiffness: of the drives' own position loop (position interface), torque on the joint [N m/rad].
        damping: of the drives' own velocity loop (position and velocity interface) [N m s/rad].
        physics_rate: physics steps per second, at least; a whole number of them fits into a control period.
        clock_offset: the robot's clock less ours, at the start [s].
        clock_drift: how much too fast that clock goes [ppm].
        imu_heading: of the robot in the IMU's own world when its heading in ours is zero [rad].
        start_noise: standard deviation of the start state's joints [rad] and velocities.
    """

    noise: str = "datasheet"
    seed: int = ranged(0, 0)
    actuator_delay: float = ranged(0.005, 0.0, 1.0)
    packet_loss: float = ranged(0.0, 0.0, 1.0)
    driver_timeout: float = ranged(0.1, 0.0, 10.0)
    stiffness: float = ranged(300.0, 0.0, 1e5)
    damping: float = ranged(30.0, 0.0, 1e5)
    physics_rate: float = ranged(400.0, 1.0, 1e4)
    clock_offset: float = ranged(12.5, -1e6, 1e6)
    clock_drift: float = ranged(20.0, -1e4, 1e4)
    imu_heading: float = ranged(1.0, -3.15, 3.15)
    start_noise: float = ranged(0.01, 0.0, 1.0)


@dataclass(frozen=True)
class FaultConfig(Ranged):
    """What is broken just now.

    Attributes:
        imu_silent: the IMU says nothing.
        nan: sensor whose numbers are NaN: joint_states, imu or odom; empty: none.
        freeze: the robot's computer hangs: it says nothing and takes no command; the drives time out, physics goes on.
        odom_jump: how far forwards the odometry has jumped so far [m]; a change is a jump.
        clock_jump: how far the robot's clock was set forward so far [s]; a change sets it.
    """

    imu_silent: bool = False
    nan: str = ""
    freeze: bool = False
    odom_jump: float = ranged(0.0, -1e3, 1e3)
    clock_jump: float = ranged(0.0, -1e6, 1e6)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nan and self.nan not in SENSORS:
            raise unknown("sensor", self.nan, SENSORS)
