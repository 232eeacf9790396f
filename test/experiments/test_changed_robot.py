"""A robot that changes while it walks: what the shipped model's errors tell, and that learning goes on from there."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mbmf_ros.dynamics.continual import ContinualConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments.changed_robot import ChangedRobot, change_of, main
from mbmf_ros.robots import robot

ANT = robot("ant")


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "changed_robot.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_lost_leg_is_noticed_and_learning_goes_on(tmp_path: Path):
    learning = ContinualConfig(retrain_every=700, retrain_changed=200, updates=2)
    config = ChangedRobot(tmp_path, changes=("lost_leg",), seeds=1, usual_s=32.0, after_s=12.0, learning=learning)
    assert main(config) == 0
    as_it_is, learns = table(tmp_path)
    for row in (as_it_is, learns):
        assert 0.0 < float(row["noticed_after_s"]) <= 10.0
        assert row["false_alarms"] == "0"
        assert 0.0 < float(row["cross_track_usual_m"]) < 0.5
    assert (as_it_is["learns"], as_it_is["models"], as_it_is["refused"]) == ("False", "0", "0")
    assert learns["learns"] == "True"
    assert int(learns["models"]) + int(learns["refused"]) >= 1
    kept = sorted(tmp_path.glob("*.json"))
    before = [file.read_text() for file in kept]
    assert main(config) == 0
    assert [file.read_text() for file in kept] == before
    assert json.loads(before[0])["command"]


def test_changes_are_of_another_motor_or_leg_for_every_seed():
    assert change_of("weak_motor", ANT, 1.0, 1).motor_strength == (1.0, 1.0, 1.0, 1.0, 0.3, 1.0, 1.0, 1.0)
    assert np.flatnonzero(np.array(change_of("lost_leg", ANT, 1.0, 5).motor_strength) == 0.0).tolist() == [2, 3]
    assert change_of("payload", ANT, 0.9, 0).payload_kg == pytest.approx(0.45)
    assert change_of("slippery", ANT, 1.0, 0).floor_friction_scale == 0.3
    with pytest.raises(MbmfError, match="unknown change 'wind'"):
        change_of("wind", ANT, 1.0, 0)
