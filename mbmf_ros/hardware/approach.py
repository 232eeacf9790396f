"""How a robot whose commands are postures gets to another posture when it is stopped, and from there to its work."""

from __future__ import annotations

import numpy as np

from mbmf_ros.hardware.config import HardwareConfig


class Approach:
    """Takes each joint to where it is told to be no faster than ``command.stop_speed``, until it has caught up.

    A stop begins from the last target, or from where the joints are if there was none; so does what comes after a stop.
    A joint that was caught up with is free: it does as the controller says. Where commands are torques or velocities
    all joints are free at all times.

    Args:
        config: the robot.

    Attributes:
        needed: commands are postures.
    """

    def __init__(self, config: HardwareConfig):
        spec = config.spec
        joints = [config.joints[name] for name in spec.actuated_joints]
        self.needed = config.command.postures
        self._dt_s = spec.dt_s
        self._driven = np.array([spec.joints.index(name) for name in spec.actuated_joints])
        self._center, scale = np.array([joint.center for joint in joints]), np.array([joint.scale for joint in joints])
        self._scale = np.where(scale > 0, scale, 1e-12)  # a joint that no action moves is anywhere at once
        self._speed = config.command.stop_speed / self._scale  # actions per second
        self._stepped_s = float("-inf")
        self._free = np.full(spec.nu, not self.needed)

    def begin(self, position: np.ndarray, now_s: float) -> np.ndarray:
        """Nothing was sent before ``now_s``: the action (nu,) that leaves the spec's joints where they are.

        Args:
            position: of the spec's joints [rad], (joints,).
            now_s: by one steady clock [s].
        """
        self._free[:], self._stepped_s = not self.needed, now_s
        return np.clip((position[self._driven] - self._center) / self._scale, -1.0, 1.0)

    def step(self, before: np.ndarray, action: np.ndarray, controlled: bool, now_s: float) -> np.ndarray:
        """The action (nu,) to send in place of ``action``.

        Args:
            before: what is in force, (nu,).
            action: the controller's, or the safe one in a stop, (nu,).
            controlled: it is the controller's.
            now_s: by one steady clock [s]; no more than one control period since the last step counts.
        """
        if self.needed and not controlled:
            self._free[:] = False
        most = self._speed * min(max(now_s - self._stepped_s, 0.0), self._dt_s)
        self._stepped_s = now_s
        near = np.clip(action, before - most, before + most)
        out = np.where(self._free, action, near)
        if controlled:
            self._free |= out == action
        return out
