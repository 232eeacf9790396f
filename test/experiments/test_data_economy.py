"""The data economy experiment in small: every condition once, and nothing twice."""

from __future__ import annotations

import csv
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mbmf_ros.control import on_policy
from mbmf_ros.control.mpc import MpcController
from mbmf_ros.control.presets import Preset, make_controller
from mbmf_ros.dynamics.learn import train_model
from mbmf_ros.dynamics.model import DynamicsConfig
from mbmf_ros.dynamics.training import TrainConfig
from mbmf_ros.experiments import data_economy
from mbmf_ros.experiments.data_economy import DataEconomy, main
from mbmf_ros.experiments.provenance import revision
from mbmf_ros.robots import RobotSpec


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Training, planning and paths made small; says what was done."""
    torch.set_num_threads(1)
    done: list[str] = []
    small = functools.partial(
        train_model,
        dynamics=DynamicsConfig(members=1, hidden=8),
        training=TrainConfig(epochs=1, min_updates=5, batch_size=32, symmetries=False),
    )

    def train(*args: Any, **kwargs: Any) -> Any:
        done.append("train")
        return small(*args, **kwargs)

    def walk(*args: Any, **kwargs: Any) -> Any:
        done.append("walk")
        return {"straight": np.array([[0.4, 0.0]]), "turn": np.array([[0.2, 0.0], [0.2, 0.3]])}

    def controller(spec: RobotSpec, settings: Preset, seed: int = 0) -> MpcController:
        return make_controller(spec, settings, ["planner.batch_size=8", "planner.time_steps=3"], seed)

    monkeypatch.setattr(data_economy, "train_model", train)
    monkeypatch.setattr(data_economy, "path_set", walk)
    monkeypatch.setattr(data_economy, "make_controller", controller)
    monkeypatch.setattr(on_policy, "make_controller", controller)
    return done


def test_every_condition_is_done_once(tmp_path: Path, calls: list[str]):
    config = DataEconomy(
        tmp_path / "out", tmp_path / "scratch", transitions=(400, 600), on_policy=30, seeds=2, training_seed=1
    )
    main(config)
    names = [f"random_{count}{rest}" for count in (400, 600) for rest in ("", "_on_policy_30")]
    assert sorted(file.stem for file in (tmp_path / "out").glob("*.json")) == sorted(names)
    assert calls == ["train", "walk", "walk"] * 4
    rows = list(csv.DictReader((tmp_path / "out" / "data_economy.csv").open()))
    assert [(row["random"], row["on_policy"], row["transitions"]) for row in rows] == [
        ("400", "0", "400"),
        ("600", "0", "600"),
        ("400", "30", "430"),
        ("600", "30", "630"),
    ]
    content = json.loads((tmp_path / "out" / "random_400.json").read_text())
    assert len(content["runs"]) == content["summary"]["runs"] == 4
    assert {run["seed"] for run in content["runs"]} == {0, 1}
    assert content["revision"] == revision()
    assert rows[0]["success_rate"] == str(content["summary"]["success_rate"])

    table = (tmp_path / "out" / "data_economy.csv").read_bytes()
    calls.clear()
    main(config)
    assert calls == []
    assert (tmp_path / "out" / "data_economy.csv").read_bytes() == table

    (tmp_path / "out" / "random_600.json").unlink()  # as if it had been interrupted there
    main(config)
    assert calls == ["walk", "walk"]
    assert len((tmp_path / "out" / "data_economy.csv").read_text().splitlines()) == 5
