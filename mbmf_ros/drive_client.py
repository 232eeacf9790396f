"""A ROS 2 client that starts a robot upright and writes what it does at every control step from then on.

``python -m mbmf_ros.drive_client CONFIG --ros-args ...``; CONFIG: the fields of :class:`DriveClientConfig` as JSON. It
waits for a controller that moves forward, asks the bridge for a reset, and writes one CSV row per control step when the
time is up. Exit codes: 0 the time was up; 2 bad input; 3 the graph was lost, or nobody moved forward.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_srvs.srv import Trigger

from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import ControllerStats, RobotAction, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import time_seconds

STATE_LOST_S = 20.0
UP_S = 90.0  # the graph may take so long until somebody moves forward
SETTLE_S = 3.0  # from then on to the reset: the other nodes have come up too
TRAILING_S = 0.5  # the last answers are waited for
COLUMNS = ("t_s", "episode", "tick", "x_m", "y_m", "status", "source", "effort", "task", "idle", "plan_ms")
SOURCES = {getattr(RobotState, f"SOURCE_{name}"): name.lower() for name in ("NONE", "CONTROLLER", "PLAN", "SAFE")}
STATUSES = {
    getattr(RobotState, f"STATUS_{name}"): name.lower()
    for name in ("ACTIVE", "PAUSED", "ESTOP", "FALLEN", "DISABLED", "HOLDING", "TRIPPED")
}


@dataclass(frozen=True)
class DriveClientConfig:
    """What to do.

    Attributes:
        csv: file to write.
        seconds: how long, of robot time since the reset.
    """

    csv: str
    seconds: float


class DriveClient(Node):
    """The client node.

    Args:
        config: what to do.

    Attributes:
        done: the time is up.
        problem: why it never will be; empty: it may.
    """

    def __init__(self, config: DriveClientConfig, **options: Any):
        super().__init__("drive_client", **options)
        self.config = config
        self._states: dict[tuple[int, int], RobotState] = {}  # by episode and tick, since the reset
        self._answers: dict[tuple[int, int], RobotAction] = {}
        self._tasks: dict[float, str] = {}  # by stamp [s]
        self._began_s = self._heard_s = time.monotonic()
        self._moves_s = float("inf")
        self._asked: Any = None
        self._first: RobotState | None = None
        self._ended_s = float("inf")
        self.create_subscription(RobotState, "state", self._on_state, qos.STATE_ALL)
        self.create_subscription(RobotAction, "action", self._on_action, qos.STATE_ALL)
        self.create_subscription(ControllerStats, "mpc_controller/stats", self._on_stats, qos.STATE_ALL)
        self._reset = self.create_client(Trigger, "sim_bridge/reset")

    @property
    def done(self) -> bool:
        """See the class."""
        return time.monotonic() - self._ended_s > TRAILING_S

    @property
    def problem(self) -> str:
        """See the class."""
        now_s = time.monotonic()
        if self._first is None and now_s - self._began_s > UP_S:
            return (
                f"nobody moved the robot forward for {UP_S:g} s; is mpc_controller up, and has it a model or a policy?"
            )
        if self._first is not None and now_s - self._heard_s > STATE_LOST_S:
            return f"no state for {STATE_LOST_S:g} s; is sim_bridge alive?"
        return ""

    def rows(self) -> list[dict[str, Any]]:
        """A row per control step, by episode and tick; ``task``, ``idle`` and ``plan_ms`` are of its answer."""
        assert self._first is not None
        start_s, rows = time_seconds(self._first.header.stamp), []
        for key, state in sorted(self._states.items()):
            stamp_s, answer = time_seconds(state.header.stamp), self._answers.get(key)
            row = {
                "t_s": f"{stamp_s - start_s:.3f}",
                "episode": state.episode,
                "tick": state.tick,
                "x_m": f"{state.pose.position.x:.5f}",
                "y_m": f"{state.pose.position.y:.5f}",
                "status": STATUSES[state.status],
                "source": SOURCES[state.action_source],
                "effort": f"{sum(value * value for value in state.applied_action):.5f}",
                "task": self._tasks.get(stamp_s, ""),
                "idle": int(answer.idle) if answer else "",
                "plan_ms": f"{1e3 * answer.plan_time:.3f}" if answer else "",
            }
            rows.append(row)
        return rows

    def _on_state(self, message: RobotState) -> None:
        self._heard_s = time.monotonic()
        if self._first is None:
            self._start(message)
        if self._first is None or self._ended_s < float("inf"):
            return
        self._states.setdefault((message.episode, message.tick), message)
        if time_seconds(message.header.stamp) - time_seconds(self._first.header.stamp) >= self.config.seconds - 1e-6:
            self._ended_s = time.monotonic()

    def _start(self, message: RobotState) -> None:
        """Ask for a reset once the robot has moved for a moment; the run begins with the episode that this starts."""
        if self._asked is not None:
            episode, answered = self._asked
            if answered.done() and not answered.result().success:
                raise MbmfError(f"sim_bridge refused to reset: {answered.result().message}")
            if message.episode > episode and message.tick == 0 and message.status == RobotState.STATUS_ACTIVE:
                self._first = message
        elif time.monotonic() - self._moves_s > SETTLE_S and self._reset.service_is_ready():
            self._asked = (message.episode, self._reset.call_async(Trigger.Request()))

    def _on_action(self, message: RobotAction) -> None:
        self._answers.setdefault((message.episode, message.tick), message)

    def _on_stats(self, message: ControllerStats) -> None:
        self._tasks[time_seconds(message.header.stamp)] = message.task
        if message.task.startswith("forward"):
            self._moves_s = min(self._moves_s, time.monotonic())


def main(argv: Sequence[str] | None = None) -> int:
    """See the module."""
    argv = list(sys.argv[1:] if argv is None else argv)
    config = DriveClientConfig(**json.loads(argv[0]))
    rclpy.init(args=argv[1:])
    code = 130
    try:
        node = DriveClient(config)
        while not (node.done or node.problem):
            rclpy.spin_once(node, timeout_sec=0.2)
        if node.problem:
            print(f"error: {node.problem}", file=sys.stderr)
            return 3
        with Path(config.csv).open("w", newline="", encoding="utf-8") as out:
            writer: csv.DictWriter[str] = csv.DictWriter(out, COLUMNS)
            writer.writeheader()
            writer.writerows(node.rows())
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
