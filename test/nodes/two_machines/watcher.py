"""Hears one machine's end of the graph for a test, as one line of JSON per message; calls services on request.

``python watcher.py robot|workstation``. A line of input, such as ``dynamics_learner/load``, calls that service.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_srvs.srv import Trigger

from mbmf_ros.msg import LearnerStatus, Model, RobotAction, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import measurement_from
from mbmf_ros.nodes.runtime import STEADY
from mbmf_ros.robots import robot

LOOK_PERIOD_S = 0.2
SPEC = robot("ant")


def tell(**said: Any) -> None:
    """Pass it on to the test."""
    print(json.dumps({"at": time.monotonic(), **said}), flush=True)


class Watcher(Node):
    """See the module."""

    def __init__(self, machine: str):
        super().__init__(f"watcher_of_{machine}")
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.STATS)
        if machine == "robot":
            self.create_subscription(RobotState, "state", self._on_state, qos.STATE_ALL)
            self.create_subscription(RobotAction, "action", lambda m: tell(model_used=m.model_version), qos.ACTION)
            self.create_timer(LOOK_PERIOD_S, lambda: tell(learners=self.count_publishers("model")), clock=STEADY)
        else:
            self.create_subscription(Model, "model", lambda m: tell(model=m.version, bytes=len(m.weights)), qos.LATCHED)
            self.create_subscription(LearnerStatus, "dynamics_learner/status", self._on_learner, qos.LATCHED)
            self.create_timer(LOOK_PERIOD_S, lambda: tell(bridges=self.count_publishers("state")), clock=STEADY)

    def _on_state(self, message: RobotState) -> None:
        state = {"tick": message.tick, "m": measurement_from(message, SPEC).tolist()}
        tell(episode=message.episode, source=message.action_source, applied=list(message.applied_action), **state)

    def _on_learner(self, message: LearnerStatus) -> None:
        tell(logged=message.logged, version=message.model_version)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            tell(node=status.name, values={pair.key: pair.value for pair in status.values})

    def call(self, service: str) -> None:
        """Call it, and pass the answer on."""
        client = self.create_client(Trigger, service)
        client.wait_for_service()
        future = client.call_async(Trigger.Request())

        def pass_on(done: Any) -> None:
            tell(answer=done.result().message, success=done.result().success)

        future.add_done_callback(pass_on)


def main() -> None:
    rclpy.init()
    node = Watcher(sys.argv[1])
    threading.Thread(target=lambda: [node.call(line.strip()) for line in sys.stdin], daemon=True).start()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
