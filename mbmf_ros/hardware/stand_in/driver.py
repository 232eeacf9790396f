"""Motor drivers: they hold the last command, and let go when no new one comes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbmf_ros.errors import MbmfError, unknown

INTERFACES = ("effort", "velocity", "position")


@dataclass(frozen=True)
class Wiring:
    """How motors are built into joints: what a motor says is ``ratio * joint + offset``.

    Attributes:
        ratio: turns of the motor per turn of the joint, negative where it is mounted the other way round, (n,).
        offset: what the motor says at the joint's zero [rad], (n,).
    """

    ratio: np.ndarray
    offset: np.ndarray

    def of(self, motors: np.ndarray) -> Wiring:
        """The wiring of some of the motors, by index."""
        return Wiring(self.ratio[motors], self.offset[motors])

    def position(self, joint: np.ndarray) -> np.ndarray:
        """Positions [rad] of the motors at those of the joints, (n,)."""
        return self.ratio * joint + self.offset

    def velocity(self, joint: np.ndarray) -> np.ndarray:
        """Velocities [rad/s] of the motors at those of the joints, (n,)."""
        return self.ratio * joint

    def torque_on_joint(self, motor: np.ndarray) -> np.ndarray:
        """Torques [N m] on the joints of those of the motors, (n,)."""
        return self.ratio * motor

    def torque_of_motor(self, joint: np.ndarray) -> np.ndarray:
        """Torques [N m] of the motors that make those on the joints, (n,)."""
        return joint / self.ratio


class MotorDrivers:
    """The drivers of all motors.

    Args:
        interface: what a command says, as ros2_control has it: effort [N m], velocity [rad/s] or position [rad].
        wiring: between motors and joints.
        full_torque: the largest torque of each motor on its joint [N m], (nu,); beyond it they saturate.
        stiffness: of the drivers' own position loop, torque on the joint [N m/rad].
        damping: of their own velocity loop [N m s/rad].
        timeout_s: without a command for so long the torques are zero [s]; 0: the last one is held for ever.

    Raises:
        MbmfError: there is no such interface.
    """

    def __init__(
        self,
        interface: str,
        wiring: Wiring,
        full_torque: np.ndarray,
        stiffness: float = 0.0,
        damping: float = 0.0,
        timeout_s: float = 0.1,
    ):
        if interface not in INTERFACES:
            raise unknown("command interface", interface, INTERFACES)
        self.interface, self.timeout_s = interface, timeout_s
        self._wiring, self._full = wiring, full_torque
        self._stiffness, self._damping = stiffness, damping
        self._command: np.ndarray | None = None
        self._since_s = 0.0

    @property
    def size(self) -> int:
        """Motors."""
        return len(self._full)

    def problem(self, command: np.ndarray) -> str:
        """Why a driver does not take a command; empty if it does."""
        if command.shape != (self.size,):
            return f"expected {self.size} numbers, got {command.size}"
        return "" if np.isfinite(command).all() else "not all numbers are finite"

    def receive(self, command: np.ndarray, now_s: float) -> None:
        """Hold ``command`` (nu,) from ``now_s`` on.

        Raises:
            MbmfError: a wrong size, or numbers that are not finite.
        """
        if problem := self.problem(command):
            raise MbmfError(f"command: {problem}")
        self._command, self._since_s = command, now_s

    def let_go(self) -> None:
        """Forget the command: zero torque."""
        self._command = None

    def holds(self, now_s: float) -> bool:
        """Whether a command is in force."""
        if self._command is None:
            return False
        return self.timeout_s == 0 or now_s - self._since_s < self.timeout_s

    def control(self, joint_position: np.ndarray, joint_velocity: np.ndarray, now_s: float) -> np.ndarray:
        """What each actuator does now, as a share of its largest torque, (nu,) in [-1, 1].

        Args:
            joint_position, joint_velocity: of the actuated joints [rad], [rad/s], (nu,).
            now_s: the time [s].
        """
        if not self.holds(now_s):
            return np.zeros(self.size)
        assert self._command is not None
        command, wiring = self._command, self._wiring
        if self.interface == "effort":
            torque = wiring.torque_on_joint(command)
        elif self.interface == "velocity":
            torque = self._damping * (command / wiring.ratio - joint_velocity)
        else:
            wanted = (command - wiring.offset) / wiring.ratio
            torque = self._stiffness * (wanted - joint_position) - self._damping * joint_velocity
        return np.clip(torque / self._full, -1.0, 1.0)
