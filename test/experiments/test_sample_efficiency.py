"""Sample efficiency: which steps are compared, and what is said where a return was not reached."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mbmf_ros.experiments import sample_efficiency

ABOUT = {"robot": "hopper", "task": "forward", "seed": 0}


def results() -> dict[str, dict]:
    learn = {**ABOUT, "steps": 100, "final_return": 40.0, "curve": [{"steps": 50, "return": 99.0}]}
    imitate = {**ABOUT, "expert": "x", "curve": [{"steps": 110, "return": 30.0}, {"steps": 120, "return": 55.0}]}
    finetune = {**ABOUT, "learner": "trpo", "source": "x", "curve": [{"steps": 120, "return": 54.0}]}
    finetune["curve"].append({"steps": 200, "return": 95.0})
    steps = [(0, 0.0), (500, 49.0), (800, 51.0), (901, 92.0), (1000, 108.0)]
    baseline = {**ABOUT, "learner": "trpo", "curve": [{"steps": s, "return": r} for s, r in steps]}
    return {"learn": learn, "imitate": imitate, "finetune": finetune, "baseline": baseline}


def run(folder: Path, runs: dict[str, dict]) -> list[dict[str, str]]:
    for name, content in runs.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    assert sample_efficiency.main([str(folder / f"{name}.json") for name in runs]) == 0
    with (folder / "summary.csv").open() as file:
        return list(csv.DictReader(file))


def test_steps_to_shares_of_the_baselines_return(tmp_path: Path):
    half, most = run(tmp_path, results())
    assert (half["share"], half["return_wanted"], half["baseline_return"]) == ("0.5", "50", "100")
    assert (half["baseline_steps_to"], half["mbmf_steps_to"]) == ("800", "120")
    assert float(half["times_fewer"]) == pytest.approx(800 / 120, rel=1e-4)
    assert (most["baseline_steps_to"], most["mbmf_steps_to"], most["times_fewer"]) == ("901", "200", "4.505")
    assert (tmp_path / "curves.png").stat().st_size > 1000
    with (tmp_path / "curves.csv").open() as file:
        stages = [row["stage"] for row in csv.DictReader(file) if row["method"] == "mbmf"]
    assert stages == ["learn", "imitate", "imitate", "finetune", "finetune"]


def test_what_was_not_reached_by_all_seeds_is_not_compared(tmp_path: Path):
    runs = results()
    runs["second"] = {**runs["finetune"], "seed": 1, "curve": [{"steps": 150, "return": 60.0}]}
    half, most = run(tmp_path, runs)
    assert (half["mbmf_seeds"], half["mbmf_reached"], half["mbmf_steps_to"]) == ("2", "2", "135")
    assert (most["mbmf_reached"], most["mbmf_steps_to"], most["times_fewer"]) == ("1", "200", "")


def test_what_is_no_result_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "no.json"
    for content in ("", "[]", '{"robot": "hopper"}'):
        file.write_text(content)
        assert sample_efficiency.main([str(file)]) == 2
        assert str(file) in capsys.readouterr().err
    assert sample_efficiency.main([]) == 2
