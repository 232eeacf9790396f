"""Velocity commands: the mean velocity of a gait that sways, and the experiment on the half-cheetah."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbmf_ros.control.steering import moved
from mbmf_ros.experiments.velocity_commands import VelocityCommands, main, mean_twist, rows_of

SPEED = st.floats(-1.0, 1.0)


@given(vx=SPEED, vy=SPEED, rate=SPEED, heading=st.floats(-3.0, 3.0))
def test_the_mean_twist_of_a_steady_motion_is_its_twist(vx: float, vy: float, rate: float, heading: float):
    times = 0.05 * np.arange(200)
    poses = moved(np.array([1.0, -2.0, heading]), np.array([vx, vy, rate]), times)
    poses[:, 2] = (poses[:, 2] + np.pi) % (2 * np.pi) - np.pi
    np.testing.assert_allclose(mean_twist(poses, 0.05), [vx, vy, rate], atol=2e-3)


def test_a_swaying_head_does_not_change_the_direction_of_travel():
    times = 0.05 * np.arange(200)
    poses = moved(np.zeros(3), np.array([0.5, 0.0, 0.0]), times)
    poses[:, 2] += np.sin(2 * np.pi * times)
    np.testing.assert_allclose(mean_twist(poses, 0.05), [0.5, 0.0, 0.0], atol=0.03)


def test_rows_are_means_over_the_seeds_that_did_not_fall():
    command = [0.5, 0.0, 0.0]
    rows = [
        [{"command": command, "fell": False, "measured": [0.4, 0.0, 0.1]}],
        [{"command": command, "fell": False, "measured": [0.6, 0.0, 0.1]}],
        [{"command": command, "fell": True}, {"command": "hold", "fell": True}],
    ]
    table = {row["command"]: row for row in rows_of([{"robot": "ant", "rows": part} for part in rows])}
    moving, hold = table["velocity"], table["hold"]
    assert (moving["seeds"], moving["falls"], hold["falls"]) == (3, 1, 1)
    assert moving["mean_vx_mps"] == pytest.approx(0.5)
    assert moving["std_vx_mps"] == pytest.approx(0.2 / np.sqrt(2))
    assert "away_mean_m" not in hold


def test_the_half_cheetah_moves_as_it_is_told(tmp_path: Path):
    config = VelocityCommands(tmp_path, robots=("half_cheetah_v5",), seeds=1, steps=60)
    assert main(config) == 0
    with (tmp_path / "velocity.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["command"] == "velocity"]
    assert len(rows) == 4
    for row in rows:
        assert row["falls"] == "0"
        assert float(row["mean_vx_mps"]) == pytest.approx(float(row["commanded_vx_mps"]), abs=0.15)
    kept = (tmp_path / "half_cheetah_v5_0.json").read_text()
    assert main(config) == 0
    assert (tmp_path / "half_cheetah_v5_0.json").read_text() == kept
    assert json.loads(kept)["command"]
