"""Learning curves: gathers what ``mbmf learn --json`` wrote into one table, and sums it up over seeds.

``python -m mbmf_ros.experiments.learning_curves results/learn/*.json`` writes ``curves.csv`` (a row per run and
iteration), ``final.csv`` (a row per run) and ``summary.csv`` (a row per robot, task, preset and budget) beside the
first file.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mbmf_ros.errors import MbmfError

RUN = ("robot", "task", "preset", "seed")
KEYS = (*RUN, "budget")  # a model that is judged by another task has no budget
CURVE = ("iteration", "steps", "return", "episodes", "e_h_random", "e_h_on_policy", "wall_s")
FINAL = ("steps", "final_return", "lowest_episode", "highest_episode", "wall_s", "revision", "command")
GROUP = ("robot", "task", "preset", "budget")
SUMMARY = (*GROUP, "seeds", "steps", "return_mean", "return_std", "return_lowest", "return_highest")


def read_runs(files: Iterable[Path]) -> list[dict[str, Any]]:
    """Results of ``mbmf learn``.

    Raises:
        MbmfError: a file that is none.
    """
    runs = []
    for file in files:
        try:
            run = json.loads(file.read_text("utf-8"))
            missing = {*RUN, "steps", "final_return", "final_returns", "curve", "wall_s"} - run.keys()
        except (OSError, ValueError, AttributeError) as error:
            raise MbmfError(f"{file}: expected a result of `mbmf learn --json` ({error})") from error
        if missing:
            raise MbmfError(f"{file}: expected a result of `mbmf learn --json`, it has no {sorted(missing)[0]!r}")
        runs.append(run)
    return sorted(runs, key=lambda run: (*(run[key] for key in RUN), run.get("budget") or 0))


def curve_rows(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per run and iteration."""
    return [
        {**{key: run.get(key) for key in KEYS}, **row, "episodes": len(row["returns"])}
        for run in runs
        for row in run["curve"]
    ]


def final_rows(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per run: the evaluation of its final model."""
    return [
        {**run, "lowest_episode": min(run["final_returns"]), "highest_episode": max(run["final_returns"])}
        for run in runs
    ]


def summary_rows(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per robot, task, preset and budget: mean and standard deviation over seeds of the runs' mean returns."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault(tuple(run.get(key) for key in GROUP), []).append(run)
    rows = []
    for group, members in groups.items():
        values = np.array([run["final_return"] for run in members])
        rows.append(
            {
                **dict(zip(GROUP, group, strict=True)),
                "seeds": len(members),
                "steps": max(run["steps"] for run in members),
                "return_mean": values.mean(),
                "return_std": values.std(ddof=1) if len(values) > 1 else 0.0,
                "return_lowest": values.min(),
                "return_highest": values.max(),
            }
        )
    return rows


def write_table(path: Path, columns: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the named columns of ``rows``; numbers to five digits."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{value:.5g}" if isinstance(value, float) else value for key, value in row.items()})


def main(arguments: list[str]) -> int:
    """Write the three tables; the exit code."""
    try:
        files = [Path(argument) for argument in arguments]
        if not files:
            raise MbmfError(
                "expected result files: python -m mbmf_ros.experiments.learning_curves results/learn/*.json"
            )
        runs = read_runs(files)
    except MbmfError as error:
        print(error, file=sys.stderr)
        return 2
    folder = files[0].parent
    write_table(folder / "curves.csv", KEYS + CURVE, curve_rows(runs))
    write_table(folder / "final.csv", KEYS + FINAL, final_rows(runs))
    write_table(folder / "summary.csv", SUMMARY, summary_rows(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
