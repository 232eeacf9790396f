"""The MPC controller, with a probe for a bridge. Its models are untrained: what they plan does not matter here."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from controller_bridge import AHEAD, SPEC, Bridge, untrained
from nav_msgs.msg import Path as PathMessage
from visualization_msgs.msg import MarkerArray

from mbmf_ros.dynamics.io import save_model
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import ControllerStats, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import action_from
from mbmf_ros.nodes.mpc_controller import MpcControllerNode
from mbmf_ros.nodes.runtime import ERROR, WARN
from mbmf_ros.robots.sim import start_measurement

pytestmark = pytest.mark.ros


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


def test_pending_actions_are_predicted_through(rig, node):
    bridge = Bridge(rig)
    bridge.ask(0)
    bridge.path(node, AHEAD)
    seen = []
    act = node.mpc.act
    node.mpc.act = lambda m, pending=None: (seen.append(pending), act(m, pending))[1]
    pending = np.linspace(-1.0, 1.0, 2 * SPEC.nu)
    assert not bridge.ask(1, pending_action=pending.tolist()).idle
    assert not bridge.ask(2).idle
    np.testing.assert_array_equal(seen[0], pending.reshape(2, SPEC.nu))
    assert seen[1].shape == (0, SPEC.nu)


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
    stopped = (RobotState.STATUS_ESTOP, RobotState.STATUS_FALLEN, RobotState.STATUS_DISABLED)
    lost = (RobotState.STATUS_HOLDING, RobotState.STATUS_TRIPPED)
    for tick, status in enumerate((*stopped, *lost), 1):
        assert bridge.ask(tick, status=status).idle
    steps, answer = node.steps, node._answer
    node._on_state(bridge.state(6, status=RobotState.STATUS_PAUSED))
    assert (node.steps, node._answer) == (steps, answer)
    assert not bridge.ask(7).idle


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
    yield pytest.param({"joint_velocity": [1e6] * 8}, id="absurd")
    yield pytest.param({"joint_position": [0.0] * 3}, id="size")
    yield pytest.param({"robot": "swimmer"}, id="robot")
    yield pytest.param({"pending_action": [0.0] * 3}, id="pending size")
    yield pytest.param({"pending_action": [np.nan] * SPEC.nu}, id="pending nan")
    yield pytest.param({"pending_action": [0.0] * (11 * SPEC.nu)}, id="too many pending")


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


def test_when_planning_fails_the_safe_action_is_applied_and_it_goes_on(rig, node, monkeypatch):
    bridge = Bridge(rig)
    bridge.ask(0)
    bridge.path(node, AHEAD)

    def fail(*_):
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
