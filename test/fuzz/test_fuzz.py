"""Every node under hostile messages: a share of what ``test/fuzz/run.py`` sends; MBMF_FUZZ_MESSAGES sends more."""

from __future__ import annotations

import json
import os
from array import array

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from fuzz_names import CASES, NODES, node_of  # pyright: ignore[reportMissingImports]

pytestmark = pytest.mark.ros
MESSAGES = int(os.environ.get("MBMF_FUZZ_MESSAGES", "500"))


@pytest.fixture(autouse=True)
def quiet(capfd):
    """What nodes say about thousands of bad messages is kept from the terminal."""


def test_every_node_is_found():
    from fuzz_nodes import node_classes

    assert {"sim_bridge", "hardware_bridge", "mpc_controller", "dynamics_learner", "waypoints"} <= set(NODES)
    assert set(node_classes()) == set(NODES) == {node_of(case) for case in CASES}


@pytest.mark.parametrize(
    ("case", "types"),
    [
        ("hardware_bridge+captured", {"PoseStamped", "Temperature"}),
        ("mpc_controller+stamped", {"TwistStamped"}),
        ("waypoints+stamped", {"TwistStamped"}),
    ],
)
def test_a_second_set_of_parameters_brings_other_types_of_messages(case, types, tmp_path, context):
    from fuzz_nodes import make

    heard = {}
    for one in (node_of(case), case):
        folder = tmp_path / one
        folder.mkdir()
        node = make(one, folder, context)
        heard[one] = {subscription.msg_type.__name__ for subscription in node.subscriptions}
        node.destroy_node()
    assert types <= heard[case]
    assert not types & heard[node_of(case)]


@pytest.mark.parametrize("case", CASES)
def test_hostile_messages_end_no_node_move_no_robot_wrongly_and_are_counted(case, tmp_path):
    from run import fuzz

    name = node_of(case)
    report = fuzz(case, MESSAGES, seed=5, folder=tmp_path)
    assert report.findings == {}
    assert report.messages >= MESSAGES
    assert min(report.sent.values()) > 0
    assert all(count <= report.refused[topic] for topic, count in report.malformed.items())
    if name != "cockpit":  # which is told little that can be wrong
        assert report.malformed.total() > MESSAGES / 50, "hardly anything was wrong with what was sent"
    for what in {"sim_bridge": ["applied_action"], "mpc_controller": ["action", "plan"]}.get(name, []):
        assert report.actions[f"{what} in motion"] > MESSAGES / 20, "the robot hardly moved"
    if name == "mpc_controller":
        assert report.malformed["/model"] > MESSAGES / 50, "hardly a model was one that must be refused"
    if name == "hardware_bridge":
        assert report.actions["command in motion"] > MESSAGES / 20, "the robot hardly moved"


def test_what_is_unsafe_is_seen():
    """The watch itself: every kind of unsafe action is a problem."""
    from fuzz_nodes import SPEC
    from fuzz_watch import Watch

    from mbmf_ros.msg import RobotAction, RobotState
    from mbmf_ros.nodes.conversions import doubles

    watch = Watch(SPEC)
    for values in ([0.0] * 7, [0.0] * 7 + [float("nan")], [0.0] * 7 + [1.1]):
        watch.see("action", RobotAction(action=doubles(values)))
        assert len(watch.problems) == 1, values
        watch.problems.clear()
    watch.see("action", RobotAction(action=doubles([1.0] * 8), plan=doubles([-1.0] * 16)))
    watch.see("state", RobotState(tick=1, applied_action=doubles([1.0] * 8)))
    assert watch.problems == []
    watch.see("state", RobotState(tick=2, applied_action=doubles([-2.0] * 8)))
    assert watch.problems[0].startswith("applied_action beyond its limit")


def test_what_is_no_model_is_known():
    """The oracle itself: a model is one, and nothing is one that is damaged, empty, or not what the message says."""
    from fuzz_nodes import SPEC, model_bytes
    from fuzz_oracle import malformed
    from safetensors import numpy as tensors

    from mbmf_ros.dynamics.io import metadata_of
    from mbmf_ros.msg import Model

    data = model_bytes()
    info = json.loads(metadata_of(data)["info"])

    def wrong(weights: bytes = data, **said: str) -> bool:
        names = {name: info[name] for name in ("robot", "profile", "layout_hash")}
        return malformed(Model(**{**names, **said}, weights=array("B", weights)), "/model", "mpc_controller", SPEC)

    def with_a(value: float, where: str) -> bytes:
        numbers = tensors.load(data)
        numbers[where].flat[0] = value
        return tensors.save(numbers, metadata_of(data))

    assert not wrong()
    assert not wrong(with_a(1.0, "weights.1"))
    assert not wrong(with_a(-float("inf"), "output_low"))
    assert wrong(robot="hopper")
    assert wrong(profile="paper")
    assert wrong(layout_hash=info["layout_hash"] + " ")
    other = data.replace(b'\\"robot\\": \\"ant\\"', b'\\"robot\\": \\"cat\\"')
    assert other != data
    assert wrong(other)
    assert wrong(other, robot="cat")
    for weights in (b"", data[:7], data[:100], data[:-1], data + b"\0", bytes(len(data)), b"\xff" * 8 + data[8:]):
        assert wrong(weights), weights[:8]
    assert wrong(with_a(float("nan"), "output_low"))
    assert wrong(with_a(float("inf"), "biases.2"))
