"""Cockpit: a web page that shows the robot, its path and its plan, and turns clicks into waypoints.

A plain client of the topics and services that RViz and the command line use:

- subscribes to ``state``, ``path``, ``mpc_controller/optimal_path``, ``mpc_controller/candidates`` (the last two only
  while a browser shows them), ``mpc_controller/stats``, ``dynamics_learner/status`` and ``<bridge>/safety``;
- publishes ``clicked_point``;
- calls ``<bridge>/reset``, ``<bridge>/set_paused``, ``<bridge>/estop``, ``<bridge>/clear_estop``, ``<bridge>/enable``,
  ``waypoints/clear``.
"""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, PointStamped
from nav_msgs.msg import Path as PathMessage
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import MarkerArray

from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import ControllerStats, LearnerStatus, RobotState, SafetyState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import measurement_from, points_from
from mbmf_ros.nodes.drawing import RateLimit, lines_from
from mbmf_ros.nodes.readout import Reports, read_out
from mbmf_ros.nodes.rejects import Rejects
from mbmf_ros.nodes.runtime import OK, STEADY, Diagnostics, declare, option, run
from mbmf_ros.robots import robot

_ANSWER_S = 3.0
_PANEL_HZ = 5.0


@dataclass(frozen=True)
class CockpitConfig:
    """Parameters of the cockpit."""

    robot: str = option("ant", "robot to show")
    bridge: str = option("sim_bridge", "node that the buttons for reset, pause, enabling and the emergency stop call")
    host: str = option("127.0.0.1", "address to serve on; anybody who reaches it can steer the robot")
    port: int = option(8080, "port to serve on; when it is taken, the next free one; 0: any", 0, 65535)
    odom_frame: str = option("odom", "frame of clicked points")
    frame_rate: float = option(20.0, "drawings of the robot per second, at most [Hz]", 1.0, 20.0)
    state_timeout: float = option(1.0, "a state older than this is lost [s]", 0.1, 60.0)
    click_range: float = option(60.0, "clicks farther from the robot are refused [m]", 1.0, 500.0)


class Cockpit(Node):
    """The node. viser calls back in threads of its own: those calls are queued for the executor's thread."""

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("cockpit", **node_arguments)
        self.config = declare(self, CockpitConfig())
        self._spec = robot(self.config.robot)
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake = self.create_guard_condition(self._work)
        self._reports = Reports()
        self._m: np.ndarray | None = None  # newest measurement
        self._drawn = True  # whether the browsers show it
        self._drawing = RateLimit(self.config.frame_rate)
        self._plan_drawing = RateLimit(self.config.frame_rate)
        self._candidates_drawing = RateLimit(5.0)
        self._wants_candidates = False
        self._optional: dict[str, Any] = {}  # subscriptions
        self._optional_at_s: dict[str, float] = {}  # when they last drew something
        self._pending: dict[Any, tuple[str, float]] = {}
        self.rejects, self._clicks = Rejects(), 0
        self._open_page()
        self._clicked = self.create_publisher(PointStamped, "clicked_point", qos.CLICK)
        self.create_subscription(RobotState, "state", self._on_state, qos.STATE_LATEST)
        self.create_subscription(PathMessage, "path", self._on_path, qos.LATCHED)
        self.create_subscription(ControllerStats, "mpc_controller/stats", self._on_stats, qos.STATS)
        self.create_subscription(LearnerStatus, "dynamics_learner/status", self._on_learner, qos.LATCHED)
        bridge = self.config.bridge
        self.create_subscription(SafetyState, f"{bridge}/safety", self._on_safety, qos.LATCHED)
        clear_stop = self.create_client(Trigger, f"{bridge}/clear_estop")
        set_paused = self.create_client(SetBool, f"{bridge}/set_paused")
        self._commands = {
            "estop": self.create_client(Trigger, f"{bridge}/estop"),
            "clear_estop": clear_stop,
            "clear_trip": clear_stop,
            "enable": self.create_client(SetBool, f"{bridge}/enable"),
            "pause": set_paused,
            "resume": set_paused,
            "reset": self.create_client(Trigger, f"{bridge}/reset"),
            "clear": self.create_client(Trigger, "waypoints/clear"),
        }
        self.create_timer(1.0 / _PANEL_HZ, self._refresh, clock=STEADY)
        self._diagnostics = Diagnostics(self, self._spec.name, self._condition, self.rejects)
        self.scene.on_ground_click(lambda point: self._post(partial(self._click, point)))

    def _open_page(self) -> None:
        try:
            from mbmf_ros.nodes.panel import Panel
            from mbmf_ros.nodes.scene import Scene, open_server
        except ModuleNotFoundError as error:
            if error.name not in ("viser", "mjviser"):
                raise
            raise MbmfError(
                f"the cockpit needs {error.name}, which {sys.executable} does not have; "
                "pip install viser==1.1.1 mjviser==0.0.14, or bring the robot up with cockpit:=false"
            ) from error
        host, port = self.config.host, self.config.port
        self.server = open_server(host, port, f"{self._spec.name} cockpit")
        self.scene = Scene(self.server, self._spec)
        self.panel = Panel(
            self.server,
            command=lambda name: self._post(partial(self._do, name)),
            look=lambda client: self._post(partial(self.scene.look_at_robot, client)),
        )
        self.url = f"http://{host}:{self.server.get_port()}"
        if port not in (0, self.server.get_port()):
            self.get_logger().warning(f"port {port} is taken; took {self.server.get_port()}")
        if host not in ("127.0.0.1", "localhost", "::1"):
            self.get_logger().warning(f"serving on {host}: anybody who reaches it can steer the robot")
        self.get_logger().info(f"Cockpit: {self.url}")

    def destroy_node(self) -> None:
        """Stop serving, then stop the node."""
        if hasattr(self, "server"):
            from mbmf_ros.nodes.scene import close_server

            close_server(self.server)
        super().destroy_node()

    # From viser's threads ---------------------------------------------------------------------------------------------

    def _post(self, job: Callable[[], None]) -> None:
        """Have ``job`` done in the executor's thread. May be called from any thread."""
        self._inbox.put(job)
        self._wake.trigger()

    def _work(self) -> None:
        while True:
            try:
                job = self._inbox.get_nowait()
            except queue.Empty:
                return
            job()

    # What the user asks for -------------------------------------------------------------------------------------------

    def _click(self, point: np.ndarray | None) -> None:
        here = np.zeros(2) if self._m is None else self._m[:2]
        if point is None or not np.linalg.norm(point - here) <= self.config.click_range:
            reach = f"{self.config.click_range:g} m"
            self._complain("No waypoint there", f"click on the ground, within {reach} of the robot")
            return
        message = PointStamped(point=Point(x=float(point[0]), y=float(point[1])))
        message.header.frame_id = self.config.odom_frame
        message.header.stamp = self.get_clock().now().to_msg()
        self._clicked.publish(message)
        self._clicks += 1

    def _do(self, name: str) -> None:
        """Carry out one of the panel's commands."""
        if name in ("candidates", "no_candidates"):
            self._wants_candidates = name == "candidates"
            self._subscribe_what_is_shown()
            return
        service = self._commands[name]
        if not service.service_is_ready():
            full = self.resolve_service_name(service.srv_name)
            self._complain(f"{name} failed", f"there is no service {full}: is {full.rpartition('/')[0]} running?")
            return
        switches = {"pause": True, "resume": False, "enable": True}
        request = SetBool.Request(data=switches[name]) if name in switches else Trigger.Request()
        future = service.call_async(request)
        self._pending[future] = (name, time.monotonic() + _ANSWER_S)
        future.add_done_callback(self._answered)

    def _answered(self, future: Any) -> None:
        name, _ = self._pending.pop(future, ("", 0.0))
        if name and not future.cancelled() and not future.result().success:
            self._complain(f"{name} failed", future.result().message)

    def _complain(self, title: str, text: str) -> None:
        self.get_logger().warning(f"{title}: {text}")
        self.panel.tell(title, text)

    # What the robot does ----------------------------------------------------------------------------------------------

    def _on_state(self, message: RobotState) -> None:
        self._diagnostics.heard("state")
        try:
            m = measurement_from(message, self._spec)
        except MbmfError as error:
            self.rejects.add("state", error)
            self.get_logger().warning(f"state ignored: {error}", throttle_duration_sec=5.0)
            return
        before, now = self._reports.state, time.monotonic()
        if before is not None and message.episode != before.episode:
            self.scene.clear_trail()
        self._reports.state, self._reports.state_at_s = message, now
        self._m, self._drawn = m, False
        self.scene.extend_trail(m[:2])
        if self.scene.watched and self._drawing.ready(now):
            self._draw(m)

    def _draw(self, m: np.ndarray) -> None:
        self._drawn = True
        self.scene.show_robot(m)

    def _on_path(self, message: PathMessage) -> None:
        self.scene.show_path(points_from(message))

    def _on_plan(self, message: PathMessage) -> None:
        now = time.monotonic()
        if self._plan_drawing.ready(now):
            self._optional_at_s["plan"] = now
            self.scene.show_plan(points_from(message))

    def _on_candidates(self, message: MarkerArray) -> None:
        now = time.monotonic()
        if self._candidates_drawing.ready(now):
            self._optional_at_s["candidates"] = now
            self.scene.show_candidates(*lines_from(message))

    def _on_stats(self, message: ControllerStats) -> None:
        self._diagnostics.heard("stats")
        self._reports.stats, self._reports.stats_at_s = message, time.monotonic()

    def _on_safety(self, message: SafetyState) -> None:
        self._reports.safety = message

    def _on_learner(self, message: LearnerStatus) -> None:
        self._reports.learner = message

    # A few times a second ---------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        now, timeout = time.monotonic(), self.config.state_timeout
        for future, (name, deadline) in list(self._pending.items()):
            if now > deadline:
                del self._pending[future]
                future.cancel()
                self._complain(f"{name} failed", f"no answer within {_ANSWER_S:g} s")
        self._subscribe_what_is_shown()
        if not self.scene.watched:
            return
        if self._m is not None and not self._drawn:
            self._draw(self._m)
        self._wipe("plan", now, self.scene.clear_plan)
        self._wipe("candidates", now, self.scene.clear_candidates)
        self.scene.show_trail()
        self.panel.show(read_out(self._reports, now, timeout))

    def _wipe(self, name: str, now: float, clear: Callable[[], None]) -> None:
        """Take an old drawing off the page."""
        if now - self._optional_at_s.get(name, now) > self.config.state_timeout:
            del self._optional_at_s[name]
            clear()

    def _subscribe_what_is_shown(self) -> None:
        """The controller draws plan and candidates only while somebody listens."""
        watched = self.scene.watched
        self._want("plan", watched, PathMessage, "mpc_controller/optimal_path", self._on_plan)
        wanted = watched and self._wants_candidates
        self._want("candidates", wanted, MarkerArray, "mpc_controller/candidates", self._on_candidates)

    def _want(self, name: str, wanted: bool, kind: Any, topic: str, callback: Callable[[Any], None]) -> None:
        if wanted and name not in self._optional:
            self._optional[name] = self.create_subscription(kind, topic, callback, qos.DRAWING)
        elif not wanted and name in self._optional:
            self.destroy_subscription(self._optional.pop(name))

    def _condition(self) -> tuple[bytes, str, dict[str, Any]]:
        values = {"url": self.url, "browsers": len(self.server.get_clients()), "clicks": self._clicks}
        return OK, f"serving {self.url}", values


def main(args: list[str] | None = None) -> int:
    """Run the node."""
    return run(Cockpit, args)


if __name__ == "__main__":
    sys.exit(main())
