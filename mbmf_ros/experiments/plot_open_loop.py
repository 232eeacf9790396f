"""Plots the CSV files of open_loop; reads nothing else.

python -m mbmf_ros.experiments.plot_open_loop results/open_loop/ant
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import tyro

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

KINDS = {"random": "random", "on_policy": "on-policy", "candidates": "planner's candidates"}
MODELS = {"persistence": "persistence", "linear": "linear", "paper": "paper's network", "ours": "ours"}
Rows = Sequence[Mapping[str, str]]


def main(folder: tyro.conf.Positional[Path]) -> None:
    """Write ``open_loop.png`` beside the CSV files.

    Args:
        folder: where they are.
    """
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.6), layout="constrained")
    errors = _read(folder / "errors.csv")
    for axis, (kind, title) in zip(axes, KINDS.items(), strict=False):
        _errors(axis, [row for row in errors if row["kind"] == kind])
        axis.set(title=title, xlabel="steps ahead", ylabel="normalised RMSE of the change")
    axes[0].legend()
    if (folder / "reliability.csv").is_file():
        _reliability(axes[3], _read(folder / "reliability.csv"))
    figure.savefig(folder / "open_loop.png", dpi=110)


def _read(file: Path) -> Rows:
    with file.open() as stream:
        return list(csv.DictReader(stream))


def _errors(axis: Axes, rows: Rows) -> None:
    """Mean and standard deviation over seeds against the horizon."""
    for name, label in MODELS.items():
        horizons = sorted({int(row["horizon"]) for row in rows if row["model"] == name})
        by_seed = [
            [float(row["nrmse"]) for row in rows if row["model"] == name and int(row["horizon"]) == horizon]
            for horizon in horizons
        ]
        means, spreads = [np.mean(values) for values in by_seed], [np.std(values) for values in by_seed]
        axis.errorbar(horizons, means, spreads, marker="o", markersize=3, capsize=3, label=label)
    axis.set(xscale="log", ylim=(0, 1.5))
    axis.set_xticks([1, 5, 10, 20, 50, 100], ["1", "5", "10", "20", "50", "100"])
    axis.set_xticks([], minor=True)
    axis.grid(alpha=0.3)


def _reliability(axis: Axes, rows: Rows) -> None:
    """Error against spread, by bins of spread, after 20 steps; on the diagonal the spread is the error."""
    for kind, title in KINDS.items():
        chosen = [row for row in rows if row["kind"] == kind and int(row["horizon"]) == 20]
        bins = sorted({int(row["bin"]) for row in chosen})
        points = [
            [np.mean([float(row[key]) for row in chosen if int(row["bin"]) == number]) for number in bins]
            for key in ("spread", "error")
        ]
        axis.plot(*points, marker="o", markersize=3, label=title)
    limits = axis.get_ylim()
    axis.plot(limits, limits, color="grey", linestyle=":", linewidth=1)
    axis.set(title="20 steps", xlabel="spread of the ensemble", ylabel="error", xscale="log", yscale="log")
    axis.legend()
    axis.grid(alpha=0.3)


if __name__ == "__main__":
    tyro.cli(main)
