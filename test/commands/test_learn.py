"""``mbmf learn``, from the command line."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mbmf_ros.cli import main
from mbmf_ros.commands import stages
from mbmf_ros.commands.settings import assignments
from mbmf_ros.control.algorithm import Learner, resume
from mbmf_ros.control.environments import TASKS
from mbmf_ros.control.learn_settings import configured
from mbmf_ros.control.recipes import recipe
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot

SMALL = (
    "random_steps=120",
    "random_episode_steps=40",
    "iteration_steps=60",
    "episode_steps=60",
    "planner_settings.batch_size=16",
    "planner_settings.time_steps=4",
    "dynamics.hidden=16",
    "first.min_updates=30",
    "refit.min_updates=10",
)


def learn(folder: Path, *more: str) -> int:
    command = ["learn", "--robot", "swimmer", "--task", "forward", "--seed", "2", "--episodes", "2"]
    return main([*command, "--folder", str(folder / "run"), "--json", str(folder / "out.json"), *more])


def test_it_learns_writes_its_result_and_goes_on_with_a_larger_budget(tmp_path: Path):
    assert learn(tmp_path, "--budget", "180", "--set", *SMALL) == 0
    first = json.loads((tmp_path / "out.json").read_text())
    assert first["steps"] == 180
    assert first["final_return"] == pytest.approx(sum(first["final_returns"]) / 2)
    assert len(first["final_returns"]) == 2
    assert [row["steps"] for row in first["curve"]] == [120, 180]
    assert first["wall_s"] > 0
    assert first["command"].startswith("mbmf learn --robot swimmer")
    assert learn(tmp_path, "--budget", "240", "--set", *SMALL) == 0
    second = json.loads((tmp_path / "out.json").read_text())
    assert second["curve"][:2] == first["curve"]
    assert second["steps"] == 240


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--budget", "1"), "--budget"),
        (("--episodes", "0"), "--episodes"),
        (("--task", "backward"), "backward"),
        (("--task", "forward_v5"), "swimmer_v5"),
        (("--preset", "papers"), "papers"),
        (("--set", "hidden"), "KEY=VALUE"),
        (("--set", "dynamics.hiden=3"), "hidden"),
        (("--set", "planner_settings.batch_size=1"), "batch_size"),
        (("--set", "planner_settings=3"), "expected a mapping"),
        (("--set", "dynamics.profile=bodies"), "bodies"),
        (("--seed", str(2**70)), "--seed"),
    ],
)
def test_bad_options_are_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple, said: str):
    assert learn(tmp_path, *more) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert error.startswith("mbmf: ")
    assert not (tmp_path / "run").exists()


def test_a_budget_below_what_is_spent_already_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert learn(tmp_path, "--budget", "180", "--set", *SMALL) == 0
    assert learn(tmp_path, "--budget", "100", "--set", *SMALL) == 2
    assert "has 180 steps already" in capsys.readouterr().err


def test_a_budget_in_which_the_robot_never_acts_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for budget in ("100", "120", "134"):
        assert learn(tmp_path, "--budget", budget, "--set", *SMALL) == 2
        assert "--budget: expected at least 180, the recipe's 120 random steps" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_by_default_every_recipe_has_10000_steps_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    budgets = []

    def run(learner: Learner, budget: int, *_: object) -> None:
        budgets.append(budget)
        raise KeyboardInterrupt

    monkeypatch.setattr(Learner, "run", run)
    for robot_name in ("ant", "swimmer"):
        main(["learn", "--robot", robot_name, "--folder", str(tmp_path / robot_name)])
    assert budgets == [50000, 10999]
    assert "budget: 50000 steps, 40000 of them random motion" in capsys.readouterr().err


def test_a_run_whose_random_motion_was_cut_goes_on_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    settings = configured(recipe(robot("swimmer"), "forward"), assignments(SMALL))
    resume(robot("swimmer"), "forward", settings, 2, tmp_path / "run").run(80)  # as older versions did
    assert learn(tmp_path, "--budget", "140", "--set", *SMALL) == 0
    assert "without all of the 120 random steps" in capsys.readouterr().err.replace("\n", " ")
    result = json.loads((tmp_path / "out.json").read_text())
    assert (result["random_steps"], result["steps"], result["budget"]) == (80, 140, 140)


def test_the_final_model_is_judged_too(tmp_path: Path):
    assert learn(tmp_path, "--budget", "180", "--set", *SMALL) == 0
    result = json.loads((tmp_path / "out.json").read_text())
    errors, last = result["final_errors"], result["curve"][-1]
    assert errors["e_h_random"] > 0
    assert errors["e_h_on_policy"] > 0
    assert errors["e_h_random"] != last["e_h_random"]  # of the model before it


def test_bars_name_what_goes_on(monkeypatch: pytest.MonkeyPatch):
    written = StringIO()
    monkeypatch.setattr(stages, "CONSOLE", Console(file=written, force_terminal=True, width=120))
    with stages.Stages("learning", 240) as bars:
        bars.whole(120)
        bars.stage("acting", 20, 60)
        bars._bar.refresh()
        bars.stage("training", 5, 100)
        bars._bar.refresh()
    for said in ("learning", "120/240", "acting", "20/60", "training", "5/100"):
        assert said in written.getvalue()


def test_a_folder_that_cannot_be_is_refused_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "run").write_text("a file")
    assert learn(tmp_path, "--budget", "100000") == 2
    assert "--folder" in capsys.readouterr().err


def test_ctrl_c_says_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert learn(tmp_path, "--budget", "180", "--set", *SMALL) == 0

    def interrupted(learner: Learner, budget: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Learner, "_act", interrupted)
    assert learn(tmp_path, "--budget", "240", "--set", *SMALL) == 130
    assert "180 steps are kept" in capsys.readouterr().err.replace("\n", " ")


def test_assignments_nest_and_contradictions_are_told():
    assert assignments(("a.b=1", "a.c=x", "d=[1, 2]")) == {"a": {"b": 1, "c": "x"}, "d": [1, 2]}
    assert assignments(("a=1e-3", "b=1.5e2", "c=true", "d='x'")) == {"a": 0.001, "b": 150.0, "c": True, "d": "x"}
    with pytest.raises(MbmfError, match="has a value already"):
        assignments(("a=1", "a.b=2"))


@pytest.mark.parametrize(
    "name",
    ["ant", "ant_paper", "half_cheetah", "half_cheetah_v5", "hopper", "hopper_v5", "swimmer", "swimmer_v5"],
)
def test_recipes_are_whole(name: str):
    for task in TASKS:
        assert recipe(robot(name), task).planner == "icem"


@pytest.mark.parametrize(("name", "samples", "horizon"), [("swimmer", 5000, 20), ("half_cheetah", 1000, 20)])
def test_the_papers_recipe_has_the_papers_numbers(name: str, samples: int, horizon: int):
    config = recipe(robot(name), "forward", "paper")
    assert config.planner_settings == {"batch_size": samples, "time_steps": horizon}
    assert (config.dynamics.hidden, config.dynamics.members, config.dynamics.profile) == (500, 1, "paper")
    assert config.on_policy_share == 0.9
    with pytest.raises(MbmfError, match="ant_paper"):
        recipe(robot("ant"), "forward", "paper")
