"""Owns the path that the robot follows.

Takes waypoints as RViz publishes them (`goal_pose`: go there; `clicked_point`: append), as a nav_msgs/Path on
`follow_path` (replaces the path), from the action `follow_waypoints`, and from a file. Publishes `path`: the last
passed waypoint (or where the robot was), then what is left to do. An empty path means: stand still. What cannot be used
is refused with one message, and the robot keeps its task. Waypoints are refused too while an emergency stop is on, a
safety limit was crossed, or the robot is disabled: they would set it in motion when that ends.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped, PoseStamped, Twist, TwistStamped
from nav_msgs.msg import Path as PathMessage
from rclpy.action import ActionServer, CancelResponse  # pyright: ignore[reportPrivateImportUsage]
from rclpy.node import Node
from std_srvs.srv import Trigger

from mbmf_ros.action import FollowWaypoints
from mbmf_ros.control.follow import planar_pose, to_odom
from mbmf_ros.control.path_shapes import reachable
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import (
    command_from,
    measurement_from,
    path_message,
    points_from,
    time_message,
    time_seconds,
)
from mbmf_ros.nodes.frames import UnknownFrameError, in_odometry
from mbmf_ros.nodes.goal import CANCELLED, GRACE_S, Goal, Result
from mbmf_ros.nodes.rejects import Rejects
from mbmf_ros.nodes.route import Route, demonstration, load_waypoints, save_waypoints
from mbmf_ros.nodes.runtime import OK, STEADY, WARN, Diagnostics, declare, run
from mbmf_ros.nodes.seen import NoStateError, Seen
from mbmf_ros.nodes.stopped import StoppedError, check_takes_orders, takes_orders
from mbmf_ros.nodes.timeline import OUTDATED, Timeline
from mbmf_ros.nodes.waypoints_config import WaypointsConfig
from mbmf_ros.robots import robot

WATCH_PERIOD_S = 0.1
DEMO_START_S = 30.0  # into an episode; where the robot is first seen later than that, this node was restarted


class Waypoints(Node):
    """See the module."""

    def __init__(self, **options):
        super().__init__("waypoints", **options)
        self.config = config = declare(self, WaypointsConfig())
        self.spec = robot(config.robot)
        self.route = Route(self.spec.paths)
        self.goal: Goal | None = None
        self.seen: Seen | None = None
        self.rejects = Rejects()
        self.timeline = Timeline()
        self._received_s = float("-inf")
        self._demonstrating = config.demo
        self._warned_frame = False

        self._path = self.create_publisher(PathMessage, "path", qos.LATCHED)
        self.create_subscription(RobotState, "state", self._on_state, qos.STATE_ALL)
        self.create_subscription(PoseStamped, "goal_pose", self._on_goal_pose, qos.CLICK)
        self.create_subscription(PointStamped, "clicked_point", self._on_clicked_point, qos.CLICK)
        self.create_subscription(PathMessage, "follow_path", self._on_follow_path, qos.CLICK)
        twist = TwistStamped if config.enable_stamped_cmd_vel else Twist
        self.create_subscription(twist, "cmd_vel", self._on_cmd_vel, qos.COMMAND)
        for name, action in (("clear", self._clear), ("save", self._save), ("load", self._load)):
            self.create_service(Trigger, f"~/{name}", self._answering(action))
        self._server = ActionServer(
            self, FollowWaypoints, "follow_waypoints", self._drive, cancel_callback=lambda _: CancelResponse.ACCEPT
        )
        self.create_timer(WATCH_PERIOD_S, self._watch, clock=STEADY)
        self._diagnostics = Diagnostics(self, self.spec.name, self._condition, self.rejects)

    # The robot --------------------------------------------------------------------------------------------------------

    def _on_state(self, message: RobotState) -> None:
        self._diagnostics.heard("state")
        try:
            m = measurement_from(message, self.spec)
        except MbmfError as error:
            self.rejects.add("state", error)
            self.get_logger().warning(f"ignored a state: {error}", throttle_duration_sec=5.0)
            return
        last, stamp_s = self.seen, time_seconds(message.header.stamp)
        if self.timeline.outdated(stamp_s):
            self.rejects.add("state", OUTDATED)
            return
        self._received_s = time.monotonic()
        self.seen = seen = Seen(message.episode, message.tick, stamp_s, planar_pose(m), message.status)
        if last is None:
            self._demonstrating &= seen.tick * self.spec.dt_s <= DEMO_START_S
            self._publish()
        elif seen.episode != last.episode or stamp_s < last.stamp_s or seen.tick < last.tick:
            self._stop(Result.FALLEN, "the robot was reset; the path is cleared")
            self.route.clear()
        elif seen.tick == last.tick:
            return  # told again
        if message.status == RobotState.STATUS_FALLEN:
            if self.route.tracker is not None:
                self._stop(Result.FALLEN, f"{self.spec.name} fell; the path is cleared")
            return
        if self._demonstrating and self.route.tracker is None and takes_orders(seen.status):
            self._replace(to_odom(demonstration(self.spec), seen.pose), loops=float("inf"), demonstration=True)
        if self.route.update(seen.xy):
            self._publish()
        self._report()

    def _report(self) -> None:
        """Tell the active goal how far it is, or end it."""
        goal, tracker, seen = self.goal, self.route.tracker, self.seen
        if goal is None or seen is None:
            return
        if tracker is None:
            self._end_goal(Result.NONE, "every waypoint was driven to")
        elif seen.stamp_s - goal.started_s > goal.limit_s:
            self._stop(Result.TIMEOUT, f"slower than min_speed, {self.config.min_speed:g} m/s; the path is cleared")
        else:
            goal.feedback(seen.stamp_s, self.route.next_waypoint, self.route.remaining_m, tracker.cross_track_m)

    def _watch(self) -> None:
        """What does not wait for a state: cancelled goals, and lost states."""
        if self.goal is None:
            return
        if self.goal.handle.is_cancel_requested:
            self._stop(CANCELLED, "cancelled")
        elif 0 < self.config.state_timeout < time.monotonic() - self._received_s:
            self._stop(Result.STATE_LOST, f"no state for {self.config.state_timeout:g} s; the path is cleared")

    def _stop(self, code: int, text: str) -> None:
        """Stand still; ends the active goal with ``code`` and ``text``."""
        self._end_goal(code, text)
        self.route.stop()
        self._publish()
        if code != CANCELLED:
            self.get_logger().info(text)

    def _end_goal(self, code: int, text: str, missed: list[int] | None = None) -> None:
        if self.goal is not None:
            self.goal.end(code, text, self._where().stamp_s, self.route.missed if missed is None else missed)
            self.goal = None

    def _publish(self) -> None:
        points = self.route.path.points if self.route.path else np.empty((0, 2))
        stamp = time_message(round(self.seen.stamp_s * 1e9)) if self.seen else None
        self._path.publish(path_message(points, self.config.odom_frame, stamp))

    # Waypoints in -----------------------------------------------------------------------------------------------------

    def _where(self) -> Seen:
        if self.seen is None:
            raise NoStateError("where the robot is is not known yet; is the bridge running?")
        return self.seen

    def _in_odom(self, points: np.ndarray, frame: str) -> np.ndarray:
        """Points (W, 2) [m] of ``frame`` in the odometry frame, for a robot that takes orders."""
        config, seen = self.config, self._where()
        check_takes_orders(seen.status)
        if not frame and not self._warned_frame:
            self._warned_frame = True
            self.get_logger().warning(f"waypoints without a frame are taken to be in {config.odom_frame!r}")
        points = in_odometry(points, frame, config.odom_frame, config.base_frame, seen.pose)
        return reachable(self.spec, points)

    def _replace(self, points: np.ndarray, loops: float = 0, first: int = 0, demonstration: bool = False) -> None:
        """Follow ``points`` (W, 2) [m], odometry frame, from now on."""
        missed = self.route.missed
        self.route.start(self._where().xy, points, loops, first)
        self._end_goal(Result.REPLACED, "another goal replaced this one", missed)
        self._demonstrating = demonstration
        self._publish()

    def _refuse(self, what: str, error: MbmfError) -> str:
        self.rejects.add(what, error)
        self.get_logger().warning(text := f"refused {what}: {error}")
        return text

    def _on_goal_pose(self, message: PoseStamped) -> None:
        position = message.pose.position
        try:
            self._replace(self._in_odom(np.array([[position.x, position.y]]), message.header.frame_id))
        except MbmfError as error:
            self._refuse("goal_pose", error)

    def _on_clicked_point(self, message: PointStamped) -> None:
        try:
            point = self._in_odom(np.array([[message.point.x, message.point.y]]), message.header.frame_id)[0]
            if self._demonstrating:
                self._replace(point[None])
            else:
                before_m = self.route.remaining_m
                self.route.append(self._where().xy, point)
                if self.goal is not None:
                    self.goal.limit_s += self._time_for(self.route.remaining_m - before_m)
                self._publish()
        except MbmfError as error:
            self._refuse("clicked_point", error)

    def _time_for(self, length_m: float) -> float:
        """The longest time [s] that an action goal may take for ``length_m`` [m]."""
        return length_m / self.config.min_speed if self.config.min_speed > 0 else float("inf")

    def _on_follow_path(self, message: PathMessage) -> None:
        try:
            self._replace(self._in_odom(points_from(message), message.header.frame_id))
        except MbmfError as error:
            self._refuse("follow_path", error)

    def _on_cmd_vel(self, message: Twist | TwistStamped) -> None:
        """Whoever steers the robot by hand ends its path; the controller obeys the command."""
        try:
            twist = message.twist if isinstance(message, TwistStamped) else message
            if self.route.tracker is not None and command_from(twist).any():
                self._demonstrating = False
                self._stop(Result.REPLACED, "cmd_vel took over; the path is cleared")
        except MbmfError as error:
            self._refuse("cmd_vel", error)

    # Services ---------------------------------------------------------------------------------------------------------

    def _answering(self, action: Callable[[], str]) -> Callable[[Any, Trigger.Response], Trigger.Response]:
        def callback(_, response: Trigger.Response) -> Trigger.Response:
            try:
                response.success, response.message = True, action()
            except MbmfError as error:
                response.success, response.message = False, self._refuse("request", error)
            return response

        return callback

    def _clear(self) -> str:
        self._demonstrating = False
        self._stop(Result.REPLACED, "the path was cleared")
        self.route.clear()
        return "cleared"

    def _file(self) -> FilePath:
        return FilePath(self.config.waypoints_file).expanduser()

    def _save(self) -> str:
        save_waypoints(self._file(), self.route.waypoints, self.config.odom_frame)
        return f"{len(self.route.waypoints)} waypoints in {self._file()}"

    def _load(self) -> str:
        points, frame = load_waypoints(self._file())
        self._replace(self._in_odom(points, frame), loops=float("inf") if self.config.loop else 0)
        return f"{len(points)} waypoints from {self._file()}"

    # Action -----------------------------------------------------------------------------------------------------------

    async def _drive(self, handle: Any) -> Any:
        request = handle.request
        try:
            seen = self._where()
            points = [
                self._in_odom(np.array([[p.pose.position.x, p.pose.position.y]]), p.header.frame_id)
                for p in request.poses
            ]
            self._replace(np.concatenate([np.empty((0, 2)), *points]), request.loops, request.start_index)
        except MbmfError as error:
            codes = {
                UnknownFrameError: Result.UNKNOWN_FRAME,
                NoStateError: Result.STATE_LOST,
                StoppedError: Result.STOPPED,
            }
            goal = Goal(handle, 0.0, 0.0, self.executor)
            goal.end(codes.get(type(error), Result.INVALID_PATH), self._refuse("goal", error), 0.0)
            return await goal.result()
        limit_s = GRACE_S + self._time_for(self.route.remaining_m)
        goal = self.goal = Goal(handle, seen.stamp_s, limit_s, self.executor)
        return await goal.result()

    def _condition(self) -> tuple[bytes, str, dict]:
        values = {"distance remaining [m]": self.route.remaining_m}
        if 0 < self.config.state_timeout < time.monotonic() - self._received_s:
            return WARN, "no state is coming in; is the bridge running?", values
        return OK, "following a path" if self.route.tracker else "no path", values


def main(args: list[str] | None = None) -> int:
    """Run the node; the process's exit code."""
    return run(Waypoints, args)


if __name__ == "__main__":
    sys.exit(main())
