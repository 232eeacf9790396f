"""A ROS 2 client that watches a robot learn while it runs, weakens a motor at a set moment, and writes what it sees.

``python -m mbmf_ros.live_client CONFIG --ros-args ...``; CONFIG: the fields of :class:`LiveClientConfig` as JSON. It
writes one CSV row per simulated second. Exit codes: 0 the time was up; 2 bad input; 3 the graph was lost.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParameters
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter

from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import ControllerStats, LearnerStatus, Model, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import time_seconds
from mbmf_ros.robots import RobotSpec, robot

_STATE_LOST_S = 20.0
_LATE = (RobotState.SOURCE_PLAN, RobotState.SOURCE_SAFE)


@dataclass(frozen=True)
class LiveClientConfig:
    """What to do and when; simulated times [s] since the first state.

    Attributes:
        csv: file to write.
        robot: name of the spec.
        weaken_s: when the motor is weakened.
        end_s: when the run ends.
        motor, strength: index of the actuator, and what is left of its torque.
    """

    csv: str
    robot: str
    weaken_s: float
    end_s: float
    motor: int
    strength: float


@dataclass
class Second:
    """What happened in one simulated second."""

    cross_track_m: list[float] = field(default_factory=list)
    plan_ms: list[float] = field(default_factory=list)
    ticks: int = 0
    late: int = 0
    fell: int = 0
    tasks: list[str] = field(default_factory=list)
    progress_m: float = 0.0


class LiveClient(Node):
    """The client node.

    Args:
        config: what to do.
        spec: the robot.
        out: where the rows go.
    """

    COLUMNS = (
        *("sim_s", "episode", "task", "ticks", "late", "fell", "cross_track_mean_m", "cross_track_max_m", "progress_m"),
        *("plan_ms_max", "version", "models", "training", "accepted", "refused"),
        *("changed", "changes", "surprise", "learnable"),
        *("recent_error", "old_error", "kept", "memory_mb", "bridge_late", "disturbed"),
    )

    def __init__(self, config: LiveClientConfig, spec: RobotSpec, out: Any, **options: Any):
        super().__init__("live_client", **options)
        self.config, self.spec = config, spec
        self.done = False
        self.versions: list[int] = []
        self.heard_s = time.monotonic()
        self._out = csv.DictWriter(out, self.COLUMNS)
        self._out.writeheader()
        self._flush = out.flush
        self._start_s: float | None = None
        self._second, self._number = Second(), 0
        self._last = (-1, -1)
        self._episode = 0
        self._task = ""
        self._learner = LearnerStatus()
        self._bridge_late = 0
        self._disturbed = False
        self._asked: Any = None
        self.create_subscription(RobotState, "state", self._on_state, qos.STATE_ALL)
        self.create_subscription(ControllerStats, "mpc_controller/stats", self._on_stats, qos.STATS)
        self.create_subscription(LearnerStatus, "dynamics_learner/status", self._on_learner, qos.LATCHED)
        self.create_subscription(Model, "model", lambda message: self.versions.append(message.version), qos.LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.STATS)
        self._set = self.create_client(SetParameters, "sim_bridge/set_parameters")

    def _on_state(self, message: RobotState) -> None:
        here = (message.episode, message.tick)
        self.heard_s = max(self.heard_s, time.monotonic())
        if here == self._last:
            return
        self._last = here
        stamp_s = time_seconds(message.header.stamp)
        self._start_s = stamp_s if self._start_s is None else self._start_s
        sim_s = stamp_s - self._start_s
        if int(sim_s) != self._number:
            self._write()
            self._number = int(sim_s)
        second = self._second
        second.ticks += 1
        second.late += message.action_source in _LATE and self._task == "follow_path"
        second.fell += message.status == RobotState.STATUS_FALLEN and message.episode != self._episode
        self._episode = message.episode if message.status == RobotState.STATUS_FALLEN else self._episode
        if sim_s >= self.config.weaken_s and self._asked is None:
            self._weaken(sim_s)
        self.done = sim_s >= self.config.end_s

    def _weaken(self, sim_s: float) -> None:
        strength = [1.0] * self.spec.nu
        strength[self.config.motor] = self.config.strength
        parameter = Parameter("disturbance.motor_strength", value=strength).to_parameter_msg()
        self._asked = self._set.call_async(SetParameters.Request(parameters=[parameter]))
        name = self.spec.actuated_joints[self.config.motor]
        self.get_logger().info(f"at {sim_s:.1f} s the motor of {name} is weakened to {self.config.strength:.0%}")

    def _on_stats(self, message: ControllerStats) -> None:
        self._task = message.task
        self._second.tasks.append(message.task)
        if message.task == "follow_path":
            self._second.cross_track_m.append(message.cross_track_error)
            self._second.plan_ms.append(1e3 * message.plan_time)
            self._second.progress_m = message.progress

    def _on_learner(self, message: LearnerStatus) -> None:
        if message.message != self._learner.message:
            self.get_logger().info(f"{self._number} s: {message.message}")
        self._learner = message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith("sim_bridge"):
                late = [pair.value for pair in status.values if pair.key == "late answers"]
                self._bridge_late = int(late[0]) if late else self._bridge_late

    def _write(self) -> None:
        """The row of the second that has passed."""
        second, learner = self._second, self._learner
        self._second = Second()
        if self._asked is not None and self._asked.done() and not self._disturbed:
            answer = self._asked.result().results[0]
            if not answer.successful:
                raise MbmfError(f"sim_bridge refused to weaken the motor: {answer.reason}")
            self._disturbed = True
        cross_track, n = second.cross_track_m, len(second.cross_track_m)
        row = {
            "sim_s": self._number,
            "episode": self._last[0],
            "task": max(set(second.tasks), key=second.tasks.count) if second.tasks else "",
            "ticks": second.ticks,
            "late": second.late,
            "fell": second.fell,
            "cross_track_mean_m": f"{sum(cross_track) / n:.4f}" if n else "",
            "cross_track_max_m": f"{max(cross_track):.4f}" if n else "",
            "progress_m": f"{second.progress_m:.3f}" if n else "",
            "plan_ms_max": f"{max(second.plan_ms):.1f}" if n else "",
            "version": self.versions[-1] if self.versions else 0,
            "models": len(self.versions),
            "training": int(learner.state == LearnerStatus.STATE_TRAINING),
            "accepted": learner.accepted,
            "refused": learner.refused,
            "changed": int(learner.changed),
            "changes": learner.changes,
            "surprise": f"{learner.surprise:.3f}",
            "learnable": f"{learner.learnable:.3f}",
            "recent_error": f"{learner.recent_error:.4f}",
            "old_error": f"{learner.old_error:.4f}",
            "kept": learner.kept,
            "memory_mb": learner.memory_mb,
            "bridge_late": self._bridge_late,
            "disturbed": int(self._disturbed),
        }
        self._out.writerow(row)
        self._flush()


def main(argv: Sequence[str] | None = None) -> int:
    """See the module."""
    argv = list(sys.argv[1:] if argv is None else argv)
    config = LiveClientConfig(**json.loads(argv[0]))
    rclpy.init(args=argv[1:])
    code = 130
    try:
        with Path(config.csv).open("w", newline="", encoding="utf-8") as out:
            node = LiveClient(config, robot(config.robot), out)
            node.heard_s = time.monotonic() + 60.0  # the graph may take a minute to come up
            while not node.done:
                rclpy.spin_once(node, timeout_sec=0.2)
                if time.monotonic() - node.heard_s > _STATE_LOST_S:
                    print(f"error: no state for {_STATE_LOST_S:g} s; is sim_bridge alive?", file=sys.stderr)
                    return 3
            if node.versions != sorted(set(node.versions)):
                print(f"error: model versions did not grow: {node.versions}", file=sys.stderr)
                return 3
            code = 0
    except MbmfError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
    return code


if __name__ == "__main__":
    sys.exit(main())
