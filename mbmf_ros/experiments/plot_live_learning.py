"""Plots the runs of live_learning from their CSV files; reads nothing else.

python -m mbmf_ros.experiments.plot_live_learning results/live_learning
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import tyro

from mbmf_ros.experiments.live_analysis import ON_PATH_M, column, read_rows, smoothed

mpl.use("Agg")
from matplotlib import pyplot as plt


def main(folder: tyro.conf.Positional[Path]) -> None:
    """Write ``live_learning.png`` beside the CSV files: cross-track error, surprise and model version over time.

    Args:
        folder: where the seed_*.csv are.
    """
    figure, axes = plt.subplots(3, 1, figsize=(10, 8), sharex=True, layout="constrained")
    for file in sorted(folder.glob("seed_*.csv")):
        rows = read_rows(file)
        minutes = column(rows, "sim_s") / 60
        axes[0].plot(minutes, smoothed(column(rows, "cross_track_mean_m")), label=file.stem.replace("_", " "))
        axes[1].plot(minutes, column(rows, "surprise"))
        axes[2].step(minutes, column(rows, "version"), where="post")
        disturbed = np.flatnonzero(column(rows, "disturbed") > 0)
        for axis in axes:
            if len(disturbed):
                axis.axvline(minutes[disturbed[0]], color="grey", linestyle="--", linewidth=1)
            axis.grid(alpha=0.3)
    axes[0].axhline(ON_PATH_M, color="grey", linestyle=":", linewidth=1)
    axes[0].set(ylabel="cross-track error, mean over 10 s [m]", ylim=(0, 1.5))
    axes[0].legend(loc="upper left")
    axes[1].set(ylabel="surprise (1: as usual)", ylim=(0, 8))
    axes[2].set(ylabel="model version", xlabel="simulated time [min]")
    figure.savefig(folder / "live_learning.png", dpi=110)


if __name__ == "__main__":
    tyro.cli(main)
