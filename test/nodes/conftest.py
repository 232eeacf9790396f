"""A rig for node tests: the nodes under test and a probe in one executor, on a ROS domain of their own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


class Rig:
    """Nodes that run together; nothing happens outside of :meth:`until`."""

    def __init__(self, context: Any):
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node

        self.context = context
        self.executor = SingleThreadedExecutor(context=context)
        self.probe = Node("probe", context=context)
        self.executor.add_node(self.probe)
        self._nodes: list[Any] = [self.probe]

    def add(self, make: Callable[..., Any], **parameters: Any) -> Any:
        """Make a node with parameters (``a__b`` is ``a.b``) and run it."""
        from rclpy.parameter import Parameter

        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in parameters.items()]
        node = make(context=self.context, parameter_overrides=overrides)
        self.executor.add_node(node)
        self._nodes.append(node)
        return node

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> None:
        """Run everything until ``condition``; fails when that takes too long."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
            self.executor.spin_once(timeout_sec=0.05)

    def hear(self, kind: Any, topic: str, profile: Any) -> list[Any]:
        """A list that grows by what is published on ``topic``."""
        heard: list[Any] = []
        self.probe.create_subscription(kind, topic, heard.append, profile)
        self.until(lambda: self.probe.count_publishers(topic), f"a publisher of {topic}")
        return heard

    def speak(self, kind: Any, topic: str, profile: Any) -> Any:
        """A publisher that has found its subscriber."""
        publisher = self.probe.create_publisher(kind, topic, profile)
        self.until(lambda: publisher.get_subscription_count(), f"a subscriber of {topic}")
        return publisher

    def call(self, kind: Any, service: str, **request: Any) -> Any:
        """The answer of a service."""
        client = self.probe.create_client(kind, service)
        self.until(client.service_is_ready, f"service {service}")
        future = client.call_async(kind.Request(**request))
        self.until(future.done, f"an answer of {service}")
        return future.result()

    def close(self) -> None:
        """Destroy the nodes."""
        for node in self._nodes:
            node.destroy_node()
        self.executor.shutdown()


@pytest.fixture
def rig() -> Iterator[Rig]:
    """See the class."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=1 + os.getpid() % 100)
    rig = Rig(context)
    yield rig
    rig.close()
    rclpy.shutdown(context=context)
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)  # the controller's setting; Hypothesis cannot bear it
