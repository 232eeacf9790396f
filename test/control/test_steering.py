"""Moving at a commanded velocity and staying at a place: rewards, and what the goals remember."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from mbmf_ros.config import override
from mbmf_ros.control.goals import HoldGoal, VelocityGoal
from mbmf_ros.control.steering import FollowVelocity, FollowVelocityConfig, HoldPosition, HoldPositionConfig, moved
from mbmf_ros.control.survival import Survival
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.robots import profile, robot
from mbmf_ros.robots.sim import start_measurement

SPEC = robot("ant")
BODY = profile(SPEC)
MODEL = Dynamics(SPEC, DynamicsConfig(members=1, hidden=4))
NO_COSTS = {"tilt": 0.0, "height": 0.0, "joint_speed": 0.0, "effort": 0.0}


def states(poses: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(BODY.encode(np.stack([start_measurement(SPEC, pose=tuple(at)) for at in poses])))[
        None
    ].float()


@pytest.mark.parametrize("twist", [(0.5, 0.0, 0.0), (0.3, -0.2, 0.7), (0.0, 0.0, -1.0), (0.4, 0.0, 1e-9)])
def test_a_constant_twist_is_what_small_steps_add_up_to(twist):
    pose, steps = np.array([1.0, 2.0, 0.5]), 20000
    expected = pose.copy()
    for _ in range(steps):
        cos, sin = np.cos(expected[2]), np.sin(expected[2])
        vx, vy, rate = twist
        expected += np.array([cos * vx - sin * vy, sin * vx + cos * vy, rate]) * (2.0 / steps)
    np.testing.assert_allclose(moved(pose, np.array(twist), np.array([2.0]))[0], expected, atol=1e-4)


def test_moving_as_commanded_costs_nothing_and_lagging_costs_its_distance():
    start, twist = np.array([1.0, -2.0, 0.7]), np.array([0.5, 0.1, 0.8])
    config = override(FollowVelocityConfig(position=5.0, heading=2.0), NO_COSTS)
    task = FollowVelocity(start, twist, BODY, config, SPEC.dt_s, Survival.of(SPEC))
    as_told = moved(start, twist, SPEC.dt_s * np.arange(6))
    u = torch.zeros(1, 5, SPEC.nu)
    found = task.terms(states(as_told), u)
    assert max(float(values.abs().max()) for values in found.values()) < 1e-4
    still = task.terms(states(np.tile(start, (6, 1))), u)
    distance = np.linalg.norm(as_told[1:, :2] - start[:2], axis=1)
    np.testing.assert_allclose(still["position"][0], -5 * distance, atol=1e-4)
    np.testing.assert_allclose(still["heading"][0], -2 * 0.8 * SPEC.dt_s * np.arange(1, 6), atol=1e-4)


def test_the_reference_makes_lag_good_but_waits_at_the_leash():
    goal = VelocityGoal(FollowVelocityConfig(leash_m=0.3, leash_rad=0.5), SPEC)
    goal.set_command(np.array([0.5, 0.0, 0.4]))
    m = start_measurement(SPEC, pose=(1.0, 1.0, 0.0))
    tasks = [goal.task(m, MODEL, SPEC) for _ in range(60)]
    references = [task.reference for task in tasks if task is not None]
    assert len(references) == 60
    np.testing.assert_allclose(references[0], [1, 1, 0])
    np.testing.assert_allclose(references[4][:2], moved(references[0], goal.command, np.array(0.2))[:2], atol=1e-6)
    assert np.linalg.norm(references[-1][:2] - 1) == pytest.approx(0.3)
    assert references[-1][2] == pytest.approx(0.5)


def test_commands_are_slowed_to_the_limits_and_to_what_the_robot_can_do():
    config = FollowVelocityConfig(max_vx_mps=0.6, max_vy_mps=0.4, max_yaw_rate_radps=1.0)
    goal, cheetah = VelocityGoal(config, SPEC), VelocityGoal(config, robot("half_cheetah"))
    for each in (goal, cheetah):
        each.set_command(np.array([2.0, -2.0, 5.0]))
    assert goal.command.tolist() == [0.6, -0.4, 1.0]
    assert cheetah.command.tolist() == [0.6, 0.0, 0.0]


def test_holding_costs_distance_beyond_the_circle_and_motion():
    config = override(HoldPositionConfig(radius_m=0.2, position=5.0, speed=0.5), NO_COSTS)
    task = HoldPosition(np.array([1.0, 0.0]), BODY, config, SPEC.dt_s, Survival.of(SPEC))
    found = task.terms(states(np.array([(1.1, 0, 0), (1.15, 0, 0), (1.3, 0, 0)])), torch.zeros(1, 2, SPEC.nu))
    assert found["position"][0].tolist() == pytest.approx([0, -0.5], abs=1e-4)
    assert found["speed"][0].tolist() == pytest.approx([-0.5, -1.5], abs=1e-4)


def test_a_robot_at_its_place_rests_and_one_pushed_away_comes_well_back():
    goal = HoldGoal(HoldPositionConfig(radius_m=0.2, rest_speed_mps=0.3))
    at = [goal.task(start_measurement(SPEC, pose=(x, 0.0, 0.0)), MODEL, SPEC) for x in (0.0, 0.15, 0.25, 0.15, 0.05)]
    assert [task is None for task in at] == [True, True, False, False, True]
    awake = HoldGoal(dataclasses.replace(goal.config, rest=False))
    assert awake.task(start_measurement(SPEC), MODEL, SPEC) is not None
