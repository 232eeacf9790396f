"""A run of one task, judged by another."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbmf_ros.control.algorithm import resume
from mbmf_ros.control.learn_settings import configured
from mbmf_ros.control.recipes import recipe
from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments import transfer as module
from mbmf_ros.robots import robot

SPEC = robot("swimmer_v5")
SMALL = {
    "random_steps": 80,
    "planner_settings": {"batch_size": 8, "time_steps": 3},
    "evaluation_settings": {"batch_size": 8, "iterations": 1},
    "dynamics": {"hidden": 8},
    "first": {"min_updates": 5},
}


def test_the_model_is_judged_by_the_other_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "recipe", lambda spec, task: configured(recipe(spec, task), SMALL))
    resume(SPEC, "forward", configured(recipe(SPEC, "forward"), SMALL), 4, tmp_path / "run").run(80)
    options = module.Transfer("swimmer_v5", "forward_v5", tmp_path / "run", tmp_path / "out.json", seed=4, episodes=1)
    result = module.transfer(options)
    assert (result["task"], result["preset"], result["steps"]) == ("forward_v5", "default, from forward", 80)
    assert result["final_return"] == result["final_returns"][0]


def test_without_a_run_there_is_nothing_to_judge(tmp_path: Path):
    options = module.Transfer("swimmer_v5", "forward_v5", tmp_path / "none", tmp_path / "out.json")
    with pytest.raises(MbmfError, match="there is none"):
        module.transfer(options)
