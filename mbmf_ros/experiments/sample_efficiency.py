"""Sample efficiency: how many environment steps Mb-Mf and model-free learning need for the same return.

``python -m mbmf_ros.experiments.sample_efficiency results/mbmf/*.json`` reads what ``mbmf learn``, ``imitate``,
``finetune`` and ``baseline`` wrote with ``--json``, and writes beside the first file

- ``curves.csv``: a row per run and evaluation;
- ``stages.csv``: per stage and its settings, what its result returns, over seeds;
- ``summary.csv``: per robot, task and share of the baseline's return, the steps to it;
- ``model_based.csv``: per budget of Algorithm 1, the steps that the baseline needs for the same return;
- ``handover.csv``: per fine-tuned policy, what is left of its return while TRPO or SAC begin;
- ``curves.png``: return against steps on a logarithmic axis, mean and spread, as in the paper's figure 7.

Runs of the same robot, task and seed are stages of one Mb-Mf run: each begins with the steps that the one before took.
Budgets of Algorithm 1 that not every seed has count in ``stages.csv`` and ``model_based.csv`` only.
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
    comparable,
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
STYLE = {  # colour and name of each stage
    "learn": ("tab:blue", "Mb: planner"),
    "imitate": ("tab:green", "Mb: policy, imitated and improved"),
    "finetune": ("tab:red", "Mb-Mf: fine-tuned"),
}
BASELINES = {
    "trpo": ("tab:gray", "Mf: TRPO from a random policy"),
    "sac": ("tab:purple", "Mf: SAC from a random policy"),
}


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


def mean_and_spread(curves: Sequence[Sequence[tuple[float, float]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation over runs, where all of them were evaluated; in between a run is interpolated.

    Args:
        curves: of each run steps, above 0 and not falling, and returns.

    Returns:
        Steps, evenly spread on a logarithmic axis, mean and standard deviation, (S,) each; S is 0 where the runs have
        no steps in common.
    """
    begin, end = max(curve[0][0] for curve in curves), min(curve[-1][0] for curve in curves)
    steps = np.geomspace(begin, end, 200 if end > begin else 1) if end >= begin else np.empty(0)
    values = [np.interp(np.log(steps), *np.array([(np.log(s), r) for s, r in curve]).T) for curve in curves]
    return steps, np.mean(values, axis=0), np.std(values, axis=0, ddof=min(1, len(values) - 1))


def plot(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Return against steps: a panel per robot and task; per stage a line, mean of the runs, and its spread."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels: dict[tuple[str, str], dict[tuple[str, str], dict[int, list[tuple[float, float]]]]]
    panels = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for row in rows:
        if row["steps"] > 0:
            stage = row["stage"], row["method"]
            panels[row["robot"], row["task"]][stage][row["seed"]].append((row["steps"], row["return"]))
    columns = min(2, len(panels))
    height = -(-len(panels) // columns)
    figure, axes = plt.subplots(height, columns, figsize=(5.5 * columns, 3.6 * height), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (key, stages) in zip(axes.flat, sorted(panels.items()), strict=False):
        for (stage, method), runs in sorted(stages.items()):
            colour, name = BASELINES[method] if stage == "baseline" else STYLE[stage]
            for curve in runs.values():
                axis.plot(*zip(*curve, strict=True), ".-", color=colour, linewidth=0.6, markersize=3, alpha=0.35)
            steps, mean, std = mean_and_spread(list(runs.values()))
            label = f"{name} ({len(runs)})"
            if len(steps) == 1:
                axis.errorbar(steps, mean, std, fmt="o", color=colour, linewidth=2, capsize=3, label=label)
                continue
            axis.plot(steps, mean, color=colour, linewidth=2, label=label)
            axis.fill_between(steps, mean - std, mean + std, color=colour, alpha=0.2, linewidth=0)
        axis.set_xscale("log")
        axis.set_title(", ".join(key), fontsize=10)
        axis.set_xlabel("environment steps, all that were taken")
        axis.set_ylabel("return")
        axis.legend(fontsize=7)
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
        rows = curve_rows(comparable(runs))
    except MbmfError as error:
        print(error, file=sys.stderr)
        return 2
    folder = files[0].parent
    write_table(folder / "curves.csv", CURVES, rows)
    write_table(folder / "stages.csv", STAGES, stage_rows(runs))
    write_table(folder / "summary.csv", SUMMARY, summary_rows(rows))
    write_table(folder / "model_based.csv", MODEL_BASED, model_based_rows(runs))
    write_table(folder / "handover.csv", HANDOVER, handover_rows(runs))
    plot(rows, folder / "curves.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
