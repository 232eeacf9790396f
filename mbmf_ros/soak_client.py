"""A ROS 2 client that gives a robot waypoints again and again, and counts what comes of it.

``python -m mbmf_ros.soak_client CONFIG --ros-args ...``; CONFIG: the fields of :class:`SoakClientConfig` as JSON. Exit
codes: 0 the time was up; 2 bad input; 3 the graph was lost.
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

import numpy as np
import rclpy
from nav_msgs.msg import Path as PathMessage
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import ControllerStats, LearnerStatus, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import path_message
from mbmf_ros.nodes.runtime import STEADY

STATE_LOST_S = 20.0
UP_S = 60.0  # the graph may take so long to come up
LATE = (RobotState.SOURCE_PLAN, RobotState.SOURCE_SAFE)
WAYPOINTS = 4
LOOK_S = 1.0


@dataclass(frozen=True)
class SoakClientConfig:
    """What to do.

    Attributes:
        csv: file to write.
        seconds: how long, of wall time since the controller's first answer.
        sample_s: between two rows.
        seed: of the waypoints.
        reach: how far apart waypoints are [m].
        range: beyond this distance from the origin waypoints lead back to it [m].
    """

    csv: str
    seconds: float
    sample_s: float
    seed: int
    reach: float
    range: float


class SoakClient(Node):
    """The client node.

    Args:
        config: what to do.
        out: where the rows go.

    Attributes:
        done: the time is up.
        heard_s: when the last state came [s].
    """

    COLUMNS = (
        *("t_s", "ticks", "deadlines", "missed", "paths", "falls", "episodes", "task"),
        *("version", "training", "accepted", "refused", "kept", "kept_full", "plan_ms_max"),
    )

    def __init__(self, config: SoakClientConfig, out: Any, **options: Any):
        super().__init__("soak", **options)
        self.config = config
        self.done = False
        self.heard_s = time.monotonic() + UP_S - STATE_LOST_S
        self._out: csv.DictWriter[str] = csv.DictWriter(out, self.COLUMNS)
        self._flush = out.flush
        self._out.writeheader()
        self._rng = np.random.default_rng(config.seed)
        self._start_s: float | None = None
        self._state, self._last = RobotState(), (-1, -1)
        self._task, self._learner, self._driving, self._plan_s = "", LearnerStatus(), False, 0.0
        self._counts = dict.fromkeys(("ticks", "deadlines", "missed", "paths", "falls"), 0)
        self._fell = False
        self._episodes: set[int] = set()
        self._path = self.create_publisher(PathMessage, "follow_path", qos.CLICK)
        self.create_subscription(RobotState, "state", self._on_state, qos.STATE_ALL)
        self.create_subscription(PathMessage, "path", self._on_path, qos.LATCHED)
        self.create_subscription(ControllerStats, "mpc_controller/stats", self._on_stats, qos.STATS)
        self.create_subscription(LearnerStatus, "dynamics_learner/status", self._on_learner, qos.LATCHED)
        self.create_timer(LOOK_S, self._lead, clock=STEADY)
        self.create_timer(config.sample_s, self._write, clock=STEADY)

    def _on_state(self, message: RobotState) -> None:
        self.heard_s = max(self.heard_s, time.monotonic())
        here, self._state = (message.episode, message.tick), message
        if here == self._last:
            return
        follows, self._last = here == (self._last[0], self._last[1] + 1), here
        self._episodes.add(message.episode)
        counts, fallen = self._counts, message.status == RobotState.STATUS_FALLEN
        counts["ticks"] += 1
        counts["falls"] += fallen and not self._fell
        self._fell = fallen
        at_work = self._task not in ("", "idle") and message.status == RobotState.STATUS_ACTIVE
        counts["deadlines"] += at_work and follows
        counts["missed"] += at_work and follows and message.action_source in LATE

    def _on_path(self, message: PathMessage) -> None:
        self._driving = len(message.poses) > 1

    def _on_stats(self, message: ControllerStats) -> None:
        self._start_s = time.monotonic() if self._start_s is None else self._start_s
        self._task = message.task
        self._plan_s = max(self._plan_s, message.plan_time)

    def _on_learner(self, message: LearnerStatus) -> None:
        if message.message != self._learner.message:
            self.get_logger().info(message.message)
        self._learner = message

    def _lead(self) -> None:
        """Give the next waypoints to a robot that has none."""
        if self._start_s is None or self._driving or self._state.status != RobotState.STATUS_ACTIVE:
            return
        at = np.array([self._state.pose.position.x, self._state.pose.position.y])
        points = []
        for _ in range(WAYPOINTS):
            angle = self._rng.uniform(-np.pi, np.pi)
            if np.linalg.norm(at) > self.config.range:
                angle = np.arctan2(-at[1], -at[0])
            at = at + self.config.reach * np.array([np.cos(angle), np.sin(angle)])
            points.append(at)
        self._path.publish(path_message(np.array(points), self._state.header.frame_id))
        self._counts["paths"] += 1

    def _write(self) -> None:
        if self._start_s is None:  # not up yet
            return
        t_s, learner = time.monotonic() - self._start_s, self._learner
        row = {
            "t_s": f"{t_s:.1f}",
            **self._counts,
            "episodes": len(self._episodes),
            "task": self._task,
            "version": learner.model_version,
            "training": int(learner.state == LearnerStatus.STATE_TRAINING),
            "accepted": learner.accepted,
            "refused": learner.refused,
            "kept": learner.kept,
            "kept_full": int(learner.logged > learner.kept),
            "plan_ms_max": f"{1e3 * self._plan_s:.1f}",
        }
        self._out.writerow(row)
        self._flush()
        self._plan_s = 0.0
        self.done = t_s >= self.config.seconds


def main(argv: Sequence[str] | None = None) -> int:
    """See the module."""
    argv = list(sys.argv[1:] if argv is None else argv)
    config = SoakClientConfig(**json.loads(argv[0]))
    rclpy.init(args=argv[1:])
    code = 130
    try:
        with Path(config.csv).open("w", newline="", encoding="utf-8") as out:
            node = SoakClient(config, out)
            while not node.done:
                rclpy.spin_once(node, timeout_sec=0.2)
                if time.monotonic() - node.heard_s > STATE_LOST_S:
                    print(f"error: no state for {STATE_LOST_S:g} s; is the bridge alive?", file=sys.stderr)
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
