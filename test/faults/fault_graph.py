"""A node graph as `mbmf up` runs it, with a listener beside it, for tests that break something in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from heard import Tick, newest_answered, sent_s  # pyright: ignore[reportMissingImports]
from nav_msgs.msg import Path as PathMessage
from node_processes import node_processes  # pyright: ignore[reportMissingImports]
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from mbmf_ros.msg import RobotAction, RobotState, SafetyState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import pose_message, time_seconds
from mbmf_ros.robots import robot

SPEC = robot("ant")
SAFE = np.array(SPEC.safe_action)
BY_HAND = (RobotState.STATUS_ESTOP, RobotState.STATUS_TRIPPED, RobotState.STATUS_DISABLED)
LAP_M = ((1.5, 0.0), (1.5, 1.5), (0.0, 1.5), (0.0, 0.0))
LAPS = 60


class FaultGraph:
    """``mbmf up`` in a process of its own, and a node that hears what goes on.

    Args:
        words: the command line after ``mbmf up``.
        home: of the user who runs it; its output goes there too.
        bridge: name of the bridge.
        wrap: command that runs the command.

    Attributes:
        ticks: the states told so far, each once.
        last: the newest state, with the status of the last time that it was told.
        actions: the controller's answers so far.
        commands: a real robot's commands so far, and when they were sent [s, monotonic].
        safety: the newest of what the bridge's safety layer tells.
        status: each node's newest diagnostics.
    """

    def __init__(self, words: Sequence[str], home: Path, bridge: str, wrap: Sequence[str] = ()):
        self.bridge, self._said = bridge, home / "said.txt"
        domain = 1 + os.getpid() % 100
        environment = {**os.environ, "HOME": str(home), "ROS_DOMAIN_ID": str(domain)}
        command = [*wrap, sys.executable, "-m", "mbmf_ros.cli", "up", *words]
        with self._said.open("w") as said:
            self.process = subprocess.Popen(command, env=environment, stdout=said, stderr=subprocess.STDOUT)
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.probe = Node("probe", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.probe)
        self.ticks: list[Tick] = []
        self.actions: list[RobotAction] = []
        self.last = RobotState()
        self.safety = SafetyState()
        self.status: dict[str, DiagnosticStatus] = {}
        self.hear(RobotState, "state", qos.STATE_ALL, self._on_state)
        self.hear(RobotAction, "action", qos.STATE_ALL, self.actions.append)
        self.hear(SafetyState, f"{bridge}/safety", qos.LATCHED, lambda message: setattr(self, "safety", message))
        self.commands: list[tuple[np.ndarray, float]] = []
        self.hear(Float64MultiArray, "effort_controller/commands", qos.STATE_ALL, self._on_command)
        self.hear(DiagnosticArray, "/diagnostics", 10, self._on_diagnostics)
        self._path = self.probe.create_publisher(PathMessage, "follow_path", qos.CLICK)

    # Listening --------------------------------------------------------------------------------------------------------

    def _on_state(self, message: RobotState, info: Mapping[str, Any]) -> None:
        newest_s, stamp_s = self.ticks[-1].stamp_s if self.ticks else 0.0, time_seconds(message.header.stamp)
        if stamp_s > newest_s:  # an earlier one is a test's own
            self.ticks.append(Tick(message, sent_s(info)))
        if stamp_s >= newest_s:
            self.last = message

    def _on_command(self, message: Float64MultiArray, info: Mapping[str, Any]) -> None:
        self.commands.append((np.array(message.data), sent_s(info)))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.status |= {status.name: status for status in message.status}

    def hear(self, kind: Any, topic: str, profile: Any, callback: Callable[..., Any]) -> None:
        """Call ``callback`` with every message on ``topic``, and with what is known of it if it takes that too."""
        self.probe.create_subscription(kind, topic, callback, profile)

    def when(self, kind: Any, topic: str, counts: Callable[[Any], bool] = lambda _: True) -> list[float]:
        """A list that grows by when each message that ``counts``, of a sensor, was sent [s, monotonic]."""
        times_s: list[float] = []

        def on_message(message: Any, info: Mapping[str, Any]) -> None:
            if counts(message):
                times_s.append(sent_s(info))

        self.probe.create_subscription(kind, topic, on_message, qos.SENSOR)
        return times_s

    def speak(self, kind: Any, topic: str, profile: Any, listeners: int = 1) -> Any:
        """A publisher that has found its subscribers."""
        publisher = self.probe.create_publisher(kind, topic, profile)
        self.until(lambda: publisher.get_subscription_count() >= listeners, f"{listeners} subscribers of {topic}")
        return publisher

    def call(self, kind: Any, service: str, **request: Any) -> Any:
        """The answer of a service."""
        client = self.probe.create_client(kind, service)
        self.until(client.service_is_ready, f"service {service}")
        future = client.call_async(kind.Request(**request))
        self.until(future.done, f"an answer of {service}")
        self.probe.destroy_client(client)
        return future.result()

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> None:
        """Listen until ``condition``; fails when that takes too long, or everything has ended."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            ended = self.process.poll()
            assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s\n{self.said()[-3000:]}"
            assert ended is None, f"{what}: all ended with exit code {ended}\n{self.said()[-3000:]}"
            look_s = time.monotonic() + 0.02  # not after every message: a slow condition would leave news to grow old
            while (left_s := look_s - time.monotonic()) > 0:
                self._executor.spin_once(timeout_sec=left_s)

    def reach(self, more: int) -> None:
        """Listen for some more control periods."""
        count = len(self.ticks) + more
        self.until(lambda: len(self.ticks) >= count, f"{more} more control periods")

    def said(self) -> str:
        """Everything that was printed so far."""
        return self._said.read_text(errors="replace")

    def counts(self, node: str) -> dict[str, str]:
        """The values in a node's newest diagnostics."""
        return {entry.key: entry.value for entry in self.status[node].values} if node in self.status else {}

    def refused(self, node: str) -> int:
        """Messages that a node has refused, as its diagnostics tell."""
        return sum(int(value) for key, value in self.counts(node).items() if key.startswith("refused: "))

    # Walking ----------------------------------------------------------------------------------------------------------

    @property
    def xy(self) -> np.ndarray:
        """Where the robot says that it is [m] (2,)."""
        position = self.ticks[-1].state.pose.position
        return np.array([position.x, position.y])

    @property
    def walking(self) -> bool:
        """The controller's newest answer is part of a task, and reaches the robot."""
        return bool(self.actions) and not self.actions[-1].idle and self.last.status == RobotState.STATUS_ACTIVE

    def walk(self) -> None:
        """See that the robot is on its way, along laps that last longer than any test."""
        if self.walking and "following" in self.status.get("waypoints", DiagnosticStatus()).message:
            return
        self.until(lambda: self.ticks, "the first state", timeout_s=120)
        self.until(lambda: self.last.status == RobotState.STATUS_ACTIVE, "a robot that takes orders")
        self.until(self._path.get_subscription_count, "the waypoints node")
        here, said_s = self.xy, 0.0
        message = PathMessage()
        message.header.frame_id = "odom"
        laps = np.concatenate([np.array(LAP_M)] * LAPS) + here
        message.poses = [PoseStamped(pose=pose_message(x, y)) for x, y in laps]

        def on_its_way() -> bool:
            nonlocal said_s
            if not self.walking and time.monotonic() - said_s > 1.0:  # the node may have yet to hear of what we have
                self._path.publish(message)
                said_s = time.monotonic()
            return self.walking and float(np.linalg.norm(self.xy - here)) > 0.1

        self.until(on_its_way, "walking")
        self.gets_on()

    def gets_on(self, metres: float = 0.4, periods: int = 200) -> int:
        """Listen until the robot has got on by ``metres``; fails if that takes longer than ``periods``.

        Returns:
            How many control periods it took.
        """
        begun, here, episode = len(self.ticks), self.xy, self.last.episode
        away = lambda: np.linalg.norm(self.xy - here) >= metres  # noqa: E731
        self.until(lambda: away() or len(self.ticks) > begun + periods, "getting on", timeout_s=120)
        assert self.last.episode == episode, "the robot was put back at its start"
        assert away(), f"{metres:g} m took longer than {periods} control periods"
        return len(self.ticks) - begun

    def undisturbed(self, first: int) -> None:
        """Since the tick at index ``first`` the robot was never stopped, and it neither fell nor began anew."""
        since = self.ticks[first:]
        statuses = [tick.state.status for tick in since]
        assert not {*statuses} & set(BY_HAND)
        if RobotState.STATUS_FALLEN in statuses:
            sources = [tick.state.action_source for tick in since[: statuses.index(RobotState.STATUS_FALLEN)]]
            pytest.fail(f"it fell after {len(sources)} control periods; where their actions came from: {sources}")
        assert {tick.state.episode for tick in since} == {since[0].state.episode}

    def safe_periods(self, first: int) -> int:
        """How many control periods since the tick at index ``first`` passed with the safe action."""
        return sum(tick.state.action_source == RobotState.SOURCE_SAFE for tick in self.ticks[first:])

    def unmeasured_periods(self, first: int) -> int:
        """Most control periods in a row, since the tick at index ``first``, of which the bridge told no state."""
        stamps_s = np.array([tick.stamp_s for tick in self.ticks[first:]])  # by its own steady clock
        return round(float(np.diff(stamps_s).max()) / SPEC.dt_s) - 1

    # Losing control ---------------------------------------------------------------------------------------------------

    def first_safe(self, first: int) -> int:
        """Index of the first tick, from index ``first`` on, up to which the safe action was applied."""
        for index in range(first, len(self.ticks)):
            if len(self.ticks[index].applied) and (self.ticks[index].applied == SAFE).all():
                return index
        return -1

    def periods_out_of_control(self, first: int) -> int:
        """Control periods from the first that the controller did not answer for to the first with the safe action.

        Args:
            first: index of a tick before that, after which the controller answered no more.
        """
        newest, ahead = newest_answered(self.ticks, self.actions)
        safe = self.first_safe(max(first, newest))
        return (safe - 1) - (newest + ahead + 1)

    # Breaking ---------------------------------------------------------------------------------------------------------

    def pids(self) -> dict[str, int]:
        """The node processes, by name."""
        return node_processes(self.process.pid)

    def kill(self, node: str, number: signal.Signals = signal.SIGKILL) -> tuple[int, float]:
        """Send a node a signal; returns the number of ticks heard before, and the time [s]."""
        pid = self.pids()[node]
        os.kill(pid, number)
        return len(self.ticks), time.monotonic()

    def is_back(self, node: str, before: int) -> bool:
        """Whether a node that had process ``before`` runs in another one, and tells of itself."""
        if self.pids().get(node, before) == before:
            self.status.pop(node, None)  # of the old one
        return node in self.status

    def close(self) -> None:
        """End everything."""
        self.probe.destroy_node()
        self._executor.shutdown()
        rclpy.shutdown(context=self.context)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
