"""A ROS 2 client that walks paths and measures how, over the interface that any other program has.

Uses the action ``follow_waypoints``, the topics ``state`` and ``action``, and the bridge's services (mbmf_ros.starts).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.action.client import ActionClient
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future

from mbmf_ros.action import FollowWaypoints
from mbmf_ros.control.follow import PathRun, planar_pose, to_odom
from mbmf_ros.control.path import Path
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import LearnerStatus, RobotAction, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import measurement_from, pose_message, time_seconds
from mbmf_ros.nodes.stopped import takes_orders
from mbmf_ros.outing import Outing
from mbmf_ros.robots import RobotSpec
from mbmf_ros.starts import Stage, start_over
from mbmf_ros.ticks import Tick, TickMatcher

_ANSWER_S = 10.0  # wall time for a service, or for a goal's acceptance
_GRANTED_S = 30.0  # wall time in which a hardware bridge's start-up checks have to pass
_STATE_LOST_S = 10.0  # wall time without a new state
_SETTLED_TICKS = 20
_IDLE_S = 20.0  # wall time in which the controller has to set out
_REPORT_S = 5.0
_STRAGGLERS_S = 0.5  # wall time in which states may arrive after the result that they led to
_BARELY_TICKS = 10  # what a robot walks after a goal that is dropped at once


class GraphLostError(Exception):
    """The graph did not come up, or something in it stopped answering."""


@dataclass(frozen=True)
class ClientConfig:
    """What to walk.

    Attributes:
        paths: file of paths, see :func:`mbmf_ros.control.follow.load_paths`.
        json: file to write, or None.
        robot: name of the robot's spec.
        nodes: names of the nodes that have to be there.
        seed: as given to the simulation, for the record.
        up_timeout_s: wall time that the graph may take to come up [s].
        odom_frame: frame of the goals that are sent.
        bridge: what is behind `state` and `action`: sim, or hardware, which is a stand-in.
    """

    paths: str
    json: str | None = None
    robot: str = "ant"
    nodes: tuple[str, ...] = ()
    seed: int = 0
    up_timeout_s: float = 60.0
    odom_frame: str = "odom"
    bridge: str = "sim"


class PathRunner(Node):
    """The client node."""

    def __init__(self, config: ClientConfig, spec: RobotSpec, **options: Any):
        super().__init__("path_runner", **options)
        self.config, self.spec = config, spec
        self.executor_ = SingleThreadedExecutor(context=self.context)
        self.executor_.add_node(self)
        self.matcher = TickMatcher()
        self.newest: Tick | None = None
        self.answered = self.learner_ready = False
        self.troubles: dict[str, str] = {}
        self.malformed = 0
        self._problem = ""  # of the last malformed state
        self._heard_s = float("inf")  # until the graph is up, states may be late
        self._in_time = 0
        self._feedback: FollowWaypoints.Feedback | None = None
        self.create_subscription(RobotState, "state", self._on_state, qos.STATE_ALL)
        self.create_subscription(RobotAction, "action", self._on_action, qos.STATE_ALL)  # each answer counts
        self.create_subscription(LearnerStatus, "dynamics_learner/status", self._on_learner, qos.LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.STATS)
        self._follow = ActionClient(self, FollowWaypoints, "follow_waypoints")
        self._start = start_over(config.bridge, self)

    # Being up ---------------------------------------------------------------------------------------------------------

    def missing(self) -> list[str]:
        """What the graph still lacks, in words."""
        namespace = self.get_namespace()
        there = {name for name, where in self.get_node_names_and_namespaces() if where == namespace}
        lacks = [f"node {name}" for name in self.config.nodes if name not in there]
        if self.newest is None:
            lacks.append(f"a message on topic state (from {self._start.bridge}){self.ignored()}")
        if not self.answered:
            lacks.append("a message on topic action (from mpc_controller)")
        if not self.learner_ready:  # a model that came later would cost control steps
            lacks.append("a message on topic dynamics_learner/status")
        if not self._follow.server_is_ready():
            lacks.append("action follow_waypoints (of waypoints)")
        return lacks + self._start.missing()

    def wait_until_up(self) -> None:
        """Wait for the whole graph.

        Raises:
            GraphLostError: it did not come up in time; names what is missing.
        """
        if not self._until(lambda: not self.missing(), self.config.up_timeout_s):
            lacks = "; ".join(self.missing())
            raise GraphLostError(
                f"the graph did not come up within {self.config.up_timeout_s:g} s; still missing: {lacks}"
            )
        self._heard_s = time.monotonic()
        if self._newest().status == RobotState.STATUS_DISABLED:
            self.reset_robot()  # which enables it
        # Where the last nodes are still starting, or the controller tries its model out, the first answers are late.
        self._until(lambda: self._in_time >= _SETTLED_TICKS, _ANSWER_S)

    def ignored(self) -> str:
        """A remark on malformed states; empty where there were none."""
        return f" (malformed states ignored: {self.malformed}; the last: {self._problem})" if self.malformed else ""

    # One path ---------------------------------------------------------------------------------------------------------

    def walk(self, name: str, waypoints: np.ndarray, report: Callable[[str], None]) -> dict[str, Any]:
        """Reset the robot and walk ``waypoints`` (W, 2) [m], start frame; returns the run's row.

        Raises:
            GraphLostError: something stopped answering.
        """
        start = self.reset_robot()
        goal = to_odom(waypoints, planar_pose(start.m))
        row, result = self._attempt(name, goal, report)
        deadline = time.monotonic() + _ANSWER_S
        while self._behind(row, result, start) and time.monotonic() < deadline:
            row, result = self._attempt(name, goal, report)
        if not row["success"] and result.error_message:
            report(f"{name}: {result.error_message}")
        return row

    def _behind(self, row: dict[str, Any], result: Any, start: Tick) -> bool:
        """Whether the goal ended because `waypoints` had yet to hear that the robot was reset, or enabled again."""
        now, code = self._newest(), result.error_code
        dropped = code in (FollowWaypoints.Result.FALLEN, FollowWaypoints.Result.STOPPED) and not row["fell"]
        ready = now.episode == start.episode and now.status != RobotState.STATUS_FALLEN and takes_orders(now.status)
        return dropped and ready and row["deadlines"] <= _BARELY_TICKS

    def _attempt(self, name: str, goal: np.ndarray, report: Callable[[str], None]) -> tuple[dict[str, Any], Any]:
        """Walk waypoints (W, 2), odometry frame; returns the run's row and the action's result."""
        started = time.monotonic()
        handle = self._send(goal)
        here = self._newest()
        run = PathRun(self.spec, name, self.config.seed, Path.from_waypoints(here.m[:2], goal))
        self.matcher.clear()
        result = handle.get_result_async()
        outing = Outing(run, here)
        reported, over_s = started, float("inf")
        # Somebody who never walks is stopped too: twice the time allowed, and a little for starting.
        limit_s = 2 * run.path.length_m / self.spec.paths.slowest_mps + 10.0
        while not run.finished and outing.sim_s < limit_s:
            self._spin()
            now = time.monotonic()
            over_s = min(over_s, now) if result.done() else over_s
            for tick, plan_time_s, idle in self.matcher.take():
                if tick.episode != here.episode:
                    over_s = float("-inf")
                    break
                outing.tick(tick, plan_time_s, idle, result.done())
            if now - over_s > _STRAGGLERS_S:
                break
            if not outing.walking and now - started > _IDLE_S:
                troubles = "; ".join(f"{node}: {text}" for node, text in self.troubles.items())
                raise GraphLostError(f"mpc_controller does not set out on the path. {troubles}")
            if now - reported > _REPORT_S and self._feedback is not None:
                reported = now
                at, left_m = self._feedback.current_waypoint, self._feedback.distance_remaining
                report(f"{name}: waypoint {at + 1} of {len(goal)}, {left_m:.1f} m to go")
        if not result.done():
            self._stop(handle, result, run)
        return run.result(outing.sim_s, time.monotonic() - started), result.result().result

    def reset_robot(self) -> Tick:
        """Put the robot at its start; returns the first state of the new episode."""
        for stage in self._start.stages():
            self._pass(stage)
        return self._newest()

    def _pass(self, stage: Stage) -> None:
        """Ask until it is granted, and wait until that shows."""
        before, refused, what = self._newest(), "", f"{self._start.bridge}: to {stage.what}"

        def granted() -> bool:
            nonlocal refused
            refused = stage.request(self._ask)
            return not refused

        if not self._until(granted, _GRANTED_S):
            raise GraphLostError(f"{what} was refused: {refused}")
        since = self._newest()
        if not self._until(lambda: stage.done(before, since, self._newest()), _ANSWER_S):
            raise GraphLostError(f"{what} was granted, but no state shows it (status {self._newest().status})")

    def _ask(self, client: Client, request: Any) -> Any:
        return self._answer(client.call_async(request), f"service {client.srv_name}")

    def _send(self, goal: np.ndarray) -> Any:
        """Send waypoints (W, 2), odometry frame; returns the handle of the accepted goal."""
        poses = [PoseStamped(pose=pose_message(x, y)) for x, y in goal]
        for pose in poses:
            pose.header.frame_id = self.config.odom_frame
        message = FollowWaypoints.Goal(poses=poses)
        self._feedback = None
        handle = self._answer(self._follow.send_goal_async(message, self._on_feedback), "action follow_waypoints")
        if not handle.accepted:
            raise GraphLostError("waypoints rejected the path; its log says why")
        return handle

    def _stop(self, handle: Any, result: Future, run: PathRun) -> None:
        """The run is decided: give the goal a moment to end by itself where it succeeded, then cancel it."""
        if run.success and self._until(result.done, 2.0):
            return
        self._answer(handle.cancel_goal_async(), "cancelling of follow_waypoints")
        if not self._until(result.done, _ANSWER_S):
            raise GraphLostError("action follow_waypoints did not end after it was cancelled")

    # Waiting and receiving --------------------------------------------------------------------------------------------

    def _newest(self) -> Tick:
        assert self.newest is not None  # wait_until_up has seen one
        return self.newest

    def _spin(self) -> None:
        self.executor_.spin_once(timeout_sec=0.2)
        silent_s = time.monotonic() - self._heard_s
        if silent_s > _STATE_LOST_S:
            raise GraphLostError(
                f"no state arrived for {silent_s:.0f} s{self.ignored()}; "
                f"is {self._start.bridge} alive, paused, or without controller?"
            )

    def _until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Spin until ``done()``; False where it takes longer than ``timeout_s`` of wall time."""
        deadline = time.monotonic() + timeout_s
        while not done():
            if time.monotonic() > deadline:
                return False
            self._spin()
        return True

    def _answer(self, future: Future, what: str) -> Any:
        if not self._until(future.done, _ANSWER_S):
            raise GraphLostError(f"{what} did not answer within {_ANSWER_S:g} s")
        return future.result()

    def _on_state(self, message: RobotState) -> None:
        try:
            m = measurement_from(message, self.spec)
        except MbmfError as error:
            self.malformed += 1
            self._problem = str(error)
            return
        if self._heard_s < float("inf"):
            self._heard_s = time.monotonic()
        stamp_s = time_seconds(message.header.stamp)
        tick = Tick(message.episode, message.tick, m, message.action_source, message.status, stamp_s)
        if self.newest is None or (tick.episode, tick.tick) != (self.newest.episode, self.newest.tick):
            self._in_time = self._in_time + 1 if tick.source == RobotState.SOURCE_CONTROLLER else 0
        self.newest = tick
        self.matcher.state(tick)

    def _on_action(self, message: RobotAction) -> None:
        self.answered = True
        self.matcher.answer(message.episode, message.tick, message.plan_time, message.idle)

    def _on_learner(self, _: LearnerStatus) -> None:
        self.learner_ready = True

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.rpartition("/")[0] != self.get_namespace().strip("/"):
                continue  # /diagnostics is everybody's
            self.troubles.pop(status.name, None)
            if status.level == DiagnosticStatus.ERROR:
                self.troubles[status.name] = status.message

    def _on_feedback(self, message: Any) -> None:
        self._feedback = message.feedback
