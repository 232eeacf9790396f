"""How people and programs reach a bridge's safety layer: services, topics, parameters. The same for every bridge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import SafetyState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.parameter_groups import settable
from mbmf_ros.nodes.runtime import OK, STEADY, WARN
from mbmf_ros.nodes.services import offer
from mbmf_ros.safety import Mode, Safety, SafetyConfig

GROUP = "safety"
REPEAT_S = 1.0


class SafetyInterface:
    """Gives a bridge its safety layer.

    Offers ``~/enable``, ``~/estop``, ``~/clear_estop``; listens to ``estop`` and ``dead_man``; publishes ``~/safety``
    on every change and once a second; takes the parameters ``safety.*`` whenever they are set.

    Args:
        node: the bridge; it has declared the parameters, see :func:`mbmf_ros.nodes.runtime.declare`.
        safety: the layer.
        now: the clock that the layer goes by [s].
        changed: called after a request, for the bridge to tell its state.
        stamp: the time now, for messages; the node's clock if it is left out.
        problems: why the robot may not be enabled now, one by one.

    Attributes:
        layer: the layer.
    """

    def __init__(
        self,
        node: Node,
        safety: Safety,
        now: Callable[[], float],
        changed: Callable[[], None],
        stamp: Callable[[], Time] | None = None,
        problems: Callable[[], Sequence[str]] = tuple,
    ):
        self.layer = safety
        self._node, self._now, self._changed, self._problems = node, now, changed, problems
        self._stamp = stamp or (lambda: node.get_clock().now().to_msg())
        self._told = (safety.mode, safety.reason)
        self._publisher = node.create_publisher(SafetyState, "~/safety", qos.LATCHED)
        for profile in qos.ESTOP:
            node.create_subscription(Bool, "estop", self._on_estop, profile)
        node.create_subscription(Bool, "dead_man", self._on_dead_man, qos.COMMAND)
        offer(node, SetBool, "enable", self._enable)
        offer(node, Trigger, "estop", lambda _: self._stop("asked for by the service estop"))
        offer(node, Trigger, "clear_estop", lambda _: self._clear())
        settable(node, GROUP, lambda: safety.config, self._configure)
        node.create_timer(REPEAT_S, self._publish, clock=STEADY)
        self._publish()

    # Once per control period ------------------------------------------------------------------------------------------

    def update(self, m: np.ndarray | None, causes: Sequence[str], unanswered: int, no_answer: str) -> Mode:
        """See :meth:`Safety.update`; tells what has changed. Keep causes free of numbers that differ every time."""
        mode = self.layer.update(self._now(), m, causes, unanswered, no_answer)
        self._tell()
        return mode

    def limit(self, action: np.ndarray, m: np.ndarray | None) -> np.ndarray:
        """See :meth:`Safety.limit`."""
        return self.layer.limit(action, m, self._now())

    def condition(self) -> tuple[bytes, str]:
        """The layer's part of a bridge's diagnostics: level, and one line; empty while all is well."""
        layer = self.layer
        if layer.mode in (Mode.RAMPING, Mode.ACTIVE):
            text = "ramping" if layer.mode is Mode.RAMPING else ""
            return OK, "dry run: nothing is sent" if layer.config.dry_run else text
        return WARN, self._words()

    def values(self) -> dict[str, Any]:
        """Numbers for a bridge's diagnostics."""
        return {
            "safety": self.layer.mode.name.lower(),
            "run time [s]": self.layer.run_time_s,
            "actions limited": self.layer.limited,
        }

    # Requests ---------------------------------------------------------------------------------------------------------

    def _enable(self, request: SetBool.Request) -> str:
        if not request.data:
            self.layer.disable("asked for by the service enable")
            self._after_request()
            return "disabled: the safe action is applied"
        return self._done(self.layer.enable(self._now(), self._problems()))

    def _stop(self, why: str) -> str:
        self.layer.estop(f"emergency stop, {why}")
        self._after_request()
        return "stopped: the safe action is applied until clear_estop"

    def _clear(self) -> str:
        disabled = self.layer.mode is Mode.DISABLED
        done, text = self.layer.clear(self._now(), self._problems())
        return self._done((done, f"{text}; call {self._node.get_name()}/enable with true" if disabled else text))

    def _done(self, answer: tuple[bool, str]) -> str:
        done, text = answer
        self._after_request()
        if not done:
            raise MbmfError(text)
        return text

    def _on_estop(self, message: Bool) -> None:
        if message.data and self.layer.mode is not Mode.ESTOP:  # a pressed button says so again and again
            self._stop("asked for on the topic estop")

    def _on_dead_man(self, message: Bool) -> None:
        self.layer.press_dead_man(message.data, self._now())

    def _configure(self, config: SafetyConfig) -> None:
        self.layer.configure(config)
        self._node.get_logger().warning(f"safety limits from now on: {config}")
        self._publish()

    # Telling ----------------------------------------------------------------------------------------------------------

    def _after_request(self) -> None:
        self._tell()
        self._changed()

    def _tell(self) -> None:
        """Publish what has changed; a new mode is worth a line in the log."""
        mode, reason = self.layer.mode, self.layer.reason
        if (mode, reason) == self._told:
            return
        if mode is not self._told[0]:
            if mode in (Mode.RAMPING, Mode.ACTIVE):
                self._node.get_logger().info(f"safety: {self._words()}")
            else:
                self._node.get_logger().warning(f"safety: {self._words()}")
        self._told = mode, reason
        self._publish()

    def _words(self) -> str:
        layer = self.layer
        return layer.mode.name.lower() + (f": {layer.reason}" if layer.reason else "")

    def _publish(self) -> None:
        layer = self.layer
        message = SafetyState(mode=int(layer.mode), reason=layer.reason, dry_run=layer.config.dry_run)
        message.header.stamp = self._stamp()
        message.ramp, message.run_time, message.limited = layer.ramp, layer.run_time_s, layer.limited
        self._publisher.publish(message)
