"""What stands between a controller and a robot, whichever bridge speaks to it: see docs/safety.md. No ROS in here."""

from __future__ import annotations

from mbmf_ros.safety.config import SafetyConfig
from mbmf_ros.safety.layer import Mode, Safety

__all__ = ["Mode", "Safety", "SafetyConfig"]
