"""From an action to the numbers that a forward command controller takes."""

from __future__ import annotations

import numpy as np

from mbmf_ros.hardware.config import HardwareConfig
from mbmf_ros.hardware.settings import ANGLES, TORQUES, VELOCITIES


class Commands:
    """Maps actions to commands: scale, limits, sign, gear, unit, order.

    Args:
        config: the robot.
    """

    def __init__(self, config: HardwareConfig):
        spec, command, units = config.spec, config.command, config.units
        joints = [config.joints[name] for name in spec.actuated_joints]
        self._interface, self._pd = command.interface, command.pd
        self._scale = np.array([joint.scale for joint in joints])
        self._center = np.array([joint.center for joint in joints])
        self._limit = np.array([joint.limit or np.inf for joint in joints])
        self._range = np.array([(joint.low, joint.high) for joint in joints]).T
        self._ratio = np.array([joint.ratio for joint in joints])
        self._offset = np.array([joint.offset for joint in joints])
        unit = {
            "effort": TORQUES[units.effort],
            "velocity": VELOCITIES[units.velocity],
            "position": ANGLES[units.position],
        }
        self._unit = unit[command.interface]
        names = [joint.name for joint in joints]
        self._order = np.array([names.index(name) for name in command.order])
        self._driven = np.array([spec.joints.index(name) for name in spec.actuated_joints])

    @property
    def follows_joints(self) -> bool:
        """A command depends on where the joints are: it has to be computed anew with every joint message."""
        return self._pd.enabled

    @property
    def nothing(self) -> np.ndarray:
        """The command (nu,) of no torque, and of no velocity."""
        return np.zeros(len(self._order))

    def data(
        self, action: np.ndarray, position: np.ndarray | None = None, velocity: np.ndarray | None = None
    ) -> np.ndarray:
        """The command (nu,) for ``action`` (nu,), in the robot's order and units.

        Args:
            action: in [-1, 1].
            position, velocity: of the spec's joints, (joints,) each; for PD control only.
        """
        if self._interface == "position":
            target = np.clip(self._center + self._scale * action, *self._range)
            return ((self._ratio * target + self._offset) / self._unit)[self._order]
        asked = self._scale * action
        if self._pd.enabled:
            assert position is not None
            assert velocity is not None
            target = np.clip(self._center + asked, *self._range)
            asked = self._pd.kp * (target - position[self._driven]) - self._pd.kd * velocity[self._driven]
        asked = np.clip(asked, -self._limit, self._limit)
        robots = asked * self._ratio if self._interface == "velocity" else asked / self._ratio
        return (robots / self._unit)[self._order]
