"""Sample efficiency: which steps are compared, and what is said where a return was not reached."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mbmf_ros.experiments import sample_efficiency

ABOUT = {"robot": "hopper", "task": "forward", "seed": 0}


def results() -> dict[str, dict]:
    learn = {**ABOUT, "steps": 100, "budget": 100, "final_return": 40.0, "curve": [{"steps": 50, "return": 99.0}]}
    imitate = {**ABOUT, "expert": "x", "curve": [{"steps": 110, "return": 30.0}, {"steps": 120, "return": 55.0}]}
    imitate |= {"steps": 120, "final_return": 55.0}
    finetune = {**ABOUT, "learner": "trpo", "source": "x", "source_steps": 120, "steps": 60_000, "final_return": 97.0}
    finetune["notes"] = {"std": 0.1}
    points = [(120, 54.0, None), (160, 51.3, 40.5), (200, 95.0, 60.0), (60_000, 27.0, 27.0)]
    finetune["curve"] = [{"steps": s, "return": r, "stochastic_return": n} for s, r, n in points]
    steps = [(0, 0.0), (500, 49.0), (800, 51.0), (901, 92.0), (1000, 108.0)]
    baseline = {**ABOUT, "learner": "trpo", "curve": [{"steps": s, "return": r} for s, r in steps]}
    baseline |= {"steps": 1000, "budget": 1000, "final_return": 108.0}
    return {"learn": learn, "imitate": imitate, "finetune": finetune, "baseline": baseline}


def table(file: Path) -> list[dict[str, str]]:
    with file.open() as opened:
        return list(csv.DictReader(opened))


def run(folder: Path, runs: dict[str, dict]) -> list[dict[str, str]]:
    for name, content in runs.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    assert sample_efficiency.main([str(folder / f"{name}.json") for name in runs]) == 0
    return table(folder / "summary.csv")


def test_steps_to_shares_of_the_baselines_return(tmp_path: Path):
    half, most = run(tmp_path, results())
    assert (half["share"], half["return_wanted"], half["baseline_return"]) == ("0.5", "50", "100")
    assert (half["baseline_steps_to"], half["mbmf_steps_to"]) == ("800", "120")
    assert float(half["times_fewer"]) == pytest.approx(800 / 120, rel=1e-4)
    assert (most["baseline_steps_to"], most["mbmf_steps_to"], most["times_fewer"]) == ("901", "200", "4.505")
    assert (tmp_path / "curves.png").stat().st_size > 1000
    stages = [row["stage"] for row in table(tmp_path / "curves.csv") if row["method"] == "mbmf"]
    assert stages == ["learn", "imitate", "imitate", *["finetune"] * 4]


def test_what_was_not_reached_by_all_seeds_is_not_compared(tmp_path: Path):
    runs = results()
    runs["second"] = {
        **runs["finetune"],
        "seed": 1,
        "curve": [{"steps": 150, "return": 60.0, "stochastic_return": None}],
    }
    half, most = run(tmp_path, runs)
    assert (half["mbmf_seeds"], half["mbmf_reached"], half["mbmf_steps_to"]) == ("2", "2", "135")
    assert (most["mbmf_reached"], most["mbmf_steps_to"], most["times_fewer"]) == ("1", "200", "")


def test_steps_of_the_baseline_to_what_the_model_alone_returns(tmp_path: Path):
    runs = results()
    runs["early"] = {**runs["learn"], "steps": 40, "budget": 40, "final_return": 20.0}
    runs["other"] = {**runs["learn"], "seed": 1, "steps": 98, "final_return": 300.0}
    run(tmp_path, runs)
    early, late = table(tmp_path / "model_based.csv")
    assert (early["steps"], early["return"], early["baseline_steps_at_least"], early["times_fewer_at_least"]) == (
        "40",
        "20",
        "500",
        "12.5",
    )
    assert (late["seeds"], late["return"], late["baseline_reached"]) == ("2", "170", "0")
    assert (late["baseline_steps_at_least"], late["times_fewer_at_least"]) == (
        "1000",
        "10.101",
    )


def test_returns_of_every_stage_over_seeds(tmp_path: Path):
    runs = results()
    runs["early"] = {**runs["learn"], "steps": 40, "budget": 40, "final_return": 20.0}
    runs["other"] = {**runs["learn"], "seed": 1, "steps": 102, "final_return": 60.0}
    run(tmp_path, runs)
    rows = {(row["stage"], row["budget"]): row for row in table(tmp_path / "stages.csv")}
    assert set(rows) == {("learn", "40"), ("learn", "100"), ("imitate", "0"), ("finetune", "0"), ("baseline", "1000")}
    both = rows["learn", "100"]
    assert (both["seeds"], both["steps"], both["return"], both["return_std"]) == ("2", "101", "50", "14.142")
    assert (both["lowest_return"], both["highest_return"]) == ("40", "60")
    assert both["differing_settings"] == ""


def test_settings_that_are_not_the_same_in_all_seeds_are_told(tmp_path: Path):
    runs = results()
    runs["imitate"]["config"] = {"rounds": 4, "clone": {"epochs": 3, "batch_size": 256}}
    runs["other"] = {**runs["imitate"], "seed": 1, "config": {"rounds": 20, "clone": {"epochs": 5, "batch_size": 256}}}
    run(tmp_path, runs)
    (row,) = [row for row in table(tmp_path / "stages.csv") if row["stage"] == "imitate"]
    assert row["differing_settings"] == "clone.epochs rounds"


def test_a_seed_that_was_looked_at_earlier_has_not_learned_earlier(tmp_path: Path):
    runs = results()
    runs["early"] = {**runs["learn"], "steps": 40, "budget": 40, "final_return": 50.0}
    assert run(tmp_path, runs)[0]["mbmf_steps_to"] == "40"
    for name in ("learn", "imitate", "finetune"):
        runs[f"second_{name}"] = {**runs[name], "seed": 1}
    assert run(tmp_path, runs)[0]["mbmf_steps_to"] == "120"
    assert {row["budget"] for row in table(tmp_path / "stages.csv") if row["stage"] == "learn"} == {"40", "100"}


def test_two_ways_of_one_stage_are_no_best_of_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for changes in ({"preset": "paper"}, {"learner": "sac"}):
        runs = results()
        runs["other"] = {**runs["finetune"], **changes}
        files = [tmp_path / f"{name}.json" for name in runs]
        for file, content in zip(files, runs.values(), strict=True):
            file.write_text(json.dumps(content))
        assert sample_efficiency.main([str(file) for file in files]) == 2
        assert "one at a time" in capsys.readouterr().err


def test_what_the_hand_over_keeps_of_the_return(tmp_path: Path):
    run(tmp_path, results())
    (row,) = table(tmp_path / "handover.csv")
    assert (row["return"], row["lowest_return"], row["share"]) == ("54", "51.3", "0.95")
    assert (row["lowest_stochastic_return"], row["stochastic_share"]) == ("40.5", "0.75")
    assert (row["steps"], row["final_return"], row["std"]) == ("60000", "97", "0.1")


def test_a_hand_over_that_is_evaluated_late_or_begins_with_nothing(tmp_path: Path):
    runs = results()
    late = {**runs["finetune"], "seed": 1}
    late["curve"] = [{"steps": s, "return": r, "stochastic_return": None} for s, r in [(120, -5.0), (200_000, 3.0)]]
    run(tmp_path, {**runs, "late": late})
    row = next(row for row in table(tmp_path / "handover.csv") if row["seed"] == "1")
    assert (row["lowest_return"], row["share"], row["stochastic_share"]) == ("3", "", "")


def test_two_results_of_the_same_are_not_two_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = []
    for name in ("one", "two"):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(results()["learn"]))
    assert sample_efficiency.main([str(file) for file in files]) == 2
    assert "leave one out" in capsys.readouterr().err


def test_what_is_no_result_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "no.json"
    for content in ("", "[]", '{"robot": "hopper"}'):
        file.write_text(content)
        assert sample_efficiency.main([str(file)]) == 2
        assert str(file) in capsys.readouterr().err
    assert sample_efficiency.main([]) == 2


def test_mean_and_spread_where_all_runs_have_steps():
    steps, mean, std = sample_efficiency.mean_and_spread([[(10, 0.0), (1000, 2.0)], [(100, 3.0), (10_000, 3.0)]])
    assert (steps[0], steps[-1]) == pytest.approx((100, 1000))
    assert mean == pytest.approx((np.log10(steps) - 1.0 + 3.0) / 2.0)  # of a line on the logarithmic axis, and 3
    assert std == pytest.approx((4.0 - np.log10(steps)) / 2.0**0.5)


def test_runs_without_steps_in_common_have_no_mean():
    assert not any(len(each) for each in sample_efficiency.mean_and_spread([[(10, 0.0)], [(11, 0.0)]]))
    steps, mean, std = sample_efficiency.mean_and_spread([[(10, 1.0)], [(10, 3.0)]])
    assert (steps.tolist(), mean.tolist(), std.tolist()) == (pytest.approx([10.0]), [2.0], [pytest.approx(2.0**0.5)])
