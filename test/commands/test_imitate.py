"""``mbmf imitate``, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mbmf_ros.cli import main
from mbmf_ros.commands.imitate import beside
from mbmf_ros.robots import robot

LEARN = (
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
IMITATE = (
    "expert_rollouts=1",
    "rounds=1",
    "round_steps=10",
    "round_replays=4",
    "clone.min_updates=20",
    "improvement.rounds=1",
    "improvement.updates=3",
    "improvement.batch_size=8",
    "improvement.real_steps=5",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("expert") / "run"
    command = ["learn", "--robot", "swimmer", "--budget", "180", "--episodes", "1", "--seed", "4"]
    assert main([*command, "--folder", str(folder), "--set", *LEARN]) == 0
    return folder


def test_it_imitates_writes_its_result_and_goes_on(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["imitate", "--source", str(source), "--workers", "1", "--json", str(tmp_path / "out.json")]
    assert main([*command, "--set", *IMITATE]) == 0
    folder = source.with_name("run_imitate_default_4")
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["steps"] == 180 + 333 + 10 + 2 * 333
    assert [row["stage"] for row in result["curve"]] == ["clone", "dagger", "act", "improve"]
    assert result["final_return"] == result["curve"][result["outcome"]]["return"]
    assert result["robot"] == robot("swimmer").name
    assert result["command"].startswith(f"mbmf imitate --source {source}")
    assert (folder / "policy.safetensors").is_file()
    said = capsys.readouterr().err
    assert "cloned" in said
    assert "improved in the model" in said
    assert main([*command, "--set", *IMITATE]) == 0  # nothing left to do
    assert "goes on after round 3" in capsys.readouterr().err
    assert main(["imitate", "--source", str(folder)]) == 2
    assert "is a run of `mbmf imitate`, expected one of `mbmf learn`" in " ".join(capsys.readouterr().err.split())


def test_a_source_that_is_where_one_stands(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    command = ["imitate", "--workers", "1", "--json", str(tmp_path / "out.json"), "--seed", "5"]
    settings = ["--set", *IMITATE, "rounds=0", "improvement.rounds=0"]
    monkeypatch.chdir(source)
    assert main([*command, "--source", ".", *settings]) == 0
    assert source.with_name("run_imitate_default_5").is_dir()
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["expert"] == "."
    assert "--source . " in result["command"]


def test_what_is_kept_beside_the_source_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "run" / "deeper").mkdir(parents=True)
    (tmp_path / "latest").symlink_to("run")
    monkeypatch.chdir(tmp_path / "run" / "deeper")
    assert beside(Path("."), "_x") == tmp_path / "run" / "deeper_x"
    for folder in (Path(".."), Path("../../run/deeper/..")):
        assert beside(folder, "_x") == tmp_path / "run_x"
    assert beside(Path("runs/run"), "_x") == Path("runs/run_x")  # as it was named, and so shown
    assert beside(tmp_path / "latest", "_x") == tmp_path / "latest_x"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--seed", "-1"), "--seed"),
        (("--preset", "papers"), "papers"),
        (("--set", "round=3"), "rounds"),
        (("--set", "clone.batch_size=0"), "batch_size"),
        (("--json", "/proc/none/out.json"), "--json"),
    ],
)
def test_bad_options_get_one_clear_line(source: Path, more: tuple[str, ...], said: str, capsys):
    assert main(["imitate", "--source", str(source), *more]) == 2
    line = capsys.readouterr().err.strip()
    assert said in line
    assert "Traceback" not in line


def test_a_missing_expert_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["imitate", "--source", str(tmp_path)]) == 2
    assert "make one with `mbmf learn`" in capsys.readouterr().err
