"""Which of a controller's orders holds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mbmf_ros.control.goals import FollowPathGoal, ForwardGoal, HoldGoal, VelocityGoal
from mbmf_ros.control.mpc import MpcController
from mbmf_ros.control.path import Path
from mbmf_ros.control.planners import make_planner
from mbmf_ros.control.tasks import ForwardConfig
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.nodes.orders import Orders
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

SPEC = robot("ant")
MODEL = Dynamics(SPEC, DynamicsConfig(members=1, hidden=4))


def orders(**options) -> Orders:
    mpc = MpcController(SPEC, make_planner("icem"))
    mpc.swap(MODEL, 1)
    return Orders(mpc, 0.5, **options)


AHEAD = Path.from_waypoints(np.zeros(2), np.array([[2.0, 0.0]]))
GO, STOP = np.array([0.3, 0.0, 0.0]), np.zeros(3)


def test_the_latest_order_holds():
    told = orders()
    told.follow(AHEAD)
    told.drive(STOP, 1.0)  # a joystick at rest
    assert isinstance(told.mpc.goal, FollowPathGoal)
    told.drive(GO, 1.0)
    assert isinstance(told.mpc.goal, VelocityGoal)
    told.follow(None)  # the path's owner clears it
    assert isinstance(told.mpc.goal, VelocityGoal)
    told.follow(AHEAD)
    assert isinstance(told.mpc.goal, FollowPathGoal)
    told.follow(None)
    assert told.mpc.goal is None


def test_a_command_that_is_zero_or_not_repeated_ends_in_holding():
    told = orders()
    told.drive(GO, 1.0)
    goal = told.mpc.goal
    assert isinstance(goal, VelocityGoal)
    told.update(1.4)
    told.drive(2 * GO, 1.4)
    told.update(1.85)
    assert told.mpc.goal is goal
    assert goal.command[0] == 0.6
    told.update(1.95)
    assert isinstance(told.mpc.goal, HoldGoal)
    told.drive(GO, 2.0)
    told.drive(STOP, 2.0)
    assert isinstance(told.mpc.goal, HoldGoal)


@pytest.mark.parametrize("hold", [True, False])
def test_a_path_that_is_done_ends_in_holding_if_asked(hold):
    told = orders(hold_at_goal=hold)
    told.follow(AHEAD)
    told.mpc.act(start_measurement(SPEC, pose=(1.99, 0.0, 0.0)))
    told.update(1.0)
    goal = told.mpc.goal
    assert isinstance(goal, HoldGoal) is hold
    if isinstance(goal, HoldGoal):
        assert goal.place is not None
        assert goal.place.tolist() == [2, 0]


def test_forward_is_what_it_does_unless_told_otherwise():
    told = orders(forward=ForwardConfig())
    told.update(0.0)
    assert isinstance(told.mpc.goal, ForwardGoal)
    told.follow(AHEAD)
    told.update(0.1)
    assert isinstance(told.mpc.goal, FollowPathGoal)
    told.follow(None)
    told.update(0.2)
    assert isinstance(told.mpc.goal, ForwardGoal)
    unable = MpcController(dataclasses.replace(SPEC, forward=None), make_planner("icem"))
    with pytest.raises(MbmfError, match="choose task idle"):
        Orders(unable, 0.5, forward=ForwardConfig())
