"""Sample efficiency: how many environment steps Mb-Mf and model-free learning need for the same return.

``python -m mbmf_ros.experiments.sample_efficiency results/mbmf/*.json`` reads what ``mbmf learn``, ``imitate``,
``finetune`` and ``baseline`` wrote with ``--json``, and writes beside the first file

- ``curves.csv``: a row per run and evaluation;
- ``stages.csv``: per stage and its settings, what its result returns, over seeds;
- ``summary.csv``: per robot, task and share of the baseline's return, the steps to it;
- ``model_based.csv``: per budget of Algorithm 1, the steps that the baseline needs for the same return;
- ``handover.csv``: per fine-tuned policy, what is left of its return while TRPO or SAC begin;
- ``curves.png``: return against steps on a logarithmic axis, as in the paper's figure 7.

Runs of the same robot, task and seed are stages of one Mb-Mf run: each begins with the steps that the one before took.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments.learning_curves import write_table
from mbmf_ros.experiments.mbmf_results import (
    HANDOVER,
    MODEL_BASED,
    STAGES,
    evaluations,
    first_reached,
    handover_rows,
    model_based_rows,
    read_runs,
    stage_of,
    stage_rows,
)

CURVES = ("robot", "task", "seed", "method", "stage", "steps", "return")
SUMMARY = (
    "robot",
    "task",
    "share",
    "return_wanted",
    "baseline_steps",
    "baseline_return",
    "baseline_seeds",
    "baseline_steps_to",
    "baseline_reached",
    "mbmf_seeds",
    "mbmf_steps_to",
    "mbmf_reached",
    "times_fewer",
)
SHARES = (0.5, 0.9)


def curve_rows(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per run and evaluation, in the order of the steps."""
    rows = []
    for run in runs:
        stage = stage_of(run)
        method = run["learner"] if stage == "baseline" else "mbmf"
        about = {key: run[key] for key in ("robot", "task", "seed")}
        rows += [{**about, "method": method, "stage": stage, "steps": s, "return": r} for s, r in evaluations(run)]
    return sorted(rows, key=lambda row: (row["robot"], row["task"], row["method"], row["seed"], row["steps"]))


def at_the_end(curve: Sequence[tuple[float, float]]) -> float:
    """Mean return of the evaluations in the last tenth of the steps."""
    return float(np.mean([value for steps, value in curve if steps >= 0.9 * curve[-1][0]]))


def summary_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per robot, task and share of the baseline's return at its end.

    That is the mean over its seeds of the evaluations in the last tenth of its steps: single ones swing.

    Steps are means over the seeds that got there; ``times_fewer`` is given where all did.
    """
    curves: dict[tuple[str, str, str], dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        curves[row["robot"], row["task"], row["method"]][row["seed"]].append((row["steps"], row["return"]))
    out = []
    for robot, task in sorted({key[:2] for key in curves}):
        free, ours = curves.get((robot, task, "trpo")), curves.get((robot, task, "mbmf"))
        if not free or not ours:
            continue
        final = float(np.mean([at_the_end(curve) for curve in free.values()]))
        for share in SHARES:
            to = {
                name: np.array([first_reached(curve, share * final) for curve in seeds.values()])
                for name, seeds in (("baseline", free), ("mbmf", ours))
            }
            row = {"robot": robot, "task": task, "share": share, "return_wanted": share * final}
            row |= {"baseline_return": final, "baseline_steps": max(curve[-1][0] for curve in free.values())}
            for name, steps in to.items():
                reached = np.isfinite(steps)
                row |= {f"{name}_seeds": len(steps), f"{name}_reached": int(reached.sum())}
                row[f"{name}_steps_to"] = float(steps[reached].mean()) if reached.any() else None
            everybody = all(np.isfinite(steps).all() for steps in to.values())
            row["times_fewer"] = row["baseline_steps_to"] / row["mbmf_steps_to"] if everybody else None
            out.append(row)
    return out


def plot(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Return against steps, a panel per robot and task, a line per run, model-based and model-free stages apart."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        panels[row["robot"], row["task"]].append(row)
    columns = min(2, len(panels))
    height = -(-len(panels) // columns)
    figure, axes = plt.subplots(height, columns, figsize=(5.5 * columns, 3.6 * height), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    colours = {"baseline": "tab:gray", "learn": "tab:blue", "imitate": "tab:blue", "finetune": "tab:red"}
    names = {"baseline": "model-free", "learn": "", "imitate": "model-based", "finetune": "fine-tuned"}
    for axis, (key, members) in zip(axes.flat, sorted(panels.items()), strict=False):
        labelled: set[str] = set()
        for stage, seed in sorted({(row["stage"], row["seed"]) for row in members}):
            points = [(row["steps"], row["return"]) for row in members if (row["stage"], row["seed"]) == (stage, seed)]
            label = names[stage] if names[stage] not in labelled else ""
            labelled.add(names[stage])
            axis.plot(*zip(*points, strict=True), ".-", color=colours[stage], linewidth=1, label=label or None)
        axis.set_xscale("log")
        axis.set_title(", ".join(key), fontsize=10)
        axis.set_xlabel("environment steps, all that were taken")
        axis.set_ylabel("return")
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(arguments: list[str]) -> int:
    """Write the tables and the figure; the exit code."""
    files = [Path(argument) for argument in arguments]
    try:
        if not files:
            raise MbmfError(
                "expected result files: python -m mbmf_ros.experiments.sample_efficiency results/mbmf/*.json"
            )
        runs = read_runs(files)
    except MbmfError as error:
        print(error, file=sys.stderr)
        return 2
    rows, folder = curve_rows(runs), files[0].parent
    write_table(folder / "curves.csv", CURVES, rows)
    write_table(folder / "stages.csv", STAGES, stage_rows(runs))
    write_table(folder / "summary.csv", SUMMARY, summary_rows(rows))
    write_table(folder / "model_based.csv", MODEL_BASED, model_based_rows(runs))
    write_table(folder / "handover.csv", HANDOVER, handover_rows(runs))
    plot(rows, folder / "curves.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
