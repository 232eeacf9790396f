"""The controller node with a policy, and a probe for a bridge."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

import torch
from controller_bridge import AHEAD, SPEC, Bridge, untrained
from geometry_msgs.msg import Twist
from made_policies import lifted, trained, written
from nav_msgs.msg import Path as PathMessage

from mbmf_ros.dynamics.io import save_model
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import ControllerStats, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import action_from
from mbmf_ros.nodes.mpc_controller import MpcControllerNode
from mbmf_ros.nodes.runtime import ERROR, OK, WARN
from mbmf_ros.policy.observation import Observation
from mbmf_ros.robots.sim import start_measurement

pytestmark = pytest.mark.ros
POLICY = trained()
FAR = lifted()


class Rigged:
    """A node with a policy, its bridge, and what it says of itself."""

    def __init__(self, rig, folder, model: bool = True, **parameters):
        if model:
            save_model(folder / "model.safetensors", *untrained())
        repeat = parameters.pop("action_repeat", 1)
        options = {
            "controller": "policy",
            "policy_path": str(written(folder, POLICY, action_repeat=repeat).parent),
            "model_path": str(folder / "model.safetensors") if model else "",
            "policy__return_after": 2,
            **{"icem__batch_size": 16, "icem__time_steps": 5, "plan_rows": 3},
            **parameters,
        }
        self.rig, self.node = rig, rig.add(MpcControllerNode, **options)
        self.stats = rig.hear(ControllerStats, "mpc_controller/stats", qos.STATS)
        self.bridge = Bridge(rig)

    def told(self, tick: int, **changes) -> tuple[str, bool]:
        """What the statistics say that it does, and whether the answer is what the policy says to the start pose."""
        before = len(self.stats)
        answer = self.bridge.ask(tick, **changes)
        self.rig.until(lambda: len(self.stats) > before, "statistics")
        action, _ = action_from(answer, SPEC)
        return self.stats[-1].task, bool(np.allclose(action, at_start(), atol=1e-5))


def at_start() -> np.ndarray:
    return POLICY(torch.from_numpy(Observation(SPEC)(start_measurement(SPEC)))).numpy()


def test_the_policy_answers_and_hands_over_to_the_mpc_and_back(rig, tmp_path):
    rigged = Rigged(rig, tmp_path)
    answer = rigged.bridge.ask(0)
    action, plan = action_from(answer, SPEC)
    np.testing.assert_allclose(action, at_start(), atol=1e-5)
    assert plan.shape == (3, SPEC.nu)
    assert (answer.idle, answer.model_version) == (False, 0)
    assert rigged.told(1) == ("forward (policy)", True)
    assert rigged.node._condition()[:2] == (OK, "forward (policy)")
    assert rigged.told(2, m=FAR) == ("forward", False)
    assert rigged.bridge.answers[-1].model_version == 1
    level, text, _ = rigged.node._condition()
    assert level == WARN
    assert "the policy does not act, the MPC does: height is" in text
    assert rigged.told(3) == ("forward", False)
    assert rigged.told(4) == ("forward (policy)", True)
    values = rigged.node._condition()[2]
    assert values["steps by the policy"] == 3
    assert values["steps not by the policy: height"] == values["steps not by the policy: returning"] == 1


def test_a_path_and_a_velocity_go_to_the_mpc(rig, tmp_path):
    rigged = Rigged(rig, tmp_path, cmd_vel_timeout=0.0)
    rigged.told(0)
    rigged.bridge.path(rigged.node, AHEAD)
    assert rigged.told(1) == ("follow_path", False)
    rigged.bridge.path(rigged.node, AHEAD[:0])
    assert rigged.told(2) == ("forward (policy)", True)
    drive = rig.speak(Twist, "cmd_vel", qos.COMMAND)
    command = Twist()
    command.linear.x = 0.2
    drive.publish(command)
    rig.until(lambda: rigged.node.mpc.goal.name == "velocity", "the command")
    assert rigged.told(3) == ("velocity", False)
    drive.publish(Twist())
    rig.until(lambda: rigged.node.mpc.goal.name == "hold", "the hold")
    assert rigged.told(4) == ("hold", False)
    assert rigged.told(0, episode=2) == ("forward (policy)", True)


def test_a_stopped_robot_gets_the_safe_action_and_a_repeated_state_the_same_answer(rig, tmp_path):
    rigged = Rigged(rig, tmp_path, action_repeat=2)
    rigged.told(0)
    stopped = (
        RobotState.STATUS_ESTOP,
        RobotState.STATUS_TRIPPED,
        RobotState.STATUS_DISABLED,
        RobotState.STATUS_HOLDING,
    )
    for tick, status in enumerate(stopped, 1):
        assert rigged.told(tick, status=status) == ("idle", False)
        assert tuple(rigged.bridge.answers[-1].action) == SPEC.safe_action
    answer = rigged.bridge.ask(5)
    steps = rigged.node.pilot.policy.answered
    assert rigged.bridge.ask(5) == answer
    assert rigged.node.pilot.policy.answered == steps == 2


def test_an_action_is_held_and_a_new_episode_decides_anew(rig, tmp_path):
    rigged = Rigged(rig, tmp_path, action_repeat=3)
    tilted = start_measurement(SPEC, np.random.default_rng(0), 0.1)
    assert rigged.told(0)[1]
    assert rigged.told(1, m=tilted)[1]
    assert not rigged.told(0, episode=2, m=tilted)[1]


def test_without_a_model_it_falls_back_to_the_safe_action_and_says_so(rig, tmp_path):
    rigged = Rigged(rig, tmp_path, model=False, action_repeat=2)
    assert rigged.told(0) == ("forward (policy)", True)
    assert action_from(rigged.bridge.answers[-1], SPEC)[1].shape == (1, SPEC.nu)  # what is held
    assert rigged.node._condition()[0] == OK
    assert rigged.told(2, m=FAR) == ("idle", False)
    assert rigged.bridge.answers[-1].idle
    level, text, _ = rigged.node._condition()
    assert level == ERROR
    assert "there is no model for the MPC: height" in text


def test_where_no_model_is_shipped_a_policy_is_enough(rig, tmp_path, monkeypatch):
    from mbmf_ros.nodes import mpc_controller

    def none(spec):
        raise MbmfError("no model is shipped")

    monkeypatch.setattr(mpc_controller, "default_model_path", none)
    rigged = Rigged(rig, tmp_path, model_path="default")
    assert rigged.told(0) == ("forward (policy)", True)
    with pytest.raises(MbmfError, match="no model is shipped"):
        rig.add(MpcControllerNode)


def test_pending_actions_are_predicted_through(rig, tmp_path):
    rigged = Rigged(rig, tmp_path)
    pending = np.linspace(-1.0, 1.0, 2 * SPEC.nu)
    seen = []
    act = rigged.node.pilot.policy.act
    rigged.node.pilot.policy.act = lambda m, tick, *rest: (seen.append(rest), act(m, tick, *rest))[1]
    rigged.told(0, pending_action=pending.tolist())
    np.testing.assert_array_equal(seen[0][0], pending.reshape(2, SPEC.nu))
    assert seen[0][1] is rigged.node.mpc.model


def test_its_way_is_drawn_and_no_candidates(rig, tmp_path):
    rigged = Rigged(rig, tmp_path)
    optimal = rig.hear(PathMessage, "mpc_controller/optimal_path", qos.DRAWING)
    rig.until(lambda: rigged.node._optimal.get_subscription_count(), "the subscription")
    rigged.told(0)
    rig.until(lambda: optimal, "a drawing")
    assert len(optimal[0].poses) == 4


@pytest.mark.parametrize(
    ("parameters", "cause"),
    [
        ({"policy_path": ""}, "policy_path: controller policy needs a file; make one with `mbmf imitate`"),
        ({"policy_path": "nowhere.safetensors"}, r"cannot read the policy nowhere\.safetensors"),
        ({"robot": "swimmer"}, "of robot 'ant', expected 'swimmer'"),
        ({"controller": "polcy"}, "did you mean 'policy'"),
        ({"policy__range_margin": -1.0}, "range_margin"),
    ],
)
def test_what_it_cannot_begin_with_is_one_error(rig, tmp_path, parameters, cause):
    with pytest.raises(MbmfError, match=cause):
        Rigged(rig, tmp_path, model=False, **parameters)


def test_a_policy_that_is_not_asked_for_is_not_looked_at(rig, tmp_path):
    rigged = Rigged(rig, tmp_path, controller="mpc", policy_path="nowhere")
    assert rigged.told(0) == ("idle", False)
