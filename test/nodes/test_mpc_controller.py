"""The MPC controller, with a probe for a bridge. Its models are untrained: what they plan does not matter here."""

from __future__ import annotations

import dataclasses
import itertools
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from nav_msgs.msg import Path as PathMessage
from visualization_msgs.msg import MarkerArray

from mbmf_ros.dynamics.io import ModelInfo, layout_hash, model_to_bytes, save_model
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import ControllerStats, Model, RobotAction, RobotState
from mbmf_ros.nodes import mpc_controller, qos
from mbmf_ros.nodes.conversions import action_from, fill_state, path_message, time_message
from mbmf_ros.nodes.mpc_controller import MpcControllerNode
from mbmf_ros.nodes.runtime import ERROR, OK, WARN
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

pytestmark = pytest.mark.ros
SPEC = robot("ant")
AHEAD = np.array([[0.0, 0.0], [3.0, 0.0]])


def untrained(profile: str = "body", seed: int = 0) -> tuple[Dynamics, ModelInfo]:
    model = Dynamics(SPEC, DynamicsConfig(profile=profile, members=1, hidden=16), seed)
    model.output_std.fill_(1e-3)
    return model, ModelInfo(SPEC.name, profile, layout_hash(model), 100, 0.5, 0.9, 10)


def model_message(version: int, **changes) -> Model:
    model, info = untrained(seed=version)
    message = Model(version=version, robot=info.robot, profile=info.profile, layout_hash=info.layout_hash)
    message.weights = model_to_bytes(model, info)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


class Bridge:
    """Publishes states from the probe and hears the answers."""

    def __init__(self, rig):
        self.rig = rig
        self.answers: list[RobotAction] = []
        self.state_publisher = rig.speak(RobotState, "state", qos.STATE_PUB)
        self.path_publisher = rig.speak(PathMessage, "path", qos.LATCHED)
        self.answers = rig.hear(RobotAction, "action", qos.ACTION)

    def state(self, tick: int, episode: int = 1, m: np.ndarray | None = None, **changes) -> RobotState:
        message = RobotState(episode=episode, tick=tick)
        message.header.frame_id = "odom"
        message.header.stamp = time_message((episode * 1000 + tick) * 50_000_000)
        fill_state(message, start_measurement(SPEC) if m is None else m, SPEC)
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    def ask(self, tick: int, episode: int = 1, **changes) -> RobotAction:
        """The answer to a state, which is told until it is heard: the controller takes states best effort."""
        state, heard, told_s = self.state(tick, episode, **changes), len(self.answers), float("-inf")

        def answered() -> bool:
            nonlocal told_s
            if time.monotonic() - told_s > 1.0:
                told_s = time.monotonic()
                self.state_publisher.publish(state)
            return any((a.episode, a.tick) == (episode, tick) for a in self.answers[heard:])

        self.rig.until(answered, f"an answer to tick {tick}")
        return self.answers[-1]

    def path(self, node: MpcControllerNode, points: np.ndarray, frame: str = "odom", stamp_ns: int = 0) -> None:
        before, refused = node.mpc.tracker, node.rejects["path"]
        self.path_publisher.publish(path_message(points, frame, time_message(stamp_ns)))
        self.rig.until(lambda: node.mpc.tracker is not before or node.rejects["path"] > refused, "the path")


@pytest.fixture
def node(rig, tmp_path):
    file = tmp_path / "model.safetensors"
    save_model(file, *untrained())
    return rig.add(MpcControllerNode, model_path=str(file), icem__batch_size=16, icem__time_steps=5, plan_rows=3)


def test_without_a_path_it_answers_the_safe_action_idle(rig, node):
    answer = Bridge(rig).ask(4, episode=2)
    assert (answer.episode, answer.tick, answer.idle, answer.model_version) == (2, 4, True, 0)
    assert tuple(answer.action) == SPEC.safe_action


def test_on_a_path_it_answers_every_state_with_a_plan(rig, node):
    bridge = Bridge(rig)
    bridge.ask(0)
    bridge.path(node, AHEAD)
    for tick in (1, 2, 3):
        answer = bridge.ask(tick)
        assert (answer.tick, answer.idle, answer.state_stamp) == (tick, False, bridge.state(tick).header.stamp)
        _, plan = action_from(answer, SPEC)
        assert plan.shape == (3, SPEC.nu)
        assert answer.plan_time > 0


def test_the_path_takes_effect_at_the_next_control_step_and_an_empty_one_stops(rig, node):
    bridge = Bridge(rig)
    assert bridge.ask(0).idle
    bridge.path(node, AHEAD)
    assert not bridge.ask(1).idle
    bridge.path(node, AHEAD[:0])
    assert bridge.ask(2).idle


def test_a_state_told_again_gets_the_same_answer_without_planning(rig, node):
    bridge = Bridge(rig)
    bridge.ask(0)
    bridge.path(node, AHEAD)
    first = bridge.ask(1)
    steps = node.steps
    assert bridge.ask(1) == first
    assert node.steps == steps


def test_a_paused_robot_gets_no_answer_and_a_stopped_one_the_safe_action(rig, node):
    bridge = Bridge(rig)
    bridge.ask(0)
    bridge.path(node, AHEAD)
    for tick, status in ((1, RobotState.STATUS_ESTOP), (2, RobotState.STATUS_FALLEN)):
        assert bridge.ask(tick, status=status).idle
    steps, answer = node.steps, node._answer
    node._on_state(bridge.state(3, status=RobotState.STATUS_PAUSED))
    assert (node.steps, node._answer) == (steps, answer)
    assert bridge.ask(4).tick == 4


def test_a_new_episode_forgets_the_path_unless_it_was_made_for_it(rig, node):
    bridge = Bridge(rig)
    bridge.ask(7)
    bridge.path(node, AHEAD, stamp_ns=1007 * 50_000_000)
    assert not bridge.ask(8).idle
    assert bridge.ask(0, episode=2).idle
    bridge.path(node, AHEAD, stamp_ns=3000 * 50_000_000)  # ahead of the first state that is seen of episode 3
    assert not bridge.ask(2, episode=3).idle
    assert bridge.ask(0, episode=1).idle  # the bridge was restarted


def bad_states():
    broken = start_measurement(SPEC)
    broken[3] = np.nan
    yield pytest.param({"m": broken}, id="nan")
    yield pytest.param({"joint_position": [0.0] * 3}, id="size")
    yield pytest.param({"robot": "swimmer"}, id="robot")


@pytest.mark.parametrize("changes", list(bad_states()))
def test_malformed_states_are_counted_told_and_ignored(rig, node, changes):
    bridge = Bridge(rig)
    stats = rig.hear(ControllerStats, "mpc_controller/stats", qos.STATS)
    bridge.ask(0)
    bridge.state_publisher.publish(bridge.state(1, **changes))
    rig.until(lambda: node.rejects["state"] == 1, "the count")
    assert bridge.ask(2).tick == 2
    assert len(bridge.answers) == 2
    rig.until(lambda: len(stats) == 2, "statistics")
    assert [s.rejected for s in stats] == [0, 1]


@pytest.mark.parametrize(
    ("points", "frame"),
    [(AHEAD, "map"), (AHEAD * np.nan, "odom"), (AHEAD * 1000, "odom"), (AHEAD[:1], "odom"), (AHEAD * 0, "odom")],
    ids=["frame", "nan", "far", "one point", "repeated"],
)
def test_an_unusable_path_is_refused_and_the_last_one_kept(rig, node, points, frame):
    bridge = Bridge(rig)
    bridge.ask(0)
    bridge.path(node, AHEAD)
    kept = node.mpc.tracker
    bridge.path(node, points, frame)
    assert node.mpc.tracker is kept
    assert not bridge.ask(1).idle


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


def test_when_planning_fails_the_safe_action_is_applied_and_it_goes_on(rig, node, monkeypatch):
    bridge = Bridge(rig)
    bridge.ask(0)
    bridge.path(node, AHEAD)

    def fail(_):
        raise MbmfError("no candidate is any good")

    with monkeypatch.context() as patch:
        patch.setattr(node.mpc, "act", fail)
        answer = bridge.ask(1)
    assert answer.idle
    assert tuple(answer.action) == SPEC.safe_action
    level, text, values = node._condition()
    assert (level, values["planning errors"]) == (ERROR, 1)
    assert "no candidate is any good" in text
    assert not bridge.ask(2).idle


def test_candidates_and_plan_are_drawn_only_for_listeners(rig, node):
    bridge = Bridge(rig)
    bridge.ask(0)
    bridge.path(node, AHEAD)
    optimal = rig.hear(PathMessage, "mpc_controller/optimal_path", qos.DRAWING)
    candidates = rig.hear(MarkerArray, "mpc_controller/candidates", qos.DRAWING)
    rig.until(lambda: node._candidates.get_subscription_count(), "the subscription")
    bridge.ask(1)
    rig.until(lambda: optimal and candidates, "drawings")
    assert len(optimal[0].poses) == 6
    (marker,) = candidates[0].markers
    assert marker.header.frame_id == "odom"
    assert len(marker.points) == len(marker.colors) == 2 * 5 * 16


def test_it_says_when_no_state_comes_in(rig, node):
    level, text, _ = node._condition()
    assert level == WARN
    assert "bridge" in text


@pytest.mark.parametrize("planner", ["random_shooting", "icem", "mppi"])
def test_every_planner_plans(rig, tmp_path, planner):
    file = tmp_path / "model.safetensors"
    save_model(file, *untrained("paper"))
    options = {f"{planner}__batch_size": 12, f"{planner}__time_steps": 4}
    node = rig.add(MpcControllerNode, planner=planner, model_path=str(file), **options)
    bridge = Bridge(rig)
    bridge.ask(0)
    bridge.path(node, AHEAD)
    assert not bridge.ask(1).idle
