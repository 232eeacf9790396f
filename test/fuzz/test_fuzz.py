"""Every node under hostile messages: a share of what ``test/fuzz/run.py`` sends; MBMF_FUZZ_MESSAGES sends more."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from fuzz_names import NODES  # pyright: ignore[reportMissingImports]

pytestmark = pytest.mark.ros
MESSAGES = int(os.environ.get("MBMF_FUZZ_MESSAGES", "500"))


@pytest.fixture(autouse=True)
def quiet(capfd):
    """What nodes say about thousands of bad messages is kept from the terminal."""


def test_every_node_is_found():
    from fuzz_nodes import node_classes

    assert {"sim_bridge", "hardware_bridge", "mpc_controller", "dynamics_learner", "waypoints"} <= set(NODES)
    assert set(node_classes()) == set(NODES)


@pytest.mark.parametrize("name", NODES)
def test_hostile_messages_end_no_node_move_no_robot_wrongly_and_are_counted(name, tmp_path):
    from run import fuzz

    report = fuzz(name, MESSAGES, seed=5, folder=tmp_path)
    assert report.findings == {}
    assert report.messages >= MESSAGES
    assert min(report.sent.values()) > 0
    if name != "cockpit":  # which is told little that can be wrong
        assert report.malformed.total() > MESSAGES / 50, "hardly anything was wrong with what was sent"
    for what in {"sim_bridge": ["applied_action"], "mpc_controller": ["action", "plan"]}.get(name, []):
        assert report.actions[f"{what} in motion"] > MESSAGES / 20, "the robot hardly moved"
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
