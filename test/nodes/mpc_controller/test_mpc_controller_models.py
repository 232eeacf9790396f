"""The models that the MPC controller takes, refuses and does without."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")


from controller_bridge import AHEAD, SPEC, Bridge, model_message, untrained

from mbmf_ros.dynamics.io import model_to_bytes
from mbmf_ros.msg import ControllerStats, Model, RobotState
from mbmf_ros.nodes import mpc_controller, qos
from mbmf_ros.nodes.conversions import action_from
from mbmf_ros.nodes.mpc_controller import MpcControllerNode
from mbmf_ros.nodes.runtime import ERROR, OK

pytestmark = pytest.mark.ros


def test_a_model_is_swapped_in(rig, node):
    publisher = rig.speak(Model, "model", qos.LATCHED)
    bridge = Bridge(rig)
    bridge.ask(0)
    bridge.path(node, AHEAD)
    assert bridge.ask(1).model_version == 1
    publisher.publish(model_message(7))
    rig.until(lambda: node.mpc.version == 7, "the model")
    assert bridge.ask(2).model_version == 7


def test_an_earlier_model_version_is_refused_and_the_same_model_is_not_tried_out_again(rig, node, monkeypatch):
    publisher = rig.speak(Model, "model", qos.LATCHED)
    tried = []
    real = mpc_controller.try_out
    monkeypatch.setattr(mpc_controller, "try_out", lambda *args: (tried.append(args), real(*args)))
    first = node.mpc.model
    again, info = untrained()  # what the node has loaded from its file
    publisher.publish(model_message(2, weights=model_to_bytes(again, info)))
    rig.until(lambda: node.mpc.version == 2, "the version")
    assert (node.mpc.model is first, tried) == (True, [])
    publisher.publish(model_message(3))
    rig.until(lambda: node.mpc.version == 3, "the model")
    newest = node.mpc.model
    publisher.publish(model_message(1))
    rig.until(lambda: node.rejects["model"] == 1, "the refusal")
    assert (node.mpc.model, node.mpc.version, len(tried)) == (newest, 3, 1)
    assert "version 3 is later" in node.rejects.last


def bad_models():
    model, info = untrained()
    yield pytest.param({"robot": "swimmer"}, id="another robot's message")
    yield pytest.param({"layout_hash": "0"}, id="layout")
    yield pytest.param({"profile": "paper"}, id="profile")
    yield pytest.param({"weights": model_to_bytes(model, info)[:-100]}, id="truncated")
    yield pytest.param({"weights": b"rubbish" * 100}, id="foreign")
    yield pytest.param({"weights": b""}, id="empty")
    other = model_to_bytes(model, dataclasses.replace(info, robot="swimmer"))
    yield pytest.param({"weights": other, "robot": "swimmer"}, id="another robot's")
    wild, info = untrained()
    wild.output_std.fill_(float("inf"))
    yield pytest.param({"weights": model_to_bytes(wild, info)}, id="not finite")
    wild.output_std.fill_(3e38)  # finite, and yet no prediction is
    yield pytest.param({"weights": model_to_bytes(wild, info)}, id="predictions not finite")


@pytest.mark.parametrize("changes", list(bad_models()))
def test_a_model_that_does_not_fit_is_refused_and_the_old_one_kept(rig, node, changes):
    publisher = rig.speak(Model, "model", qos.LATCHED)
    old = node.mpc.model
    publisher.publish(model_message(3, **changes))
    rig.until(lambda: node.rejects["model"] == 1, "the refusal")
    assert (node.mpc.model, node.mpc.version) == (old, 1)


def test_without_a_model_it_waits_for_one_and_says_so(rig):
    node = rig.add(MpcControllerNode, model_path="", icem__batch_size=16, icem__time_steps=5)
    bridge = Bridge(rig)
    bridge.ask(0)
    bridge.path(node, AHEAD)
    assert bridge.ask(1).idle
    level, text, _ = node._condition()
    assert level == ERROR
    assert "mbmf train" in text
    rig.speak(Model, "model", qos.LATCHED).publish(model_message(1))
    rig.until(lambda: node.mpc.model is not None, "the model")
    assert not bridge.ask(2).idle
    assert node._condition()[0] == OK


def test_without_a_model_it_explores_if_told_to_and_a_model_ends_that_without_holding_up_an_answer(rig, monkeypatch):
    node = rig.add(MpcControllerNode, model_path="", explore=True, plan_rows=3, icem__batch_size=16, icem__time_steps=5)
    stats = rig.hear(ControllerStats, "mpc_controller/stats", qos.STATS)
    bridge = Bridge(rig)
    answers = [bridge.ask(tick) for tick in range(3)]
    assert len({tuple(answer.action) for answer in answers}) > 1
    for answer, following in itertools.pairwise(answers):
        assert (answer.idle, answer.model_version) == (True, 0)
        assert action_from(answer, SPEC)[1][0].tolist() == list(following.action)
    rig.until(lambda: [s.task for s in stats] == ["explore"] * 3, "statistics")
    assert tuple(bridge.ask(3, status=RobotState.STATUS_ESTOP).action) == SPEC.safe_action
    monkeypatch.setattr(mpc_controller, "UNUSED_S", 1e9)
    node._on_model(model_message(1))
    assert node.mpc.model is None, "an answer would have waited for the model"
    bridge.ask(4)
    rig.until(lambda: node.mpc.model is not None, "the model")
    assert tuple(bridge.ask(5).action) == SPEC.safe_action
