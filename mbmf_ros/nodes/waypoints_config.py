"""The waypoints node's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from mbmf_ros.nodes.runtime import option


@dataclass(frozen=True)
class WaypointsConfig:
    """Parameters of the node."""

    robot: str = option("ant", "name of the robot")
    odom_frame: str = option("odom", "odometry frame; the path is in it")
    base_frame: str = option("base_link", "frame of the robot's base; waypoints in it are taken as seen on arrival")
    state_timeout: float = option(2.0, "without a state for that long action goals are aborted [s]; 0: never", 0.0)
    min_speed: float = option(0.1, "action goals driven slower than this time out [m/s]; 0: never", 0.0)
    enable_stamped_cmd_vel: bool = option(False, "cmd_vel is geometry_msgs/TwistStamped, as Nav2 sends it; else Twist")
    waypoints_file: str = option("waypoints.yaml", "where ~/save and ~/load keep the waypoints")
    loop: bool = option(False, "loaded waypoints are repeated for ever")
    demo: bool = option(False, "walk the demonstration path, for ever; not where the robot is under way already")
