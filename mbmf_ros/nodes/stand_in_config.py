"""Parameters of the hardware stand-in."""

from __future__ import annotations

from dataclasses import dataclass, field

from mbmf_ros.hardware.stand_in.config import FaultConfig, StandInConfig
from mbmf_ros.nodes.runtime import option


@dataclass(frozen=True)
class HardwareStandInConfig(StandInConfig):
    """Parameters of the node."""

    robot: str = option("ant", "name of the robot")
    config: str = option("", "the robot's hardware file (YAML), the one that its bridge reads")
    odom_frame: str = option("odom", "odometry frame")
    base_frame: str = option("base_link", "frame of the robot's base")
    imu_frame: str = option("imu_link", "frame of the IMU")
    fault: FaultConfig = field(default_factory=FaultConfig)
