"""What policies return around some numbers of environment steps, side by side.

``python -m mbmf_ros.experiments.returns_around 40000 50000 --files results/mbmf_sac/*.json`` reads what ``mbmf
finetune`` and ``baseline`` wrote with ``--json``, and writes ``returns_around.csv`` beside the first file: a row per
robot, task, stage, learner and number of steps. Single evaluations of a policy that falls now and then swing: a run
counts with the mean of those within 7500 steps, or, if there are none, with what lies between its neighbours.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mbmf_ros.experiments.learning_curves import write_table
from mbmf_ros.experiments.mbmf_results import Run, evaluations, read_runs, stage_of

COLUMNS = ("robot", "task", "stage", "learner", "steps", "seeds", "return", "return_std")
WITHIN = 7500


def around(curve: Sequence[tuple[float, float]], steps: float) -> float | None:
    """What a run with the evaluations ``curve``, steps and returns, returns around ``steps``; None: it is not there."""
    at, value = np.array(curve, float).T
    near = np.abs(at - steps) <= WITHIN
    if near.any():
        return float(value[near].mean())
    return float(np.interp(steps, at, value)) if at[0] <= steps <= at[-1] else None


def rows_around(runs: Iterable[Run], wanted: Iterable[int]) -> list[dict[str, Any]]:
    """A row per kind of run and number of steps, with mean and standard deviation over the seeds that are there."""
    kinds: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in runs:
        if stage_of(run) in ("finetune", "baseline"):
            kinds[run["robot"], run["task"], stage_of(run), run["learner"]].append(run)
    out, steps = [], sorted(wanted)
    for kind, members in sorted(kinds.items()):
        for each in steps:
            found = [value for run in members if (value := around(evaluations(run), each)) is not None]
            if found:
                row = {**dict(zip(COLUMNS, kind, strict=False)), "steps": each, "seeds": len(found)}
                row["return"] = float(np.mean(found))
                row["return_std"] = float(np.std(found, ddof=1)) if len(found) > 1 else None
                out.append(row)
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module.

    Raises:
        MbmfError: a file is no such result.
    """
    parser = argparse.ArgumentParser(description="What policies return around some numbers of environment steps.")
    parser.add_argument("steps", type=int, nargs="+")
    parser.add_argument("--files", type=Path, nargs="+", required=True, help="results of mbmf finetune and baseline")
    given = parser.parse_args(arguments)
    rows = rows_around(read_runs(given.files), given.steps)
    write_table(given.files[0].parent / "returns_around.csv", COLUMNS, rows)


if __name__ == "__main__":
    main()
