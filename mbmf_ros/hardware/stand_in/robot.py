"""The stand-in as a whole, without ROS: commands in, sensor samples out, in a time that the caller drives."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.stand_in.circuitry import Circuitry
from mbmf_ros.hardware.stand_in.clock import RobotClock
from mbmf_ros.hardware.stand_in.config import SENSORS, FaultConfig, StandInConfig
from mbmf_ros.hardware.stand_in.driver import MotorDrivers
from mbmf_ros.hardware.stand_in.link import DelayLine, Loss
from mbmf_ros.hardware.stand_in.noise import noise_preset
from mbmf_ros.hardware.stand_in.sensors import DriftingOdometry, Encoders, Inertial, InertialSensor, Odometry, mounted
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.sim import Simulation, start_measurement


@dataclass(frozen=True)
class Joints:
    """What the drives say.

    Attributes:
        position, velocity, effort: of the motors, in the robot's own units and order, (joints,) each.
    """

    position: np.ndarray
    velocity: np.ndarray
    effort: np.ndarray


@dataclass(frozen=True)
class Sample:
    """One message of one sensor.

    Attributes:
        sensor: joint_states, imu or odom.
        stamp_ns: of the robot's clock.
        value: what it says.
    """

    sensor: str
    stamp_ns: int
    value: Joints | Inertial | Odometry


class StandIn:
    """A robot behind its topics.

    Args:
        spec: the robot.
        circuitry: how it is built.
        config: what it is like.
        clock_s: what its clock shows at the start, before the offset [s].

    Attributes:
        faults: what is broken; see :meth:`break_down`.
        counts: what was lost or refused: commands, and the samples of each sensor.

    Raises:
        MbmfError: settings that do not fit the robot.
    """

    def __init__(self, spec: RobotSpec, circuitry: Circuitry, config: StandInConfig, clock_s: float = 0.0):
        steps = math.ceil(spec.dt_s * config.physics_rate - 1e-9)
        steps = max(steps, spec.substeps)  # no coarser than the model that the robot's own simulation has
        self.spec = dataclasses.replace(spec, physics_dt_s=spec.dt_s / steps)
        self.circuitry, self.config = circuitry, config
        self.simulation = Simulation(self.spec)
        self.faults = FaultConfig()
        self.counts: Counter[str] = Counter()
        self.clock = RobotClock(clock_s + config.clock_offset, config.clock_drift)
        self._rng = [np.random.default_rng([config.seed, stream]) for stream in range(8)]
        self._noise = noise_preset(config.noise)
        if circuitry.captured:
            still = {"odometry_scale": 0.0, "odometry_drift": 0.0, "heading_drift": 0.0}
            self._noise = dataclasses.replace(self._noise, **still)
        self._joints = circuitry.joints[circuitry.motors]  # of the spec, in the order of the motors
        self._order = self._actuators()
        self._drivers = MotorDrivers(
            circuitry.interface,
            circuitry.wiring.of(circuitry.motors),
            self.simulation.full_torque[self._order],
            config.stiffness,
            config.damping,
            config.driver_timeout,
        )
        self._cable = DelayLine(config.actuator_delay)
        self._losses = {
            what: Loss(config.packet_loss, self._rng[4 + i]) for i, what in enumerate(("command", *SENSORS))
        }
        dt_s = self.spec.physics_dt_s
        self._every = {sensor: max(1, round(1 / (circuitry.rates[sensor] * dt_s))) for sensor in SENSORS}
        # Sensors do not sample at the same instant, where physics is fine enough to tell.
        self._phase = {sensor: index % self._every[sensor] for index, sensor in enumerate(SENSORS)}
        self._steps = 0
        self.reset()

    def _actuators(self) -> np.ndarray:
        """For each motor, which of the spec's actuators it is, (nu,)."""
        driven = [self.spec.joints[joint] for joint in self._joints]
        if sorted(driven) != sorted(self.spec.actuated_joints):
            raise MbmfError(f"expected a motor for each of {list(self.spec.actuated_joints)}, got {driven}")
        return np.array([self.spec.actuated_joints.index(name) for name in driven])

    @property
    def now_s(self) -> float:
        """Up to where physics has come [s]."""
        return self._steps * self.spec.physics_dt_s

    @property
    def truth(self) -> np.ndarray:
        """The true measurement (nm,), in the world's frame."""
        return self._m

    def reset(self) -> None:
        """Lift the robot back to its start and switch it off and on again: its odometry begins anew."""
        noise, rng = self._noise, self._rng
        self._m = self.simulation.reset(start_measurement(self.spec, rng[0], self.config.start_noise))
        self._drivers.let_go()
        self._cable.clear()
        self._encoders = Encoders(noise, rng[1])
        period_s = self._every["imu"] * self.spec.physics_dt_s
        self._imu = InertialSensor(noise, period_s, self.config.imu_heading, self.circuitry.mounting, rng[2])
        self._odometry = DriftingOdometry(self.spec.measurement, noise, self._m, rng[3])

    def break_down(self, faults: FaultConfig) -> None:
        """Have these faults from now on; what has changed of a jump is jumped now."""
        before, self.faults = self.faults, faults
        if faults.odom_jump != before.odom_jump:
            self._odometry.jump(np.array([faults.odom_jump - before.odom_jump, 0.0, 0.0]))
        if faults.clock_jump != before.clock_jump:
            self.clock.jump(faults.clock_jump - before.clock_jump)

    def command(self, values: np.ndarray, now_s: float) -> None:
        """Take a command (nu,) that has arrived at ``now_s``, in the interface's unit and the robot's order.

        Raises:
            MbmfError: a wrong size, or numbers that are not finite.
        """
        if self.faults.freeze:
            self.counts["command ignored"] += 1
        elif self._losses["command"].loses():
            self.counts["command lost"] += 1
        elif problem := self._drivers.problem(values):
            self.counts["command refused"] += 1
            raise MbmfError(f"command: {problem}")
        else:
            self._cable.put(values * self.circuitry.command_unit, now_s)

    @property
    def driven(self) -> bool:
        """Whether a command is in force."""
        return self._drivers.holds(self.now_s)

    def advance(self, until_s: float) -> list[Sample]:
        """Let time pass up to ``until_s``; returns what the sensors said meanwhile, in order.

        Raises:
            MbmfError: the simulation diverged.
        """
        said: list[Sample] = []
        layout, joints = self.spec.measurement, self._joints
        while self.now_s + self.spec.physics_dt_s <= until_s + 1e-9:
            now_s = self.now_s
            arrived = self._cable.take(now_s)
            if arrived is not None:
                self._drivers.receive(arrived[1], now_s)
            position, velocity = self._m[layout.joint_position][joints], self._m[layout.joint_velocity][joints]
            control = np.empty(self.spec.nu)
            control[self._order] = self._drivers.control(position, velocity, now_s)
            self._m = self.simulation.advance(control, 1)
            self._steps += 1
            for sensor in SENSORS:
                if self._steps % self._every[sensor] == self._phase[sensor]:
                    said += self._say(sensor)
        return said

    def _say(self, sensor: str) -> list[Sample]:
        """The sample of a sensor now; none where it is silent or lost."""
        value = self._read(sensor)  # heard or not: errors walk on
        lost = self._losses[sensor].loses()
        if self.faults.freeze or (sensor == "imu" and self.faults.imu_silent):
            return []
        if lost:
            self.counts[f"{sensor} lost"] += 1
            return []
        if self.faults.nan == sensor:
            fields = dataclasses.fields(value)
            value = dataclasses.replace(value, **{f.name: np.full_like(getattr(value, f.name), np.nan) for f in fields})
        return [Sample(sensor, self.clock.at(self.now_s), value)]

    def _read(self, sensor: str) -> Joints | Inertial | Odometry:
        m, layout, built = self._m, self.spec.measurement, self.circuitry
        if sensor == "joint_states":
            order, wiring, units = built.joints, built.wiring, built.units
            position, velocity = self._encoders.read(m[layout.joint_position][order], m[layout.joint_velocity][order])
            torque = wiring.torque_of_motor(self.simulation.joint_torque()[order])
            return Joints(wiring.position(position) / units[0], wiring.velocity(velocity) / units[1], torque / units[2])
        if sensor == "imu":
            force = self.simulation.specific_force()
            return self._imu.read(m[layout.orientation], m[layout.angular_velocity], force)
        return mounted(self._odometry.read(m), built.tracked_position, built.tracked_orientation, built.twist)
