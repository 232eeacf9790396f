"""The controller: idle when there is nothing to do, swaps models, refuses nonsense, and walks."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from mbmf_ros.control.follow import follow
from mbmf_ros.control.mpc import MpcConfig, MpcController
from mbmf_ros.control.path import Path
from mbmf_ros.control.planners import make_planner
from mbmf_ros.control.presets import Preset, make_controller
from mbmf_ros.dynamics.io import default_model_path, load_model
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import Simulation, start_measurement

SPEC = robot("ant")
START = start_measurement(SPEC)
AHEAD = Path.from_waypoints(np.zeros(2), np.array([[2.0, 0.0], [4.0, 0.0]]))
torch.set_num_threads(1)


def a_controller(model: Dynamics | None = None, **config: Any) -> MpcController:
    planner = make_planner("icem", {"batch_size": 16, "time_steps": 5})
    controller = MpcController(SPEC, planner, MpcConfig(**config))
    controller.swap(model or Dynamics(SPEC, DynamicsConfig(members=2, hidden=8)), 1)
    controller.set_path(AHEAD)
    return controller


def test_without_path_or_model_it_idles():
    controller = MpcController(SPEC, make_planner("icem"))
    idle = controller.act(START)
    assert idle.idle
    assert idle.action.tolist() == list(SPEC.safe_action)
    assert idle.plan.shape == (0, SPEC.nu)
    controller.set_path(AHEAD)
    assert controller.act(START).idle  # no model yet
    controller = a_controller()
    assert not controller.act(START).idle
    controller.set_path(None)
    assert controller.act(START).idle
    controller.set_path(AHEAD)
    controller.reset()
    assert controller.act(START).idle


def test_at_the_end_of_the_path_it_is_done_and_stays_so():
    controller = a_controller()
    controller.set_path(Path.from_waypoints(np.zeros(2), np.array([[0.2, 0.0]])))
    there = controller.act(START)
    assert there.idle
    assert there.done
    assert controller.act(start_measurement(SPEC, pose=(3.0, 0, 0))).done


def test_a_step_says_what_it_plans():
    controller = a_controller(plan_rows=3, shown_candidates=5)
    step = controller.act(start_measurement(SPEC, pose=(0.5, 0.2, 0.0)))
    assert step.action.shape == (SPEC.nu,)
    assert step.action.dtype == np.float64
    assert np.abs(step.action).max() <= 1
    assert step.plan.shape == (3, SPEC.nu)
    assert step.progress_m == pytest.approx(0.5)
    assert step.cross_track_m == pytest.approx(0.2)
    assert step.plan_time_s > 0
    assert step.planned_return == pytest.approx(sum(step.terms.values()), abs=1e-3)
    assert step.optimal_xy.shape == (6, 2)
    np.testing.assert_allclose(step.optimal_xy[0], (0.5, 0.2), atol=1e-6)
    assert step.candidates_xy.shape == (len(step.candidates_return), 6, 2)
    assert 5 <= len(step.candidates_xy) < 11


@pytest.mark.parametrize("shown", [0, 1, 10_000])
def test_any_number_of_candidates_can_be_shown(shown: int):
    assert len(a_controller(shown_candidates=shown).act(START).candidates_xy) >= 1


def test_the_first_rows_of_a_plan_shorter_than_asked_are_given():
    assert a_controller(plan_rows=50).act(START).plan.shape == (4, SPEC.nu)
    assert a_controller(plan_rows=0).act(START).plan.shape == (0, SPEC.nu)


def test_a_swap_keeps_the_warm_start_and_the_progress():
    one, other = (Dynamics(SPEC, DynamicsConfig(members=2, hidden=8), seed) for seed in (0, 1))
    controller = a_controller(one)
    controller.act(start_measurement(SPEC, pose=(0.7, 0, 0)))
    warm = controller._warm
    controller.swap(other, 2)
    assert controller._warm is warm
    assert controller.model is other
    assert controller.version == 2
    assert controller.act(start_measurement(SPEC, pose=(0.6, 0, 0))).progress_m == pytest.approx(0.7)


def test_models_of_either_profile_can_take_turns():
    controller = a_controller()
    assert not controller.act(START).idle
    controller.swap(Dynamics(SPEC, DynamicsConfig(profile="paper", members=1, hidden=8)), 2)
    assert controller.act(START).optimal_xy.shape == (6, 2)


def test_another_robots_model_is_refused_and_the_old_one_stays():
    controller = a_controller()
    other = Dynamics(dataclasses.replace(SPEC, name="bee"), DynamicsConfig(members=1, hidden=8))
    before = controller.model
    with pytest.raises(MbmfError, match="of robot 'bee', this controller drives 'ant'"):
        controller.swap(other, 2)
    assert controller.model is before
    assert controller.version == 1


@pytest.mark.parametrize("m", [np.zeros(29), np.ones(28), np.full(29, np.nan)])
def test_a_malformed_measurement_is_refused_and_nothing_is_lost(m: np.ndarray):
    controller = a_controller()
    controller.act(START)
    warm = controller._warm
    with pytest.raises(MbmfError, match="unusable measurement of 'ant'"):
        controller.act(m)
    assert controller._warm is warm
    assert not controller.act(START).idle


def test_a_model_that_predicts_nonsense_is_reported_and_the_next_one_works():
    broken = Dynamics(SPEC, DynamicsConfig(members=1, hidden=8))
    broken.weights[1].data[:] = torch.nan
    controller = a_controller(broken)
    with pytest.raises(MbmfError, match="no candidate has a finite imagined return"):
        controller.act(START)
    controller.swap(Dynamics(SPEC, DynamicsConfig(members=1, hidden=8)), 2)
    assert np.isfinite(controller.act(START).action).all()


def test_between_plans_the_rows_of_the_last_one_are_executed():
    controller, plans = a_controller(replan_every=3, execute_best=True), []
    make = controller.planner.plan

    def plan(x: Any, model: Any, task: Any, warm: Any, *rest: Any) -> Any:
        plans.append((make(x, model, task, warm, *rest), warm, rest[-1]))
        return plans[-1][0]

    controller.planner.plan = plan  # type: ignore[method-assign]
    actions = [controller.act(START).action for _ in range(7)]
    assert len(plans) == 3  # at steps 0, 3 and 6
    for index, action in enumerate(actions):
        np.testing.assert_array_equal(action, plans[index // 3][0].best[index % 3].double().numpy())
    assert [warm for _, warm, _ in plans] == [None, plans[0][0], plans[1][0]]
    assert [elapsed for _, _, elapsed in plans] == [3, 3, 3]


def test_the_seed_decides_the_plan_and_reset_forgets_the_last_one():
    controller = a_controller()
    actions = []
    for seed in (4, 4, 5):
        controller.reset()
        controller.set_path(AHEAD)
        controller.seed(seed)
        actions.append([controller.act(START).action for _ in range(2)])
    np.testing.assert_array_equal(actions[0], actions[1])
    assert not np.array_equal(actions[0], actions[2])


def test_what_it_imagines_does_not_depend_on_place_and_heading():
    """The same situation, two metres aside and turned: the same action, up to rounding."""
    actions = []
    for x, y, yaw in ((0.0, 0.0, 0.0), (-3.0, 2.0, 2.0)):
        controller = a_controller()
        end = np.array([[x + 3 * np.cos(yaw), y + 3 * np.sin(yaw)]])
        controller.set_path(Path.from_waypoints(np.array([x, y]), end))
        actions.append(controller.act(start_measurement(SPEC, pose=(x, y, yaw))).action)
    np.testing.assert_allclose(*actions, atol=1e-3)


@pytest.fixture(scope="module")
def walker() -> MpcController:
    controller = make_controller(SPEC, Preset())
    controller.swap(load_model(default_model_path(SPEC), SPEC)[0], 1)
    return controller


def test_the_shipped_model_walks(walker: MpcController):
    seen: list[np.ndarray] = []
    walker.seed(0)
    row = follow(
        Simulation(SPEC), walker, "short", np.array([[1.2, 0], [2, 0.6]]), 0, on_step=lambda u, m: seen.append(m)
    )
    assert row["success"], row
    assert row["reached"] == 2
    assert row["cross_track_mean_m"] < 0.15
    assert row["speed_mean_mps"] > 0.5
    assert row["deadlines"] == len(seen) == round(row["sim_s"] / SPEC.dt_s)


def test_it_walks_there_and_back_over_the_same_ground(walker: MpcController):
    walker.seed(0)
    row = follow(Simulation(SPEC), walker, "back", np.array([[1.5, 0], [0, 0]]), 0)
    assert row["success"], row
