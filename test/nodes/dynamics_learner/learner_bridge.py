"""A fake bridge that publishes recorded motion to the dynamics learner over real ROS."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from mbmf_ros.data.store import TransitionStore
from mbmf_ros.msg import LearnerStatus, Model, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles, fill_state
from mbmf_ros.robots import robot

SPEC = robot("ant")
DOMAIN = 1 + os.getpid() % 100


class Bridge(Node):
    """Publishes states, and remembers what the learner publishes."""

    def __init__(self, context: rclpy.Context, executor: SingleThreadedExecutor):
        super().__init__("bridge", context=context)
        self.spinner = executor
        executor.add_node(self)
        self.models: list[Model] = []
        self.statuses: list[LearnerStatus] = []
        self.diagnoses: list[Any] = []
        self.publisher = self.create_publisher(RobotState, "state", qos.STATE_PUB)
        self.create_subscription(Model, "model", self.models.append, qos.LATCHED)
        self.create_subscription(LearnerStatus, "dynamics_learner/status", self.statuses.append, qos.LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", lambda m: self.diagnoses.extend(m.status), 10)

    @property
    def status(self) -> LearnerStatus:
        return self.statuses[-1] if self.statuses else LearnerStatus()

    def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Spin until something is so."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"not within {timeout_s} s; last status: {self.status}"
            self.spinner.spin_once(timeout_sec=0.1)

    def connect(self) -> None:
        self.until(lambda: self.publisher.get_subscription_count() > 0 and bool(self.statuses))

    def publish(self, store: TransitionStore, first_episode: int = 0) -> int:
        """Publish all episodes; returns how many transitions they are."""
        for number, episode in enumerate(store.episodes):
            for tick, m in enumerate(episode.measurements):
                self.publisher.publish(
                    state(m, episode.actions[tick - 1] if tick else None, first_episode + number, tick)
                )
            self.spinner.spin_once(timeout_sec=0)
        return store.transitions

    def call(self, kind: Any, name: str, request: Any = None) -> Any:
        client = self.create_client(kind, f"dynamics_learner/{name}")
        self.until(client.service_is_ready)
        future = client.call_async(request or kind.Request())
        self.until(future.done)
        self.destroy_client(client)
        return future.result()


def state(m: np.ndarray, action: np.ndarray | None, episode: int, tick: int) -> RobotState:
    message = fill_state(RobotState(episode=episode, tick=tick), m, SPEC)
    nanoseconds = round(tick * SPEC.dt_s * 1e9)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(nanoseconds, 10**9)
    if action is not None:
        message.applied_action = doubles(action)
        message.action_source = RobotState.SOURCE_CONTROLLER
    return message


def values(diagnosis: DiagnosticStatus) -> list[tuple[str, str]]:
    return [(pair.key, pair.value) for pair in diagnosis.values]
