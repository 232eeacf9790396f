"""Parameters of the simulator bridge."""

from __future__ import annotations

from dataclasses import dataclass, field

from mbmf_ros.nodes.runtime import option
from mbmf_ros.robots.disturbance import DisturbanceConfig
from mbmf_ros.safety import SafetyConfig

# A simulation harms nobody: it walks at once, and goes on when a stop is cleared.
SIMULATED = SafetyConfig(auto_enable=True, ramp=0.0)


@dataclass(frozen=True)
class SimBridgeConfig:
    """Parameters of the node."""

    robot: str = option("ant", "name of the robot")
    real_time_factor: float = option(1.0, "simulated over wall time; 0: as fast as possible, with sync_mode", 0.0, 100)
    sync_mode: bool = option(False, "lock-step: time waits for the controller's answer")
    seed: int = option(0, "seed of the start states' noise", 0)
    start_noise: float = option(0.01, "standard deviation of the start state's joints [rad] and velocities", 0.0, 1.0)
    odom_frame: str = option("odom", "odometry frame")
    base_frame: str = option("base_link", "frame of the robot's base")
    publish_clock: bool = option(True, "publish /clock; only one bridge may, or time would jump")
    reset_after_fall: bool = option(True, "start a new episode 1 s after a fall")
    disturbance: DisturbanceConfig = field(default_factory=DisturbanceConfig)
    safety: SafetyConfig = SIMULATED
