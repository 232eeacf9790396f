"""Plots a soak run from its CSV files; reads nothing else.

python -m mbmf_ros.experiments.plot_soak results/soak
"""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib as mpl
import numpy as np
import tyro

from mbmf_ros.experiments.soak_analysis import CHILD, CLIENT, TOTAL, series

mpl.use("Agg")
from matplotlib import pyplot as plt


def main(folder: tyro.conf.Positional[Path]) -> None:
    """Write ``soak.png`` beside the CSV files: memory, threads, file handles and missed deadlines over time.

    Args:
        folder: where soak.csv and traffic.csv are.
    """
    tables = {}
    for name in ("soak", "traffic"):
        with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as lines:
            tables[name] = list(csv.DictReader(lines))
    figure, axes = plt.subplots(4, 1, figsize=(10, 11), sharex=True, layout="constrained")
    for program, one in series(tables["soak"]).items():
        if program in (CLIENT, TOTAL):
            continue
        minutes = one["t_s"] / 60
        for axis, quantity in zip(axes, ("rss_mb", "threads", "files"), strict=False):
            alone = CHILD in program
            axis.plot(minutes, one[quantity], "." if alone else "-", markersize=3, label=program)
    minutes, deadlines, missed = (
        np.array([float(row[name]) for row in tables["traffic"]]) for name in ("t_s", "deadlines", "missed")
    )
    axes[3].plot(minutes / 60, 100 * missed / np.maximum(deadlines, 1))
    for axis, label in zip(axes, ("resident memory [MB]", "threads", "file handles", "missed so far [%]"), strict=True):
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[0].legend(loc="upper left", fontsize="small", ncols=2)
    axes[3].set_xlabel("time [min]")
    figure.savefig(folder / "soak.png", dpi=110)


if __name__ == "__main__":
    tyro.cli(main)
