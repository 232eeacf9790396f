"""Parameters of the hardware bridge, and the robot that they name."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from rclpy.node import Node

from mbmf_ros.config import override
from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.config import HardwareConfig, load_hardware
from mbmf_ros.nodes import safety_interface
from mbmf_ros.nodes.runtime import declare, option
from mbmf_ros.safety import SafetyConfig
from mbmf_ros.shared_files import shared_file


@dataclass(frozen=True)
class HardwareBridgeConfig:
    """Parameters of the node. The defaults of ``safety`` are those of the robot's YAML."""

    robot: str = option("ant", "name of the robot; the YAML has to be of the same")
    config: str = option("", "the robot's YAML: a file, or the name of one in config/hardware")
    latency_compensation: bool = option(True, "controllers plan ahead for the known delays; false: act on arrival")
    odom_frame: str = option("odom", "odometry frame")
    stand_in: bool = option(False, "there is no robot behind the topics: safety.auto_enable is allowed")
    safety: SafetyConfig = field(default_factory=SafetyConfig)


def declare_hardware(node: Node) -> tuple[HardwareBridgeConfig, HardwareConfig]:
    """Declare the node's parameters; returns them, and the robot.

    Raises:
        MbmfError: unusable parameters, or an unusable YAML.
    """
    given = node._parameter_overrides.get("config")
    name = str(given.value) if given is not None else ""
    if not name:
        raise MbmfError("config: expected the robot's YAML; copy config/hardware/example.yaml (docs/hardware.md)")
    path = Path(name).expanduser() if name.endswith(".yaml") else shared_file("config", "hardware", f"{name}.yaml")
    hardware = load_hardware(path)
    safety = override(SafetyConfig(), hardware.safety, f"{path}.safety")
    if safety.auto_enable:
        raise MbmfError(f"{path}.safety.auto_enable: a real robot is enabled by hand, by the service ~/enable")
    defaults = dataclasses.replace(HardwareBridgeConfig(), safety=safety)
    config = declare(node, defaults, mutable=(safety_interface.GROUP,))
    if config.safety.auto_enable and not config.stand_in:
        raise MbmfError("safety.auto_enable: is for a stand-in (stand_in: true); a real robot is enabled by hand")
    if config.robot != hardware.robot:
        raise MbmfError(f"{path} is of robot {hardware.robot!r}, the parameter robot says {config.robot!r}")
    return config, hardware
