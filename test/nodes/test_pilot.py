"""Who answers a state."""

from __future__ import annotations

import numpy as np
import pytest
from made_policies import ANT, lifted, trained

from mbmf_ros.control.explore import Explorer
from mbmf_ros.control.mpc import MpcController
from mbmf_ros.control.path import Path
from mbmf_ros.control.planners import make_planner
from mbmf_ros.control.tasks import ForwardConfig
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.nodes.orders import Orders
from mbmf_ros.nodes.pilot import NO_MODEL, Pilot
from mbmf_ros.policy.driver import PolicyDriver, PolicyDriverConfig
from mbmf_ros.robots.sim import start_measurement

START, FAR = start_measurement(ANT), lifted()
NOTHING = np.empty((0, ANT.nu))
AHEAD = Path.from_waypoints(np.zeros(2), np.array([[3.0, 0.0]]))


def pilot(policy: bool = True, model: bool = True, explorer: Explorer | None = None) -> Pilot:
    mpc = MpcController(ANT, make_planner("icem", {"batch_size": 16, "time_steps": 5}))
    if model:
        dynamics = Dynamics(ANT, DynamicsConfig(members=1, hidden=8))
        dynamics.output_std.fill_(1e-3)
        mpc.swap(dynamics, 1)
    drives = PolicyDriver(ANT, trained(steps=50), config=PolicyDriverConfig(return_after=1)) if policy else None
    made = Pilot(mpc, explorer, drives)
    Orders(mpc, 0.5, forward=ForwardConfig()).update(0.0)
    return made


def test_the_policy_moves_forward_and_the_mpc_where_it_may_not():
    flies = pilot()
    told = []
    for tick, m in enumerate([START, FAR, START]):
        step = flies.answer(m, tick, NOTHING, True)
        told.append((flies.doing, flies.by_policy, step.idle))
        assert ("the MPC does: height" in flies.fallback) is (m is FAR)
    policys = ("forward (policy)", True, False)
    assert told == [policys, ("forward", False, False), policys]


def test_a_path_goes_to_the_mpc_and_so_does_a_stop():
    flies = pilot()
    assert flies.answer(START, 0, NOTHING, False).idle
    assert (flies.doing, flies.by_policy) == ("idle", False)
    flies.answer(FAR, 1, NOTHING, True)
    assert flies.fallback
    flies.mpc.set_path(AHEAD)
    assert not flies.answer(START, 2, NOTHING, True).idle
    assert (flies.doing, flies.by_policy, flies.fallback) == ("follow_path", False, "")


def test_the_mpc_plans_from_nothing_after_the_policy_and_from_its_own_plan_after_itself(monkeypatch):
    flies = pilot()
    warm, plan = [], flies.mpc.planner.plan
    monkeypatch.setattr(
        flies.mpc.planner,
        "plan",
        lambda x, model, task, last, *rest: (warm.append(last), plan(x, model, task, last, *rest))[1],
    )
    for tick, m in enumerate([FAR, FAR, START, FAR]):
        flies.answer(m, tick, NOTHING, True)
    assert [last is None for last in warm] == [True, False, True]


def test_without_a_model_the_policy_still_drives_and_the_safe_action_is_what_it_falls_back_to():
    flies = pilot(model=False)
    assert not flies.answer(START, 0, NOTHING, True).idle
    assert (flies.doing, flies.error) == ("forward (policy)", "")
    step = flies.answer(FAR, 1, NOTHING, True)
    assert (tuple(step.action), step.idle, flies.doing) == (ANT.safe_action, True, "idle")
    assert flies.error == flies.fallback
    assert "there is no model for the MPC" in flies.error
    flies.mpc.set_path(AHEAD)
    assert flies.answer(START, 2, NOTHING, True).idle
    assert flies.error == NO_MODEL


def test_nothing_moves_at_random_where_a_policy_does_not_dare_to():
    flies = pilot(model=False, explorer=Explorer(ANT, seed=0))
    flies.answer(START, 0, NOTHING, True)
    assert flies.doing == "forward (policy)"
    step = flies.answer(FAR, 1, NOTHING, True)
    assert (tuple(step.action), step.idle, flies.doing) == (ANT.safe_action, True, "idle")
    assert flies.error == flies.fallback


def test_a_policy_that_fails_is_a_failed_plan(monkeypatch):
    flies = pilot()

    def fail(*_):
        raise RuntimeError("out of memory")

    assert flies.policy is not None
    monkeypatch.setattr(flies.policy, "act", fail)
    assert flies.answer(START, 0, NOTHING, True).idle
    assert flies.error == "planning failed: out of memory"
    assert flies.planning_errors == 1


@pytest.mark.parametrize("policy", [True, False])
def test_a_new_episode_has_no_goal(policy):
    flies = pilot(policy)
    flies.answer(FAR, 0, NOTHING, True)
    flies.reset()
    assert flies.answer(START, 0, NOTHING, True).idle
    assert flies.doing == "idle"
