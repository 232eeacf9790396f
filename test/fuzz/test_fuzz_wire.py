"""The same over the wire, in small numbers: damaged bytes, and hostile messages, requests and action goals."""

from __future__ import annotations

import contextlib
import importlib
import time

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from fuzz_names import CASES  # pyright: ignore[reportMissingImports]
from hypothesis import given, seed
from hypothesis import strategies as st

pytestmark = pytest.mark.ros
ROUNDS = 6
SPIN_S = 0.05


@pytest.fixture(autouse=True)
def quiet(capfd):
    """What nodes say about bad messages is kept from the terminal."""


def _action(name):
    """The action class ``package/action/Name``."""
    package, _, kind = name.split("/")
    return getattr(importlib.import_module(f"{package}.action"), kind)


class Wire:
    """A node in an executor, and a probe that can reach all it listens to."""

    def __init__(self, node, context):
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.action.client import ActionClient
        from rclpy.action.graph import get_action_server_names_and_types_by_node
        from rclpy.executors import SingleThreadedExecutor

        self.node, self.probe = node, rclpy.create_node("fuzz_probe", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(node)
        self.executor.add_node(self.probe)
        self.diagnoses = []
        self.probe.create_subscription(DiagnosticArray, "/diagnostics", self.diagnoses.append, 10)
        self.topics = [
            (self.probe.create_publisher(one.msg_type, one.topic_name, one.qos_profile), one.msg_type)
            for one in node.subscriptions
        ]
        self.services = [
            self.probe.create_client(one.srv_type, node.resolve_service_name(one.srv_name)) for one in node.services
        ]
        served = get_action_server_names_and_types_by_node(node, node.get_name(), node.get_namespace())
        self.actions = [ActionClient(self.probe, _action(kinds[0]), name) for name, kinds in served]

    def until(self, condition, what):
        """Run both until ``condition``; what escapes from a callback of the node fails the test."""
        end = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < end, f"{what}: not within 20 s"
            self.executor.spin_once(timeout_sec=SPIN_S)

    def close(self):
        self.executor.shutdown()
        for action in self.actions:
            action.destroy()
        self.node.destroy_node()
        self.probe.destroy_node()


@pytest.mark.parametrize("case", CASES)
def test_a_node_survives_what_comes_over_the_wire(case, context, tmp_path):
    from fuzz_bytes import corrupted
    from fuzz_campaign import generating
    from fuzz_messages import made_up
    from fuzz_nodes import make
    from rclpy._rclpy_pybind11 import RCLError
    from rclpy.serialization import serialize_message

    node = make(case, tmp_path, context)
    wire = Wire(node, context)
    wire.until(lambda: all(publisher.get_subscription_count() for publisher, _ in wire.topics), "the subscribers")
    wire.until(lambda: all(client.service_is_ready() for client in wire.services), "the services")
    wire.until(lambda: all(client.server_is_ready() for client in wire.actions), "the action servers")

    empty = {kind: serialize_message(kind()) for _, kind in wire.topics}  # padding differs every time

    @seed(11)
    @generating(ROUNDS)
    @given(st.data())
    def go(data):
        for publisher, kind in wire.topics:
            message = data.draw(made_up(kind))
            publisher.publish(message)
            with contextlib.suppress(RCLError):  # the sender's own middleware lets nothing out that is too long
                publisher.publish(data.draw(corrupted(empty[kind])))
        asked = [client.call_async(data.draw(made_up(client.srv_type.Request))) for client in wire.services]
        asked += [client.send_goal_async(data.draw(made_up(client._action_type.Goal))) for client in wire.actions]
        wire.until(lambda: all(future.done() for future in asked), "answers")

    import torch

    torch.set_flush_denormal(False)  # the controller's setting; Hypothesis cannot bear it
    go()
    told = len(wire.diagnoses)
    wire.until(lambda: len(wire.diagnoses) > told, "a sign of life")
    wire.close()
