"""Limits of actions and of the robot's state, as functions of the moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.measurement import up_of
from mbmf_ros.safety.config import SafetyConfig


def crossed(spec: RobotSpec, config: SafetyConfig, m: np.ndarray) -> str:
    """Which limit of tilt or height the measurement ``m`` (nm,) is beyond, in words; empty: none."""
    if config.max_tilt > 0:
        tilt = float(np.arccos(np.clip(up_of(m[spec.measurement.orientation]), -1.0, 1.0)))
        if tilt > config.max_tilt:
            return f"tilted by {tilt:.2f} rad, more than max_tilt, {config.max_tilt:g} rad"
    height = float(m[2])
    if config.min_height > 0 and height < config.min_height:
        return f"the base is {height:.3f} m high, less than min_height, {config.min_height:g} m"
    if 0 < config.max_height < height:
        return f"the base is {height:.3f} m high, more than max_height, {config.max_height:g} m"
    return ""


@dataclass(frozen=True)
class Postures:
    """Of a robot whose actions are where its joints shall be: joint by joint ``center + scale * action``.

    Attributes:
        center: of the joint that each actuator drives [rad], (nu,).
        scale: at least 0 [rad], (nu,).
        joint_range: lower and upper limits of these joints [rad], (nu, 2).
    """

    center: np.ndarray
    scale: np.ndarray
    joint_range: np.ndarray

    def problem(self, spec: RobotSpec, margin: float) -> str:
        """Why the safe posture of ``spec`` is nearer than ``margin`` [rad] to a limit; empty: it is not."""
        target = self.center + self.scale * np.array(spec.safe_action)
        for name, at, (low, high) in zip(spec.actuated_joints, target, self.joint_range, strict=True):
            if margin > 0 and not low + margin - 1e-9 <= at <= high - margin + 1e-9:
                return (
                    f"expected the safe posture at least {margin:g} rad inside of every joint's range, got {name} at "
                    f"{at:.3f} rad of {low:g} to {high:g}; set its center, or a smaller margin"
                )
        return ""

    def inside(self, action: np.ndarray, margin: float) -> np.ndarray:
        """``action`` (nu,) with every target at least ``margin`` [rad] inside of its joint's range; 0: as it is."""
        if margin <= 0:
            return action
        low, high = np.full((2, len(action)), ((-np.inf,), (np.inf,)))
        moved = self.scale > 0  # a joint that no action moves is where it is
        np.divide(self.joint_range[:, 0] + margin - self.center, self.scale, where=moved, out=low)
        np.divide(self.joint_range[:, 1] - margin - self.center, self.scale, where=moved, out=high)
        return np.clip(action, low, high)


def faded(action: np.ndarray, joint_position: np.ndarray, joint_range: np.ndarray, margin: float) -> np.ndarray:
    """``action`` (nu,) without what would push a joint out of its range.

    A positive action pushes its joint up. Within ``margin`` of a limit what pushes towards it shrinks in proportion to
    the distance that is left, and at the limit and beyond to nothing; what pushes back is never touched.

    Args:
        action: one per actuator, (nu,).
        joint_position: of the joint that each actuator drives [rad], (nu,).
        joint_range: lower and upper limits of these joints [rad], (nu, 2); infinite: none.
        margin: [rad]; 0: off.
    """
    if margin <= 0:
        return action
    room = np.where(action > 0, joint_range[:, 1] - joint_position, joint_position - joint_range[:, 0])
    return action * np.clip(room / margin, 0.0, 1.0)
