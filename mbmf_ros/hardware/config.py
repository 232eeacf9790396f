"""What a real robot is like, from one YAML file: names, signs, gears, units, topics, rates, mounts, latencies.

A joint's reading and the spec's joint position are related by

    sign * gear * position = reading [rad] - offset

and a command that asks for ``x`` at the joint is ``sign * x / gear`` as a torque, ``sign * gear * x`` as a velocity and
``sign * gear * x + offset`` as a position, each in the robot's own unit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mbmf_ros.config import Ranged, load_yaml, override, ranged
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.hardware.settings import (
    CheckConfig,
    CommandConfig,
    ImuConfig,
    JointStatesConfig,
    JumpConfig,
    LatencyConfig,
    PoseConfig,
    SyncConfig,
    TemperatureConfig,
    UnitsConfig,
)
from mbmf_ros.robots import RobotSpec, robot


@dataclass(frozen=True)
class JointConfig(Ranged):
    """One joint; the module says what sign, gear and offset mean.

    Attributes:
        name: as the robot calls it.
        sign: 1, or -1 where the robot counts the other way round.
        gear: turns of what is read and commanded per turn of the joint; 1 where the driver speaks of joints.
        offset: reading at the joint's zero [rad].
        low: smallest position [rad] of the joint, in the spec's sense.
        high: largest position [rad].
        scale: what an action of 1 asks for at the joint: torque [N m], velocity [rad/s], or angle from center [rad].
        center: position that an action of 0 asks for [rad]; interface position, and PD.
        limit: largest torque [N m] or velocity [rad/s] at the joint that is ever commanded; 0: no limit of its
            own, which PD control needs.
    """

    name: str = ""
    sign: int = 1
    gear: float = ranged(1.0, 1e-6, 1e6)
    offset: float = 0.0
    low: float = -math.pi
    high: float = math.pi
    scale: float = ranged(1.0, 0.0)
    center: float = 0.0
    limit: float = ranged(0.0, 0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sign not in (1, -1):
            raise MbmfError(f"sign: expected 1 or -1, got {self.sign}")
        if not self.low < self.high:
            raise MbmfError(f"low, high: expected a range [rad], got {self.low:g} to {self.high:g}")

    @property
    def ratio(self) -> float:
        """Signed gear: change of the reading per change of the joint's position."""
        return self.sign * self.gear


@dataclass(frozen=True)
class HardwareConfig:
    """A real robot.

    Attributes:
        robot: name of its spec.
        joints: of the spec, each with the robot's side of it.
        units: of joint messages and commands.
        joint_states, imu, pose: inputs.
        command: output.
        sync, jump, latency, checks, temperature: see their classes.
        safety: what differs from the defaults of the safety layer; nodes read it.
    """

    robot: str = "ant"
    joints: Mapping[str, JointConfig] = field(default_factory=dict)
    units: UnitsConfig = field(default_factory=UnitsConfig)
    joint_states: JointStatesConfig = field(default_factory=JointStatesConfig)
    imu: ImuConfig = field(default_factory=ImuConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    command: CommandConfig = field(default_factory=CommandConfig)
    sync: SyncConfig = field(default_factory=SyncConfig)
    jump: JumpConfig = field(default_factory=JumpConfig)
    latency: LatencyConfig = field(default_factory=LatencyConfig)
    checks: CheckConfig = field(default_factory=CheckConfig)
    temperature: TemperatureConfig = field(default_factory=TemperatureConfig)
    safety: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> RobotSpec:
        """What it is."""
        return robot(self.robot)

    @property
    def postures(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Where an action is where its joint shall be: center and scale of each [rad], (nu,); None where it is not."""
        if not self.command.postures:
            return None
        joints = [self.joints[name] for name in self.spec.actuated_joints]
        return np.array([joint.center for joint in joints]), np.array([joint.scale for joint in joints])

    def in_order(self) -> tuple[JointConfig, ...]:
        """The joints in the spec's order."""
        return tuple(self.joints[name] for name in self.spec.joints)


def load_hardware(path: Path) -> HardwareConfig:
    """The robot that a YAML file describes.

    Raises:
        MbmfError: the file cannot be read, has an unknown key, or describes no robot that its spec could be.
    """
    return parse_hardware(load_yaml(path), str(path))


def parse_hardware(values: Mapping[str, Any], where: str = "hardware") -> HardwareConfig:
    """The robot that ``values`` describe; ``where`` they are from.

    Raises:
        MbmfError: an unknown key (names the nearest known one), or no robot that its spec could be.
    """
    plain = {key: value for key, value in values.items() if key not in ("joints", "safety")}
    try:
        config = override(HardwareConfig(), plain, where)
    except MbmfError as error:  # ranges do not know where they stand
        raise error if str(error).startswith(("unknown", where)) else MbmfError(f"{where}: {error}") from error
    spec = robot(config.robot)
    joints, safety = values.get("joints", {}), values.get("safety", {})
    for name, value in (("joints", joints), ("safety", safety)):
        if not isinstance(value, Mapping):
            raise MbmfError(f"{where}.{name}: expected a mapping of keys to values, got {type(value).__name__}")
    parsed = {}
    for name, entry in joints.items():
        if name not in spec.joints:
            raise unknown(f"joint in {where}.joints", str(name), spec.joints)
        place = f"{where}.joints.{name}"
        try:
            parsed[name] = override(JointConfig(), entry, place)
        except MbmfError as error:
            raise error if place in str(error) else MbmfError(f"{place}: {error}") from error
    config = dataclasses.replace(config, joints=parsed, safety=dict(safety))
    if problem := _problem(config, spec):
        raise MbmfError(f"{where}: {problem}")
    return config


def _problem(config: HardwareConfig, spec: RobotSpec) -> str | None:
    """Why the configuration cannot be the spec's robot, or None."""
    missing = [name for name in spec.joints if name not in config.joints]
    if missing:
        return f"joints: {missing[0]!r} of robot {spec.name!r} is missing; it has {', '.join(spec.joints)}"
    names = [joint.name for joint in config.joints.values()]
    if unnamed := [key for key, joint in config.joints.items() if not joint.name]:
        return f"joints.{unnamed[0]}: expected the robot's own name of it in 'name'"
    if twice := [name for name in names if names.count(name) > 1]:
        return f"joints: {twice[0]!r} stands for more than one joint"
    driven = [config.joints[name].name for name in spec.actuated_joints]
    order = config.command.order
    if sorted(order) != sorted(driven):
        return f"command.order: expected each of {', '.join(sorted(driven))} once, got {', '.join(order) or 'nothing'}"
    unlimited = [name for name in spec.actuated_joints if not config.joints[name].limit]
    if config.command.pd.enabled and unlimited:
        return f"joints.{unlimited[0]}.limit: expected the largest torque [N m] that command.pd may ask for, got 0"
    ahead_s = config.latency.ahead_s
    if ahead_s >= spec.dt_s:
        return f"latency: expected less than a control period ({spec.dt_s:g} s) in all, got {ahead_s:g} s"
    return None
