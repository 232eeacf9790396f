"""The experiment on paths of every robot, small."""

from __future__ import annotations

import csv
import dataclasses
import json

from mbmf_ros.control.presets import Preset
from mbmf_ros.dynamics.model import DynamicsConfig
from mbmf_ros.dynamics.training import TrainConfig
from mbmf_ros.experiments import path_robots


def test_one_model_per_seed_walks_every_path_and_finished_seeds_are_kept(tmp_path, monkeypatch):
    quick = dataclasses.replace(
        Preset(planners={"icem": {"batch_size": 4, "time_steps": 2, "iterations": 1}}),
        dynamics=DynamicsConfig(members=1, hidden=8),
        training=TrainConfig(epochs=0, min_updates=5, batch_size=16),
    )
    monkeypatch.setattr(path_robots, "preset", lambda *_: quick)
    config = path_robots.PathRobots(tmp_path / "out", "half_cheetah_v5", 300, (0, 1), scratch=tmp_path / "scratch")
    path_robots.main(config)
    files = sorted((tmp_path / "out").glob("*.json"))
    assert [file.name for file in files] == ["half_cheetah_v5_300_0.json", "half_cheetah_v5_300_1.json"]
    first = json.loads(files[0].read_text())
    assert [run["path"] for run in first["runs"]] == ["forward", "backward", "there_and_back", "back_and_there"]
    assert first["transitions"] == 300
    (row,) = csv.DictReader((tmp_path / "out" / "paths.csv").open())
    assert (row["robot"], row["training_seeds"], row["runs"]) == ("half_cheetah_v5", "2", "8")
    before = files[0].read_text()
    path_robots.main(config)
    assert files[0].read_text() == before
