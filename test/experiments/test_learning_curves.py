"""Gathering results of Algorithm 1: means and spreads over seeds, and errors for what is no result."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mbmf_ros.experiments import learning_curves, plot_learning_curves


def result(seed: int, final: float, budget: int = 200) -> dict:
    curve = [
        {"iteration": 0, "steps": 100, "returns": [], "return": None, "wall_s": 1.0},
        {"iteration": 1, "steps": 200, "returns": [final / 2, final], "return": 0.75 * final, "wall_s": 2.0},
    ]
    run = {"robot": "swimmer", "task": "forward", "preset": "default", "seed": seed, "steps": 200, "curve": curve}
    more = {"final_return": final, "final_returns": [final - 1, final + 1], "wall_s": 2.0}
    return {**run, **more, "budget": budget, "revision": "abc", "command": "mbmf learn"}


def test_tables_and_plot(tmp_path: Path):
    files = []
    for seed, final in ((1, 30.0), (0, 10.0)):
        files.append(tmp_path / f"{seed}.json")
        files[-1].write_text(json.dumps(result(seed, final)))
    assert learning_curves.main([str(file) for file in files]) == 0
    with (tmp_path / "summary.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["seeds"], row["return_mean"], row["return_std"]) == ("2", "20", "14.142")
    assert (row["return_lowest"], row["return_highest"]) == ("10", "30")
    with (tmp_path / "final.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["seed"], first["lowest_episode"], second["highest_episode"]) == ("0", "9", "31")
    with (tmp_path / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["return"] for row in rows] == ["", "7.5", "", "22.5"]
    assert rows[1]["episodes"] == "2"
    plot_learning_curves.main(tmp_path)
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_runs_of_another_budget_are_another_row():
    rows = learning_curves.summary_rows([result(0, 10.0), result(0, 50.0, 900), result(1, 70.0, 900)])
    assert [(row["budget"], row["seeds"], row["return_mean"]) for row in rows] == [(200, 1, 10.0), (900, 2, 60.0)]


@pytest.mark.parametrize("content", ["", "[]", '{"robot": "swimmer"}'])
def test_a_file_that_is_no_result_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str):
    file = tmp_path / "x.json"
    file.write_text(content)
    assert learning_curves.main([str(file)]) == 2
    assert "x.json: expected a result" in capsys.readouterr().err
