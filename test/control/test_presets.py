"""Settings from names and assignments; the shapes that paths are drawn from; data from walking."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mbmf_ros.control import presets
from mbmf_ros.control.on_policy import collect_on_policy
from mbmf_ros.control.path import Path
from mbmf_ros.control.path_shapes import LINES, SHAPES, make_path, path_set, reachable, shapes_of
from mbmf_ros.control.planners import IcemConfig, MppiConfig
from mbmf_ros.control.presets import Preset, make_controller, preset
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import Simulation

SPEC = robot("ant")


def test_assignments_change_planner_and_task():
    controller = make_controller(
        SPEC, Preset(planner="mppi"), ["planner.temperature=5e-1", "planner.hold=3", "follow_path.effort=1e-3"]
    )
    assert controller.planner.config.temperature == 0.5
    assert controller.planner.config.hold == 3
    assert controller.config.follow_path.effort == 0.001
    assert controller.config.follow_path.progress == Preset().mpc.follow_path.progress


@pytest.mark.parametrize(
    ("assignment", "match"),
    [
        ("planner.batch_size", "expected SECTION.KEY=VALUE"),
        ("batch_size=3", "expected SECTION.KEY=VALUE"),
        ("planer.batch_size=3", "unknown section 'planer' .*did you mean 'planner'"),
        ("planner.batchsize=3", "did you mean 'batch_size'"),
        ("planner.batch_size=many", "expected int, got 'many'"),
        ("planner.batch_size=0", "batch_size: expected a number from 2"),
        ("planner.noise=[1", "not valid YAML"),
        ("planner.noise=nan", "expected a finite number"),
        ("planner.=3", "unknown key"),
        ("follow_path.speed_cap=1", "did you mean 'speed_cap_mps'"),
    ],
)
def test_assignments_that_do_not_work_are_named(assignment: str, match: str):
    with pytest.raises(MbmfError, match=match):
        make_controller(SPEC, Preset(), [assignment])


def test_presets():
    assert preset("paper").dynamics.profile == "paper"
    assert preset("paper").planner == "random_shooting"
    assert preset("default") == Preset()
    with pytest.raises(MbmfError, match="unknown preset 'papre'"):
        preset("papre")


def length_and_turn(points: np.ndarray) -> tuple[float, float]:
    """Length [m], and the sum of all turns [rad], left positive."""
    legs = np.diff(np.concatenate([np.zeros((1, 2)), points]), axis=0)
    legs = legs[np.linalg.norm(legs, axis=1) > 1e-9]
    cross = legs[:-1, 0] * legs[1:, 1] - legs[:-1, 1] * legs[1:, 0]
    turns = np.arctan2(cross, (legs[:-1] * legs[1:]).sum(1))
    return float(np.linalg.norm(legs, axis=1).sum()), float(turns[0]) if len(turns) else 0.0


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_are_about_eight_metres_of_both_hands_in_any_direction(shape: str):
    rng = np.random.default_rng(0)
    paths = [make_path(shape, rng) for _ in range(60)]
    lengths, turns = np.array([length_and_turn(points) for points in paths]).T
    assert lengths.min() > 6.5
    assert lengths.max() < 11
    for points in paths:
        assert Path.from_waypoints(np.zeros(2), points).length_m > 6
        assert np.linalg.norm(points[0]) > 0.1  # the start is no waypoint
    if shape == "left_turn":
        assert (turns > 0.9).all()
    elif shape == "right_turn":
        assert (turns < -0.9).all()
    elif shape != "straight":
        assert (turns > 0).any()
        assert (turns < 0).any()
    directions = [np.arctan2(points[0][1], points[0][0]) for points in paths]
    assert np.histogram(directions, 4, (-np.pi, np.pi))[0].min() > 3


def test_a_path_set_follows_its_seed():
    one, same, other = (path_set(seed) for seed in (1, 1, 2))
    assert tuple(one) == SHAPES
    for name in SHAPES:
        np.testing.assert_array_equal(one[name], same[name])
        assert not np.array_equal(one[name], other[name])
    assert len(path_set(0, per_shape=3)) == 21
    with pytest.raises(MbmfError, match="unknown shape 'circle'"):
        make_path("circle", np.random.default_rng(0))


def test_lines_go_along_x_and_a_sagittal_robot_has_no_other():
    rng = np.random.default_rng(0)
    assert make_path("forward", rng).tolist() == [[4, 0], [8, 0]]
    assert make_path("back_and_there", rng, 4.0).tolist() == [[-1, 0], [-2, 0], [-1, 0], [0, 0]]
    cheetah = robot("half_cheetah")
    assert shapes_of(cheetah) == LINES
    assert shapes_of(SPEC) == SHAPES
    assert reachable(cheetah, np.array([[1.0, 2.0], [3.0, 0.5]])).tolist() == [[1, 0], [3, 0]]
    with pytest.raises(MbmfError, match="x axis only"):
        reachable(cheetah, np.array([[0.0, 0.0], [0.0, 2.0]]))


def test_paths_grow_with_the_robot():
    small, large = (make_path("polyline", np.random.default_rng(3), length_m) for length_m in (8.0, 16.0))
    np.testing.assert_allclose(2 * small, large)


def test_the_default_preset_is_tuned_per_robot_by_its_files(tmp_path, monkeypatch):
    (tmp_path / "learn").mkdir()
    (tmp_path / "swimmer.yaml").write_text(
        "/**/mpc_controller:\n  ros__parameters:\n    replan_every: 2\n    icem: {time_steps: 9}\n"
        "    follow_path: {across: 0.5}\n"
    )
    (tmp_path / "learn" / "swimmer.yaml").write_text("random_data:\n  dynamics: {hidden: 64}\nforward: {}\n")
    monkeypatch.setattr(presets, "shared_file", lambda _, *parts: tmp_path.joinpath(*parts))
    swimmer = robot("swimmer")
    found = preset("default", swimmer)
    assert (found.dynamics.hidden, found.mpc.replan_every, found.mpc.follow_path.across) == (64, 2, 0.5)
    assert make_controller(swimmer, found, ["planner.noise=1"]).planner.config == IcemConfig(time_steps=9, noise=1.0)
    assert make_controller(swimmer, replace(found, planner="mppi")).planner.config == MppiConfig()
    assert preset("paper", SPEC) == preset("paper")
    planner = make_controller(swimmer, preset("paper", swimmer)).planner
    assert (planner.config.batch_size, planner.config.time_steps) == (5000, 5)
    assert preset("paper", robot("half_cheetah_v5")).training.epochs == 40
    (tmp_path / "learn" / "swimmer.yaml").write_text("random_data: {dynamic: {}}\n")
    with pytest.raises(MbmfError, match="did you mean 'dynamics'"):
        preset("default", swimmer)


def test_walking_data_are_what_the_simulator_does_and_follow_the_seed():
    torch.set_num_threads(1)
    settings: Any = Preset(planner="mppi")
    model = Dynamics(SPEC, DynamicsConfig(members=1, hidden=4))
    told: list[int] = []
    store, again, other = (collect_on_policy(model, 25, seed, 0.1, told.append, settings) for seed in (1, 1, 2))
    assert store.transitions == 25
    assert told[0] == 25
    assert {episode.source for episode in store.episodes} == {"on_policy"}
    np.testing.assert_array_equal(store.episodes[0].actions, again.episodes[0].actions)
    assert not np.array_equal(store.episodes[0].actions[0], other.episodes[0].actions[0])
    simulation, episode = Simulation(SPEC), store.episodes[0]
    simulation.reset(episode.measurements[0])
    for action, expected in zip(episode.actions[:5], episode.measurements[1:], strict=False):
        np.testing.assert_allclose(simulation.step(action), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("learn/swimmer.yaml", "random_data: 3", "random_data: expected a mapping of keys to values, got 3"),
        ("learn/swimmer.yaml", "random_data: []", r"random_data: expected a mapping .*, got \[\]"),
        ("swimmer.yaml", "/**/mpc_controller: true", r"/\*\*/mpc_controller: expected a mapping .*, got True"),
        ("swimmer.yaml", "/**/mpc_controller: {ros__parameters: a}", "ros__parameters: expected a mapping .*, got 'a'"),
        ("swimmer.yaml", "/**/mpc_controller: {ros__parameters: {icem: 3}}", "icem: expected a mapping .*, got 3"),
    ],
)
def test_a_section_of_a_robots_file_that_is_none_is_named(tmp_path, monkeypatch, file: str, text: str, said: str):
    (tmp_path / "learn").mkdir()
    for name in ("learn/swimmer.yaml", "swimmer.yaml"):
        (tmp_path / name).write_text(text if name == file else "")
    monkeypatch.setattr(presets, "shared_file", lambda _, *parts: tmp_path.joinpath(*parts))
    with pytest.raises(MbmfError, match=rf"{file}: .*{said}"):
        preset("default", robot("swimmer"))
