"""The path-following reward: signs, units, and what it does not depend on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mbmf_ros.control.path import Path
from mbmf_ros.control.path_shapes import SHAPES, make_path
from mbmf_ros.control.survival import Survival
from mbmf_ros.control.tasks import FollowPath, FollowPathConfig
from mbmf_ros.robots import profile, robot
from mbmf_ros.robots.sim import start_measurement

SPEC = robot("ant")
BODY = profile(SPEC)
FALLS = Survival.of(SPEC)
CONFIG = FollowPathConfig(  # tuning shall not change what is tested here
    speed_cap_mps=1.0,
    progress=1.0,
    cross_track=3.0,
    tilt=20.0,
    min_up=0.93,
    height=5.0,
    max_height_m=0.75,
    joint_speed=0.01,
    effort=0.02,
)


def a_path(*waypoints: tuple[float, float]) -> Path:
    return Path.from_waypoints(np.zeros(2), np.array(waypoints))


def task(path: Path, progress_m: float = 0.0, **weights: float) -> FollowPath:
    return FollowPath(path, progress_m, BODY, dataclasses.replace(CONFIG, **weights), SPEC.dt_s)


def rollout(xy: list[tuple[float, float]]) -> Tensor:
    """States (1, H + 1, nx) of a robot that stands upright at each of the places."""
    return torch.from_numpy(BODY.encode(np.stack([start_measurement(SPEC, pose=(*at, 0.0)) for at in xy])))[
        None
    ].float()


def rewards(states: Tensor, on: FollowPath, u: Tensor | None = None) -> dict[str, list[float]]:
    actions = torch.zeros(1, states.shape[1] - 1, SPEC.nu) if u is None else u
    return {name: values[0].tolist() for name, values in on.terms(states, actions).items()}


def test_walking_along_the_path_earns_its_speed():
    found = rewards(rollout([(0.5, 0), (0.52, 0), (0.55, 0)]), task(a_path((4, 0)), 0.5))
    assert found["progress"] == pytest.approx([0.4, 0.6], abs=1e-4)
    assert found["cross_track"] == pytest.approx([0, 0], abs=1e-5)
    assert all(found[name] == [0, 0] for name in ("tilt", "height", "joint_speed", "effort"))


def test_progress_is_capped_and_going_back_costs():
    found = rewards(rollout([(0.5, 0), (0.6, 0), (0.55, 0)]), task(a_path((4, 0)), 0.5))
    assert found["progress"] == pytest.approx([CONFIG.speed_cap_mps, -1.0], abs=1e-4)
    found = rewards(rollout([(0.5, 0), (0.6, 0)]), task(a_path((4, 0)), 0.5, speed_cap_mps=1.5))
    assert found["progress"] == pytest.approx([1.5], abs=1e-4)


def test_walking_along_a_leg_in_any_direction_is_the_same():
    for angle in np.linspace(0, 6, 7):
        ahead = np.array([np.cos(angle), np.sin(angle)])
        left = np.array([-ahead[1], ahead[0]])
        places = [tuple(0.03 * step * ahead + 0.2 * left) for step in (10, 11)]
        found = rewards(rollout(places), task(a_path(tuple(4 * ahead)), 0.3))
        assert found["progress"] == pytest.approx([0.6], abs=1e-3)
        assert found["cross_track"] == pytest.approx([-0.2 * CONFIG.cross_track], abs=1e-4)


def test_each_cost_has_its_unit():
    states = rollout([(0, 0), (0, 0), (0, 0)])
    states[0, 1, BODY.slices["up"].stop - 1] = 0.73
    states[0, 2, BODY.slices["height"]] = 0.95
    states[0, 1, BODY.slices["joint_velocity"]] = 2.0
    u = torch.zeros(1, 2, SPEC.nu)
    u[0, 1, :2] = 0.5
    found = rewards(states, task(a_path((1, 0))), u)
    assert found["tilt"] == pytest.approx([-20 * 0.2, 0], abs=1e-5)
    assert found["height"] == pytest.approx([0, -5 * 0.2], abs=1e-5)
    assert found["joint_speed"] == pytest.approx([-0.01 * 4, 0], abs=1e-6)
    assert found["effort"] == pytest.approx([0, -0.02 * 0.5], abs=1e-6)


def test_the_first_state_is_not_scored():
    states = rollout([(0, 1), (0, 0)])
    states[0, 0, BODY.slices["up"].stop - 1] = -1.0
    found = rewards(states, task(a_path((1, 0))))
    assert found["cross_track"] == pytest.approx([0], abs=1e-6)
    assert found["tilt"] == [0]


@given(st.sampled_from(SHAPES), st.integers(0, 500), st.floats(0, 1), st.floats(-1.5, 1.5), st.floats(-1.5, 1.5))
def test_the_projection_is_that_of_the_path_within_the_window(
    shape: str, seed: int, share: float, dx: float, dy: float
):
    path = Path.from_waypoints(np.zeros(2), make_path(shape, np.random.default_rng(seed)))
    progress = share * path.length_m
    at = [np.interp(progress, path.arc_m, path.points[:, axis]) for axis in (0, 1)]
    xy = np.array([at[0] + dx, at[1] + dy])
    expected_arc, expected = path.project(xy, progress - 0.1, progress + 2.5)
    arc, distance = task(path, progress).project(torch.from_numpy(xy).float())
    assert float(distance) == pytest.approx(expected, abs=4e-3)  # of nearly equal ones the earlier
    assert float(arc) <= expected_arc + 1e-2
    assert progress - 0.1001 <= float(arc) + 1e-4
    assert float(arc) <= progress + 2.5 + 1e-3
    place = [np.interp(float(arc), path.arc_m, path.points[:, axis]) for axis in (0, 1)]
    assert np.hypot(place[0] - xy[0], place[1] - xy[1]) == pytest.approx(float(distance), abs=1e-3)


def test_what_lies_far_ahead_or_behind_changes_nothing():
    near = a_path((4, 0), (8, 0))
    through_here = a_path((4, 0), (8, 0), (8, 3), (3, 3), (3, -1))  # comes back across the same place much later
    states = rollout([(3.0, 0.1), (3.02, 0.3), (3.04, 0.5)])
    assert rewards(states, task(near, 3.0)) == rewards(states, task(through_here, 3.0))
    for behind in (((0, 0.3), (3, 0.3)), ((2, 5), (1, -2))):
        path = Path.from_waypoints(np.array([-20.0, 0.3]), np.array([*behind, (3.0, 0.0), (8.0, 0.0)]))
        progress = path.arc_m[3] + 0.5
        states = rollout([(3.5, 0.25), (3.55, 0.3)])
        found = rewards(states, task(path, progress))
        assert found["cross_track"] == pytest.approx([-0.3 * CONFIG.cross_track], abs=1e-4)


def test_only_the_window_ahead_counts_even_on_a_long_leg():
    """The way back lies beside the way there: it is no short cut."""
    path = a_path((6, 0), (6, 0.2), (0, 0.2))
    arc, distance = task(path, 1.0).project(torch.tensor([1.0, 0.2]))
    assert float(arc) == pytest.approx(1.0)
    assert float(distance) == pytest.approx(0.2)


def test_on_the_way_there_and_back_the_earlier_of_two_equal_points_is_meant():
    path = a_path((2, 0), (0, 0))
    x = torch.linspace(1.0, 1.9, 50)
    arc, _ = task(path, 1.0).project(torch.stack([x, torch.full_like(x, 0.1)], dim=-1))
    torch.testing.assert_close(arc, x, rtol=0, atol=1e-4)
    arc, _ = task(path, 2.0).project(torch.tensor([1.5, 0.0]))  # it has turned
    assert float(arc) == pytest.approx(2.5, abs=1e-4)


def test_beyond_the_end_there_is_nothing_more_to_earn():
    found = rewards(rollout([(1.98, 0), (2.02, 0), (2.06, 0)]), task(a_path((2, 0)), 1.98))
    assert found["progress"] == pytest.approx([0.4, 0], abs=1e-3)
    assert found["cross_track"] == pytest.approx([-0.02 * 3, -0.06 * 3], abs=1e-4)


def test_being_across_the_path_costs_whichever_end_is_in_front():
    angles = (0.0, np.pi, np.pi / 2, -np.pi / 2, np.pi / 6)
    states = torch.from_numpy(
        BODY.encode(np.stack([start_measurement(SPEC, pose=(0.0, 0.1 * i, a)) for i, a in enumerate((0.0, *angles))]))
    )[None].float()
    found = rewards(states, task(a_path((0, 4)), across=2.0))
    assert found["across"] == pytest.approx([-2, -2, 0, 0, -2 * 0.75], abs=1e-5)
    assert "across" not in rewards(states, task(a_path((0, 4))))


def test_after_a_fall_nothing_is_earned_and_costs_go_on():
    states = rollout([(0.5, 0), (0.52, 0), (0.54, 0.1), (0.56, 0.1), (0.58, 0.1)])
    states[0, 2, BODY.slices["height"]] = 0.1  # lies, and then stands again
    on = FollowPath(a_path((4, 0)), 0.5, BODY, dataclasses.replace(CONFIG, death_cost=7.0), SPEC.dt_s, 2.5, FALLS)
    found = rewards(states, on)
    assert found["progress"] == pytest.approx([0.4, 0.4, 0, 0], abs=1e-4)
    assert found["cross_track"] == pytest.approx([0, -0.3, -0.3, -0.3], abs=1e-4)
    assert found["death"] == [0, -7, 0, 0]


def test_the_rule_on_states_is_the_robots_own():
    rng = np.random.default_rng(0)
    m = np.stack([start_measurement(SPEC) for _ in range(200)])
    m[:, 2] = rng.uniform(0, 1.5, len(m))
    m[:, 3:7] = rng.standard_normal((len(m), 4))
    m[:, 3:7] /= np.linalg.norm(m[:, 3:7], axis=1, keepdims=True)
    alive = FALLS.alive(BODY, torch.from_numpy(BODY.encode(m)))
    np.testing.assert_array_equal(alive.numpy() == 0, SPEC.fallen(m))
    assert Survival.of(robot("swimmer")).certain
    assert not Survival.of(robot("half_cheetah")).certain


def test_many_rollouts_are_scored_like_each_alone():
    on = task(a_path((2, 0), (2, 2)), 1.0)
    states = torch.randn(5, 4, BODY.nx)
    u = torch.randn(5, 3, SPEC.nu)
    together = on.terms(states, u)
    for k in range(5):
        for name, values in on.terms(states[k : k + 1], u[k : k + 1]).items():
            assert values.shape == (1, 3)
            torch.testing.assert_close(values[0], together[name][k])
