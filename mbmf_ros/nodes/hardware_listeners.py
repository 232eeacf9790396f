"""Who takes a hardware bridge's commands: whether anybody does, and for which joints in which order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy._rclpy_pybind11 import RCLError
from rclpy.node import Node

from mbmf_ros.nodes.runtime import STEADY

LOOK_S = 0.2
PATIENCE_S = 2.0  # with a node that does not tell its parameters
PARAMETER = "joints"  # of ros2_control's forward command controllers
TOOL = "_ros2cli"  # how the nodes of `ros2 topic echo` and the like are called


@dataclass
class _Listener:
    """A subscription to the commands.

    Attributes:
        node: its node, with namespace.
        since_s: when it was found.
        client, answer: for its parameters, and what comes of the question; None: not yet.
        done: nothing more is expected of it.
        joints: what it told; None: nothing.
    """

    node: str
    since_s: float
    client: Any = None
    answer: Any = None
    done: bool = False
    joints: list[str] | None = None


class Listeners:
    """Asks whoever listens to the commands for its parameter ``joints``, without ever waiting for the answer.

    Args:
        node: the bridge.
        publisher: of the commands.
        order: the joints' names as they are commanded.
    """

    def __init__(self, node: Node, publisher: Any, order: Sequence[str]):
        self._node, self._publisher, self._order = node, publisher, list(order)
        self._topic = publisher.topic_name
        self._known: dict[bytes, _Listener] = {}
        self._warned = False  # that nobody tells its joints
        node.create_timer(LOOK_S, self._look, clock=STEADY)

    @property
    def heard(self) -> bool:
        """Somebody listens who is no command-line tool, as far as is known."""
        tools = [_is_tool(listener.node) for listener in self._known.values()]
        return self._publisher.get_subscription_count() > 0 and not (tools and all(tools))

    @property
    def told(self) -> bool:
        """Somebody told its joints."""
        return any(listener.joints is not None for listener in self._known.values())

    def problems(self) -> list[str]:
        """Why nothing can be commanded now, one line each."""
        if not self.heard:
            return [f"nobody listens on {self._topic}; is the robot's controller active?"]
        return [
            f"{listener.node} takes commands for the joints {', '.join(listener.joints)}, command.order has "
            f"{', '.join(self._order)}; write its parameter {PARAMETER} there"
            for listener in self._known.values()
            if listener.joints is not None and listener.joints != self._order
        ]

    def unasked(self) -> list[str]:
        """Who has still to tell its joints, in one line; nobody: no line."""
        if self.told or (self._known and all(listener.done for listener in self._known.values())):
            return []
        return [f"whoever listens on {self._topic} is just being asked for its {PARAMETER}; try again"]

    def _look(self) -> None:
        now_s, before = time.monotonic(), self._known
        self._known = {}
        for info in self._node.get_subscriptions_info_by_topic(self._topic):
            gid = bytes(info.endpoint_gid)
            name = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            self._known[gid] = listener = before.pop(gid, None) or _Listener(name, now_s)
            self._ask(listener, name, now_s)
        for gone in before.values():
            self._forget(gone)
        if self.heard and not (self._warned or self.told or self.unasked()):
            self._warned = True
            self._node.get_logger().warning(
                f"nobody who listens on {self._topic} tells its parameter {PARAMETER}: compare command.order yourself, "
                "as in: ros2 param get /effort_controller joints"
            )

    def _ask(self, listener: _Listener, name: str, now_s: float) -> None:
        if listener.done or _is_tool(name):
            listener.done = True
            return
        if name != listener.node:  # the graph learns of a node's name after its subscription
            self._forget(listener)
            listener.node, listener.since_s = name, now_s
        if listener.client is None:
            try:
                listener.client = self._node.create_client(GetParameters, f"{name}/get_parameters")
            except RCLError:  # the node's permissions (SROS2) do not have it
                listener.done = True
        elif listener.answer is None and listener.client.service_is_ready():
            listener.answer = listener.client.call_async(GetParameters.Request(names=[PARAMETER]))
        answer = listener.answer.result() if listener.answer is not None and listener.answer.done() else None
        if answer is not None and answer.values:  # of a node without that parameter: none, or one that is not set
            listener.joints = list(answer.values[0].string_array_value) or None
        if answer is not None or now_s - listener.since_s > PATIENCE_S:
            listener.done = True
            self._forget(listener)

    def _forget(self, listener: _Listener) -> None:
        if listener.client is not None:
            self._node.destroy_client(listener.client)
        listener.client = listener.answer = None


def _is_tool(name: str) -> bool:
    return name.rpartition("/")[2].startswith(TOOL)
