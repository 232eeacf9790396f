"""Walking paths over ROS: which states count, and what arrives malformed. End to end: test_up.py."""

from __future__ import annotations

import dataclasses
import os
from itertools import repeat

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg", reason="the messages are not built: `make setup`")

import rclpy

from mbmf_ros.action import FollowWaypoints
from mbmf_ros.control.follow import PathRun
from mbmf_ros.control.path import Path
from mbmf_ros.msg import RobotAction, RobotState
from mbmf_ros.nodes.conversions import fill_state
from mbmf_ros.outing import Outing
from mbmf_ros.path_runner import ClientConfig, PathRunner
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement
from mbmf_ros.ticks import Tick

pytestmark = pytest.mark.ros
ANT = robot("ant")
Result = FollowWaypoints.Result


def at(tick: int, x_m: float, source: int = RobotState.SOURCE_CONTROLLER) -> Tick:
    return Tick(1, tick, start_measurement(ANT, pose=(x_m, 0.0, 0.0)), source, 0, tick * ANT.dt_s)


def outing() -> Outing:
    path = Path.from_waypoints(np.zeros(2), np.array([[3.0, 0.0]]))
    return Outing(PathRun(ANT, "ahead", 0, path), at(0, 0.0))


def test_standing_does_not_count():
    one = outing()
    for tick, idle in ((1, True), (2, None), (3, True), (4, None)):  # None: the answer was lost
        one.tick(at(tick, 0.0), None, idle, over=False)
    assert not one.walking
    assert (one.run.steps, one.sim_s) == (0, 0.0)
    for tick in range(5, 9):
        one.tick(at(tick, 0.05 * (tick - 4)), 0.02, idle=False, over=False)
    assert (one.run.steps, one.sim_s) == (4, pytest.approx(4 * ANT.dt_s))
    assert one.run.result(one.sim_s, 1.0)["speed_mean_mps"] == pytest.approx(0.05 / ANT.dt_s)


def test_while_walking_a_lost_answer_counts_and_what_follows_the_end_does_not():
    one = outing()
    one.tick(at(1, 0.05), 0.02, idle=False, over=False)
    one.tick(at(2, 0.10, RobotState.SOURCE_PLAN), None, idle=None, over=False)
    one.tick(at(3, 0.15), 0.02, idle=True, over=True)
    row = one.run.result(one.sim_s, 1.0)
    assert (row["deadlines"], row["deadlines_missed"]) == (2, 1)


@pytest.fixture
def runner(monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=1 + os.getpid() % 100)
    node = PathRunner(ClientConfig(paths=""), ANT, context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_no_answer_is_lost_though_many_come_at_once(runner):
    publisher = runner.create_publisher(RobotAction, "action", 100)
    assert runner._until(lambda: publisher.get_subscription_count(), 20.0)
    for tick in range(50):
        publisher.publish(RobotAction(episode=1, tick=tick))
    assert runner._until(lambda: len(runner.matcher._answers) == 50, 20.0), len(runner.matcher._answers)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"robot": "cheetah"}, "expected the state of robot 'ant', got one of 'cheetah'"),
        ({"joint_position": [0.0] * 3}, "got 3 and 8"),
        ({"joint_velocity": [float("nan")] * 8}, "tick 1"),
    ],
)
def test_a_malformed_state_is_counted_told_and_ignored(runner, change, problem):
    assert runner.ignored() == ""
    runner._on_state(fill_state(RobotState(episode=1, tick=0), start_measurement(ANT), ANT))
    bad = fill_state(RobotState(episode=1, tick=1), start_measurement(ANT), ANT)
    for name, value in change.items():
        setattr(bad, name, value)
    runner._on_state(bad)
    assert runner.newest.tick == 0
    assert runner.malformed == 1
    assert problem in runner.ignored()


def test_a_graph_whose_states_are_all_malformed_is_told_apart(runner):
    runner._on_state(RobotState(robot="cheetah"))
    assert any("malformed states ignored: 1" in lack for lack in runner.missing())


class Outcomes:
    """Stands in for what becomes of a goal: error codes, one per attempt; with code NONE the path was walked."""

    def __init__(self, runner: PathRunner, codes, **row):
        self.runner, self.codes, self.attempts, self.row = runner, iter(codes), 0, row

    def __call__(self, name, goal, report):
        self.attempts += 1
        self.runner._spin()
        code = next(self.codes)
        row = {"success": code == Result.NONE, "fell": False, "deadlines": 0, **self.row}
        return row, Result(error_code=code, error_message="" if row["success"] else "refused")


def walking(runner, monkeypatch, codes, status=RobotState.STATUS_ACTIVE, episode=1, **row):
    """The attempts, the row and what was reported, for a robot that is later seen in ``status`` and ``episode``."""
    start = Tick(1, 0, start_measurement(ANT), RobotState.SOURCE_CONTROLLER, RobotState.STATUS_ACTIVE, 0.0)
    runner.newest = dataclasses.replace(start, status=status, episode=episode)
    outcomes, told = Outcomes(runner, codes, **row), []
    monkeypatch.setattr(runner, "reset_robot", lambda: start)
    monkeypatch.setattr(runner, "_attempt", outcomes)
    done = runner.walk("ahead", np.array([[3.0, 0.0]]), told.append)
    return outcomes.attempts, done["success"], told


@pytest.mark.parametrize("code", [Result.STOPPED, Result.FALLEN], ids=["enabled", "reset"])
def test_a_waypoints_node_that_hears_later_than_the_client_is_asked_again(runner, monkeypatch, code):
    assert walking(runner, monkeypatch, [code, code, code, code, Result.NONE]) == (5, True, [])


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        (Result.STOPPED, {"status": RobotState.STATUS_ESTOP}),
        (Result.FALLEN, {"status": RobotState.STATUS_FALLEN}),
        (Result.FALLEN, {"fell": True}),
        (Result.FALLEN, {"episode": 2}),
        (Result.FALLEN, {"deadlines": 40}),
        (Result.INVALID_PATH, {}),
        (Result.TIMEOUT, {}),
    ],
    ids=["emergency stop", "fallen", "fell", "another episode", "half walked", "unusable path", "too slow"],
)
def test_what_another_try_would_not_change_is_not_tried_again(runner, monkeypatch, code, seen):
    assert walking(runner, monkeypatch, [code], **seen) == (1, False, ["ahead: refused"])


def test_a_waypoints_node_that_goes_on_refusing_is_asked_for_a_limited_time(runner, monkeypatch):
    monkeypatch.setattr("mbmf_ros.path_runner._ANSWER_S", 0.5)
    attempts, success, told = walking(runner, monkeypatch, repeat(Result.STOPPED))
    assert attempts > 1
    assert (success, told) == (False, ["ahead: refused"])
