"""Paths behind the stand-in without ROS and without waiting: the parts of bridge and controller, in lock-step.

What a hardware bridge does in a control period happens here at the same instants of the stand-in's own time: messages
arrive, a measurement is put together, the answer that is due passes the safety layer and is sent ahead by the known
latencies, and the controller answers. A plan is taken to need ``plan_time_s``, whatever it takes on this computer.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from mbmf_ros.config import override
from mbmf_ros.control.follow import PathRun
from mbmf_ros.control.mpc import MpcController
from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments.stand_in_truth import laid, truly
from mbmf_ros.hardware.commands import Commands
from mbmf_ros.hardware.config import HardwareConfig
from mbmf_ros.hardware.continuity import Continuity, Verdict
from mbmf_ros.hardware.estimator import Estimator
from mbmf_ros.hardware.stand_in.circuitry import circuitry_of
from mbmf_ros.hardware.stand_in.config import StandInConfig
from mbmf_ros.hardware.stand_in.robot import Joints, Sample, StandIn
from mbmf_ros.hardware.stand_in.sensors import Inertial
from mbmf_ros.safety import Mode, Safety, SafetyConfig

SETTLE_S = 1.0  # standing, before the first path: the estimator fills


class Loop:
    """One robot, its bridge and its controller.

    Args:
        hardware: the robot's file; its latencies are those that the bridge knows.
        config: what the robot is like.
        controller: with its model.
        compensate: send ahead, and plan from where the robot will be; else an answer is sent when it arrives.
        plan_time_s: from a state to its answer [s].
    """

    def __init__(
        self,
        hardware: HardwareConfig,
        config: StandInConfig,
        controller: MpcController,
        compensate: bool = True,
        plan_time_s: float = 0.02,
    ):
        self.spec, self.controller = hardware.spec, controller
        self.robot = StandIn(self.spec, circuitry_of(hardware), config)
        self.estimator, self.commands = Estimator(hardware), Commands(hardware)
        limits = override(SafetyConfig(auto_enable=True), hardware.safety, "safety")
        ranges = np.array([(joint.low, joint.high) for joint in hardware.in_order()])
        self.safety = Safety(self.spec, limits, ranges, hardware.postures)
        self._continuity = Continuity(self.spec, hardware.jump)
        self._compensate, self._plan_time_s = compensate, plan_time_s
        self._ahead_s = hardware.latency.ahead_s if compensate else 0.0
        self._two_ahead = compensate and self.spec.dt_s - self._ahead_s < hardware.latency.planning
        self._safe = np.array(self.spec.safe_action)
        self._in_force = self._choice = self._safe
        self._answer: np.ndarray | None = None
        self._rows = np.empty((0, self.spec.nu))  # of the last plan, for when there is no answer
        self._unanswered = 0  # control periods in a row
        self._m = self._truth = np.empty(0)  # measured last, and where the robot really was then
        self._period = 0
        self.held = 0  # control periods in which control was lost

    def follow(self, name: str, waypoints: np.ndarray, seed: int) -> dict[str, Any]:
        """Walk ``waypoints`` (W, 2) [m], robot's start frame.

        Returns:
            The row of :meth:`mbmf_ros.control.follow.PathRun.result`, that of
            :func:`mbmf_ros.experiments.stand_in_truth.truly`, and ``held``: control periods in which control was lost.
        """
        started = time.monotonic()
        self.controller.reset()
        while self.robot.now_s < SETTLE_S or not len(self._m):
            self.step()
        began_s = self.robot.now_s
        path = laid(waypoints, self._m)
        run = PathRun(self.spec, name, seed, path)
        measured, truth = [self._m], [self._truth]
        self.controller.set_path(path)
        held = self.held
        while not run.finished:
            try:
                plan_s = self.step()
            except MbmfError as error:
                run.error = str(error)
                break
            run.tick(self._m, plan_s, missed=plan_s is None)
            measured.append(self._m)
            truth.append(self._truth)
        row = run.result(self.robot.now_s - began_s, time.monotonic() - started)
        row |= truly(self.spec, name, seed, waypoints, np.array(measured), np.array(truth))
        return row | {"held": self.held - held}

    def step(self) -> float | None:
        """One control period; returns how long planning took on this computer [s], None where there was no state."""
        start_s = self._period * self.spec.dt_s
        end_s = start_s + self.spec.dt_s
        self._period += 1
        self._advance(start_s)
        m = self._measure(start_s)
        if self._two_ahead or (self._compensate and self._ahead_s == 0):
            self._choice = self._due()
        if self._compensate and self._ahead_s == 0:
            self._send(start_s)
        plan_s = self._ask(m) if m is not None else None
        if not self._compensate:
            self._advance(start_s + self._plan_time_s)
            self._choice = self._due()
            self._send(start_s + self._plan_time_s)
        elif self._ahead_s > 0:
            self._advance(end_s - self._ahead_s)
            if not self._two_ahead:
                self._choice = self._due()
            self._send(end_s - self._ahead_s)
        self._advance(end_s)
        return plan_s

    def _advance(self, until_s: float) -> None:
        """Let time pass; what the sensors say arrives at once."""
        while self.robot.now_s + self.robot.spec.physics_dt_s <= until_s + 1e-9:
            for sample in self.robot.advance(self.robot.now_s + self.robot.spec.physics_dt_s):
                self._take(sample)

    def _take(self, sample: Sample) -> None:
        stamp_s, now_s, value = 1e-9 * sample.stamp_ns, self.robot.now_s, sample.value
        if isinstance(value, Joints):
            numbers = value.position.tolist(), value.velocity.tolist()
            self.estimator.take_joints(stamp_s, now_s, self.robot.circuitry.names, *numbers)
        elif isinstance(value, Inertial):
            self.estimator.take_imu(
                stamp_s, now_s, value.orientation, value.angular_velocity, value.linear_acceleration
            )
        else:
            velocities = (value.linear_velocity, value.angular_velocity)
            self.estimator.take_pose(stamp_s, now_s, "", value.position, value.orientation, *velocities)

    def _measure(self, now_s: float) -> np.ndarray | None:
        """The measurement (nm,) at the beginning of a period; the safety layer hears of it."""
        m, causes = self.estimator.measure(now_s)
        if m is not None and self._continuity.check(now_s, m) is Verdict.JUMPED:
            m, causes = None, [self._continuity.reason]
        if m is not None:
            self._m, self._truth = m, self.robot.truth
        known = self._m if len(self._m) and not (causes and m is None) else None
        mode = self.safety.update(now_s, known, causes, self._unanswered, "no state to answer")
        self.held += mode not in (Mode.RAMPING, Mode.ACTIVE)
        return m

    def _ask(self, m: np.ndarray) -> float:
        """Have the controller answer a state; returns how long it took [s]."""
        rows = [self._in_force, self._choice] if self._two_ahead else [self._in_force]
        step = self.controller.act(m, np.array(rows) if self._compensate else None)
        self._answer, self._rows = step.action, step.plan
        return step.plan_time_s

    def _due(self) -> np.ndarray:
        """The answer, or else the next row of the last plan, or else the safe action, (nu,)."""
        answer, self._answer = self._answer, None
        self._unanswered = 0 if answer is not None else self._unanswered + 1
        if answer is not None:
            return answer
        if len(self._rows) and self._unanswered <= self.safety.config.command_timeout_periods:
            row, self._rows = self._rows[0], self._rows[1:]
            return row
        return self._safe

    def _send(self, now_s: float) -> None:
        self._in_force = self.safety.limit(self._choice, self._m if len(self._m) else None, now_s)
        self.robot.command(self.commands.data(self._in_force), now_s)
