"""The command line, end to end: collect, train, follow; and what it says to bad input."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mbmf_ros import cli
from mbmf_ros.control import presets
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.io import default_model_path, load_model, model_to_bytes
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.dynamics.training import TrainConfig
from mbmf_ros.robots import robot

SPEC = robot("ant")
RUN_KEYS = {
    *("path", "seed", "success", "waypoints", "reached", "cross_track_mean_m", "cross_track_p95_m", "speed_mean_mps"),
    *("fell", "error", "sim_s", "wall_s", "plan_ms_p50", "plan_ms_p99", "deadlines", "deadlines_missed"),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a path file; training there is short."""
    monkeypatch.chdir(tmp_path)
    quick = dataclasses.replace(presets.Preset(), training=TrainConfig(min_updates=20, batch_size=32))
    monkeypatch.setattr(presets, "PRESETS", {**presets.PRESETS, "default": quick})
    Path("paths.json").write_text('{"ahead": [[0.6, 0]], "left": [[0.3, 0.3], [0.3, 0.6]]}')
    return tmp_path


def test_collect_train_follow(place: Path):
    assert cli.main(["collect", "--transitions", "600", "--out", "d/a.safetensors", "--json", "collect.json"]) == 0
    assert TransitionStore.load(place / "d" / "a.safetensors", SPEC).transitions == 600
    assert json.loads(Path("collect.json").read_text())["transitions"] == 600

    arguments = ["--data", "d/a.safetensors", "--limit", "500", "--members", "2", "--epochs", "1", "--seed", "3"]
    assert cli.main(["train", *arguments, "--out", "m/ant.safetensors", "--json", "train.json"]) == 0
    model, info = load_model(place / "m" / "ant.safetensors", SPEC)
    assert model.members == 2
    assert info.transitions == 500
    assert info.extra["data"] == {"random": 500, "on_policy": 0}
    assert info.extra["commands"] == [
        "mbmf collect --out d/a.safetensors --transitions 600",
        "mbmf train --data d/a.safetensors --out m/ant.safetensors --limit 500 --seed 3 --members 2 --epochs 1",
    ]
    assert 0 < info.extra["updates"] <= 500 // 32  # one pass in batches of 32, and no more
    validation = json.loads(Path("train.json").read_text())
    assert validation["transitions"] == 500
    assert {"nrmse", "e_h", "one_step_error", "updates"} <= set(validation)

    walk = ["--model", "m/ant.safetensors", "--set", "planner.batch_size=16", "planner.time_steps=4"]
    assert cli.main(["follow", "--paths", "paths.json", "--seeds", "2", *walk, "--json", "r/follow.json"]) == 0
    results = json.loads(Path("r/follow.json").read_text())
    assert set(results) == {"runs", "summary"}
    assert [(row["path"], row["seed"]) for row in results["runs"]] == [
        ("ahead", 0),
        ("left", 0),
        ("ahead", 1),
        ("left", 1),
    ]
    assert all(set(row) == RUN_KEYS for row in results["runs"])
    assert results["summary"]["runs"] == 4

    walk = ["--model", "m/ant.safetensors", "--transitions", "30"]
    assert cli.main(["collect", *walk, "--out", "d/b.safetensors"]) == 0
    store = TransitionStore.load(place / "d" / "b.safetensors", SPEC)
    assert {episode.source for episode in store.episodes} == {"on_policy"}
    assert cli.main(["collect", *walk, "--exploration", "held", "--out", "d/c.safetensors"]) == 2
    both = ["--data", "d/a.safetensors", "d/b.safetensors", "--members", "1", "--epochs", "1"]
    assert cli.main(["train", *both, "--out", "m/both.safetensors"]) == 0
    assert load_model(place / "m" / "both.safetensors")[1].extra["data"] == {"random": 600, "on_policy": 30}


def test_the_shipped_model_follows_by_default(place: Path):
    Path("paths.json").write_text('{"ahead": [[1, 0]]}')
    assert cli.main(["follow", "--paths", "paths.json", "--json", "out.json"]) == 0
    row = json.loads(Path("out.json").read_text())["runs"][0]
    assert row["success"] is True


def test_a_single_episode_gives_valid_json_without_errors(place: Path):
    """Nothing is held out, so there is nothing to measure; JSON has no NaN."""
    assert cli.main(["collect", "--transitions", "5", "--out", "a.safetensors"]) == 0
    few = ["--data", "a.safetensors", "--members", "1", "--epochs", "1"]
    assert cli.main(["train", *few, "--out", "m.safetensors", "--json", "t.json"]) == 0

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert json.loads(Path("t.json").read_text(), parse_constant=refuse)["one_step_error"] is None


def test_paths(place: Path):
    assert cli.main(["paths", "--seed", "7", "--out", "p/a.json"]) == 0
    assert cli.main(["paths", "--seed", "7", "--out", "b.json"]) == 0
    assert Path("p/a.json").read_bytes() == Path("b.json").read_bytes()
    content = json.loads(Path("b.json").read_text())
    assert len(content) == 7
    assert all(np.array(points).ndim == 2 for points in content.values())


@pytest.mark.parametrize("command", ["collect", "train", "follow", "paths", "up"])
def test_help_names_the_options_and_shows_examples(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "--" in text
    examples = text.partition("Examples:")[2].splitlines()
    assert any(line.strip().startswith(f"mbmf {command} ") for line in examples)


BAD = [
    ("collect --robot atn --out a.st", "unknown robot 'atn' (did you mean 'ant'?)"),
    ("up --planner dijkstra", "unknown planner 'dijkstra'"),
    ("up --seed -1", "seed: expected a number of at least 0, got -1"),
    ("collect --out .", "--out: . is a folder; give the name of a file"),
    ("collect --out ant.st/a.st", "--out: cannot make the folder ant.st"),
    ("train --data ant.st --out .", "--out: . is a folder"),
    ("collect --threads 0 --out a.st", "--threads: expected at least 1, got 0"),
    ("collect --action-noise nan --model ant.st --out a.st", "--action-noise: expected a number from 0 to 1, got nan"),
    ("collect --transitions 0 --out a.st", "--transitions: expected at least 1, got 0"),
    ("collect --seed -1 --out a.st", "--seed: expected at least 0, got -1"),
    ("collect --exploration helt --out a.st", "did you mean 'held'"),
    ("collect --preset papre --out a.st", "unknown preset 'papre' (did you mean 'paper'?)"),
    ("collect --model missing.st --out a.st", "cannot read the model missing.st"),
    ("train --data missing.st --out m.st", "there is no data file missing.st"),
    ("train --data paths.json --out m.st", "paths.json is not a whole transitions file"),
    ("train --data missing.st --out m.st --epochs 0", "--epochs: expected at least 1"),
    ("train --data missing.st --out m.st --limit 0", "--limit: expected at least 1"),
    ("follow --paths missing.json", "cannot read paths from missing.json"),
    ("follow --paths ant.st", "is not valid JSON"),
    ("follow --paths paths.json --robot swimer", "unknown robot 'swimer'"),
    ("follow --paths paths.json --planner icme", "unknown planner 'icme' (did you mean 'icem'?)"),
    ("follow --paths paths.json --preset papper", "unknown preset"),
    ("follow --paths paths.json --model missing.st", "cannot read the model missing.st"),
    ("follow --paths paths.json --model truncated.st", "truncated.st: not a whole safetensors file"),
    ("follow --paths paths.json --model paths.json", "paths.json: not a"),
    ("follow --paths paths.json --model paper.st", "has the state profile 'paper', expected 'body'"),
    ("follow --paths paths.json --model ant.st --profile paper", "has the state profile 'body', expected 'paper'"),
    ("follow --paths paths.json --seeds 0", "--seeds: expected at least 1"),
    ("follow --paths paths.json --first-seed -1", "--first-seed: expected at least 0"),
    ("follow --paths paths.json --set planner.batchsize=2", "did you mean 'batch_size'"),
    ("follow --paths paths.json --set batch_size", "expected SECTION.KEY=VALUE"),
    ("follow --paths far.json", "path 'far': waypoint 0 is 1000 m"),
    ("follow --paths nan.json", "path 'nan': waypoint 0 is not finite"),
    ("follow --paths paths.json --json ant.st/out.json", "ant.st"),
    ("paths --out .", "Is a directory"),
    ("paths --out p.json --per-shape 0", "--per-shape: expected at least 1"),
]


@pytest.mark.parametrize(("line", "said"), BAD, ids=[line for line, _ in BAD])
def test_bad_input_gets_one_line_and_code_2(place: Path, capsys: pytest.CaptureFixture[str], line: str, said: str):
    shipped = default_model_path(SPEC)
    shutil.copy(shipped, "ant.st")
    Path("truncated.st").write_bytes(shipped.read_bytes()[:-100])
    Path("far.json").write_text('{"far": [[1000, 0]]}')
    Path("nan.json").write_text('{"nan": [[NaN, 0]]}')
    if "paper.st" in line:
        _, info = load_model(shipped)
        model = Dynamics(SPEC, DynamicsConfig(profile="paper", members=1, hidden=4))
        from mbmf_ros.dynamics.io import layout_hash

        info = dataclasses.replace(info, profile="paper", layout_hash=layout_hash(model))
        Path("paper.st").write_bytes(model_to_bytes(model, info))
    assert cli.main(line.split()) == 2
    printed = capsys.readouterr()
    complaints = [text for text in printed.err.splitlines() if text.startswith("mbmf: ")]
    assert len(complaints) == 1
    assert said in complaints[0]
    assert "Traceback" not in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    "line",
    [
        "learn --robot ant --set a=1 b=2 --seed 3 --set c.d=4",
        "imitate --set a=1 --set b=2 --set c.d=4 --source run",
        "baseline --set=a=1 --robot ant --set b=2 --set=c.d=4",
        "finetune --source run --set a=1 --set=b=2 c.d=4",
        "follow --set a=1 --paths p.json --set --set b=2 c.d=4",
    ],
)
def test_set_may_be_repeated(line: str, monkeypatch: pytest.MonkeyPatch):
    """Whatever the last one is, none is lost, and other options stay what they are."""
    seen: list[Any] = []

    def run(command: Any) -> int:
        seen.append(command)
        return 0

    for kind in (cli.Learn, cli.Imitate, cli.Baseline, cli.Finetune, cli.Follow):
        monkeypatch.setattr(kind, "run", run)
    assert cli.main(line.split()) == 0
    assert seen[0].set == ("a=1", "b=2", "c.d=4")
    if "--seed" in line:
        assert seen[0].seed == 3


def test_unknown_options_and_commands_end_with_code_2(capsys: pytest.CaptureFixture[str]):
    for line in (["follow", "--pathz", "a"], ["folow"], ["follow"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(line)
        assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_ctrl_c_ends_with_code_130(place: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mbmf_ros.data.collect.collect_random", interrupted)
    assert cli.main(["collect", "--out", "a.st"]) == 130


def test_the_program_itself_says_what_is_wrong_without_a_traceback(tmp_path: Path):
    ended = subprocess.run(
        [sys.executable, "-m", "mbmf_ros.cli", "follow", "--paths", "missing.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert ended.stderr.strip() == "mbmf: cannot read paths from missing.json: No such file or directory"
    assert ended.stdout == ""
