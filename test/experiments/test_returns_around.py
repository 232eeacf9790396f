"""Returns around numbers of steps: what counts, and what does not."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments.returns_around import around, main

CURVE = [(10_000, 1.0), (20_000, 3.0), (40_000, 7.0)]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(10_000, 1.0), (15_000, 2.0), (30_000, 5.0), (2500, 1.0), (2499, None), (47_500, 7.0), (47_501, None)],
)
def test_near_evaluations_are_averaged_and_others_interpolated(steps: int, expected: float | None):
    assert around(CURVE, steps) == expected


def a_run(seed: int, rise: float, **more: Any) -> dict[str, Any]:
    curve = [{"steps": steps, "return": rise + value, "stochastic_return": None} for steps, value in CURVE]
    about = {"robot": "hopper", "task": "forward", "seed": seed, "learner": "sac", "budget": 40_000}
    return {**about, "steps": 40_000, "final_return": 0.0, "curve": curve, **more}


def test_a_row_per_kind_and_number_of_steps(tmp_path: Path):
    tuned = {"source": "x", "source_steps": 10_000, "notes": {}, "preset": "default"}
    imitated = {key: value for key, value in a_run(0, 0.0, expert="x").items() if key != "learner"}
    runs = [a_run(0, 0.0), a_run(1, 2.0), a_run(0, 10.0, **tuned), imitated]
    files = [tmp_path / f"{number}.json" for number in range(len(runs))]
    for file, run in zip(files, runs, strict=True):
        file.write_text(json.dumps(run))
    main(["30000", "10000", "90000", "--files", *map(str, files)])
    with (tmp_path / "returns_around.csv").open() as file:
        rows = [(row["stage"], row["steps"], row["seeds"], row["return"]) for row in csv.DictReader(file)]
    assert rows == [
        ("baseline", "10000", "2", "2"),
        ("baseline", "30000", "2", "6"),
        ("finetune", "10000", "1", "11"),
        ("finetune", "30000", "1", "15"),
    ]


def test_a_file_that_is_no_result_is_told(tmp_path: Path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(MbmfError, match=r"a.json: expected a result"):
        main(["1", "--files", str(tmp_path / "a.json")])
