"""What a run along a path is worth, on trajectories whose numbers are known."""

from __future__ import annotations

import json
import math
from pathlib import Path as FilePath

import numpy as np
import pytest
import torch

from mbmf_ros.control.follow import PathRun, follow, load_paths, planar_pose, start_of, summary, to_odom
from mbmf_ros.control.mpc import MpcController
from mbmf_ros.control.path import Path
from mbmf_ros.control.planners import make_planner
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import Simulation, start_measurement

SPEC = robot("ant")
KEYS = [
    *("path", "seed", "success", "waypoints", "reached", "cross_track_mean_m", "cross_track_p95_m", "speed_mean_mps"),
    *("fell", "error", "sim_s", "wall_s", "plan_ms_p50", "plan_ms_p99", "deadlines", "deadlines_missed"),
]


def a_run(*waypoints: tuple[float, float]) -> PathRun:
    return PathRun(SPEC, "test", 3, Path.from_waypoints(np.zeros(2), np.array(waypoints)))


def at(x: float, y: float, height: float = 0.55) -> np.ndarray:
    m = start_measurement(SPEC, pose=(x, y, 0.0))
    m[2] = height
    return m


def test_a_straight_walk_beside_the_path():
    run = a_run((2, 0), (4, 0))
    steps = 0
    for x in np.arange(0.05, 4, 0.05):  # 1 m/s
        assert not run.finished
        run.tick(at(x, 0.1), plan_time_s=0.01 + 0.01 * (steps % 2), missed=steps == 7)
        steps += 1
        if run.success:
            break
    row = run.result(sim_s=steps * 0.05, wall_s=9.0)
    assert list(row) == KEYS
    assert row["success"] is True
    assert row["fell"] is False
    assert (row["path"], row["seed"], row["waypoints"], row["reached"]) == ("test", 3, 2, 2)
    assert row["cross_track_mean_m"] == row["cross_track_p95_m"] == pytest.approx(0.1)
    assert row["speed_mean_mps"] == pytest.approx(1.0, rel=1e-3)
    assert row["plan_ms_p50"] == pytest.approx(15, abs=5.1)
    assert row["plan_ms_p99"] == pytest.approx(20, abs=0.5)
    assert (row["deadlines"], row["deadlines_missed"]) == (steps, 1)
    assert row["sim_s"] == pytest.approx(steps * 0.05)


def test_a_fall_ends_the_run():
    run = a_run((2, 0))
    run.tick(at(0.1, 0), None, False)
    run.tick(at(0.2, 0, height=0.1), None, False)
    assert run.finished
    row = run.result(0.1, 0.1)
    assert row["fell"] is True
    assert row["success"] is False
    assert row["plan_ms_p50"] is None


def test_a_fall_at_the_goal_is_no_success():
    run = a_run((0.2, 0))
    run.tick(at(0.2, 0, height=0.1), None, False)
    assert run.finished
    assert not run.success


def test_time_is_up_at_thirty_centimetres_a_second():
    run = a_run((3, 0))
    ticks = 0
    while not run.finished:
        run.tick(at(0.0, 0.0), None, False)
        ticks += 1
    assert ticks == pytest.approx(3 / 0.3 / 0.05, abs=1)
    assert not run.success
    assert run.result(10.0, 1.0)["reached"] == 0


def test_a_missed_waypoint_ends_the_run():
    run = a_run((2, 0), (2, 3), (5, 3))
    for place in [*((x, 0.0) for x in np.arange(0, 2, 0.1)), *((2.7, y) for y in np.arange(0, 4, 0.1))]:
        run.tick(at(*place), None, False)
    for x in np.arange(2.7, 4, 0.1):
        run.tick(at(x, 4.0), None, False)
    assert run.finished
    assert not run.success
    assert run.result(1.0, 1.0)["reached"] == 1


def test_a_run_without_a_step_has_a_row_too():
    row = a_run((2, 0)).result(0.0, 0.0)
    assert row["deadlines"] == 0
    assert row["cross_track_mean_m"] is None
    json.dumps(row, allow_nan=False)


def test_the_summary_is_over_runs():
    rows = []
    for fell, speed in ((False, 1.0), (True, 0.5)):
        run = a_run((2, 0))
        run.tick(at(speed * SPEC.dt_s, 0.2 * speed, 0.1 if fell else 0.55), 0.02 * speed, True)
        rows.append(run.result(0.05, 1.0))
    rows[0]["success"] = True
    found = summary(rows)
    assert found["runs"] == 2
    assert found["success_rate"] == 0.5
    assert found["falls"] == 1
    assert found["cross_track_mean_m"] == pytest.approx(0.15)
    assert found["speed_mean_mps"] == pytest.approx(0.75)
    assert found["speed_std_mps"] == pytest.approx(0.25)
    assert found["plan_ms_p50"] == pytest.approx(15)
    assert found["plan_ms_p99"] == pytest.approx(20)
    assert (found["deadlines"], found["deadlines_missed"]) == (2, 2)


def test_the_summary_of_nothing_is_valid_json():
    assert json.loads(json.dumps(summary([]), allow_nan=False))["success_rate"] is None
    rows = [a_run((2, 0)).result(0.0, 0.0)]
    assert summary(rows)["cross_track_mean_m"] is None


def test_waypoints_of_the_start_frame_go_ahead_and_left_of_the_robot():
    found = to_odom(np.array([[1, 0], [0, 1]]), (2.0, 3.0, math.pi / 2))
    np.testing.assert_allclose(found, [[2, 4], [1, 3]], atol=1e-12)
    start = start_of(SPEC, 5)
    assert planar_pose(start)[:2] == (0, 0)
    np.testing.assert_array_equal(start, start_of(SPEC, 5))
    headings = [planar_pose(start_of(SPEC, seed))[2] for seed in range(40)]
    assert max(headings) > 2.5
    assert min(headings) < -2.5


def test_path_files(tmp_path: FilePath):
    file = tmp_path / "paths.json"
    file.write_text('{"a": [[1, 0], [2, 0.5]], "b": [[-1, -1]]}')
    paths = load_paths(file)
    assert list(paths) == ["a", "b"]
    np.testing.assert_array_equal(paths["a"], [[1, 0], [2, 0.5]])


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a": [[' + "1" * 5000 + ", 0]]}", "not valid JSON"),
        ("{}", "at least one path"),
        ("[[1, 0]]", 'expected {"name"'),
        ('{"a": []}', "path 'a': the path is empty"),
        ('{"a": [[1, 0], [2]]}', r"path 'a': expected \[\[x, y\], ...\]"),
        ('{"a": [1, 0]}', "path 'a': expected waypoints"),
        ('{"a": "go"}', "path 'a': expected"),
        ('{"a": {"x": 1}}', "path 'a': expected"),
        ('{"a": [["one", 0]]}', "path 'a': expected"),
        ('{"a": [[NaN, 0]]}', "path 'a': waypoint 0 is not finite"),
        ('{"a": [[null, 0]]}', "path 'a': waypoint 0 is not finite"),
        ('{"a": [[1e999, 0]]}', "path 'a': waypoint 0 is not finite"),
        ('{"a": [[1' + "0" * 400 + ", 0]]}", "path 'a': expected"),
        ('{"a": [[1, 0], [1000, 0]]}', "path 'a': waypoint 1 is 999 m"),
        ('{"a": [[0, 0]]}', "path 'a': every waypoint lies where the robot is"),
    ],
)
def test_unusable_path_files_are_named(tmp_path: FilePath, content: str, match: str):
    file = tmp_path / "paths.json"
    file.write_text(content)
    with pytest.raises(MbmfError, match=match):
        load_paths(file)


def test_missing_path_files_are_named(tmp_path: FilePath):
    for place in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(MbmfError, match="cannot read paths from"):
            load_paths(place)


def test_a_run_depends_on_the_seed_alone():
    torch.set_num_threads(1)
    controller = MpcController(SPEC, make_planner("icem", {"batch_size": 16, "time_steps": 4}))
    controller.swap(Dynamics(SPEC, DynamicsConfig(members=1, hidden=8)), 1)
    simulation = Simulation(SPEC)

    def run(seed: int) -> dict:
        controller.seed(seed)
        row = follow(simulation, controller, "a", np.array([[0.5, 0]]), seed)
        return {key: value for key, value in row.items() if not key.startswith(("wall", "plan_ms"))}

    first, again, other = run(1), run(1), run(2)
    assert first == again
    assert first != other


def test_a_run_whose_simulation_fails_is_a_failed_run(monkeypatch):
    spec = robot("ant")
    simulation, controller = Simulation(spec), MpcController(spec, make_planner("icem"))

    def diverge(action):
        raise MbmfError("the simulation diverged")

    monkeypatch.setattr(simulation, "step", diverge)
    row = follow(simulation, controller, "straight", np.array([[1.0, 0.0]]), seed=0)
    assert row["success"] is False
    assert row["error"] == "the simulation diverged"
