"""Plots data_economy.csv; reads nothing else.

python -m mbmf_ros.experiments.plot_data_economy results/data_economy
"""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib as mpl
import tyro

mpl.use("Agg")
from matplotlib import pyplot as plt

PANELS = (
    ("success_rate", "success", None),
    ("cross_track_mean_m", "cross-track error [m]", 0.10),
    ("speed_mean_mps", "speed [m/s]", 0.9),
)


def main(folder: tyro.conf.Positional[Path]) -> None:
    """Write ``data_economy.png`` beside the CSV.

    Args:
        folder: where data_economy.csv is.
    """
    with (folder / "data_economy.csv").open() as file:
        rows = list(csv.DictReader(file))
    figure, axes = plt.subplots(1, len(PANELS), figsize=(12, 3.6), layout="constrained")
    for axis, (key, label, target) in zip(axes, PANELS, strict=True):
        for name, chosen in (("random", lambda n: n == 0), ("random, one on-policy round", lambda n: n > 0)):
            some = sorted((row for row in rows if chosen(int(row["on_policy"]))), key=lambda r: int(r["transitions"]))
            axis.errorbar(
                [int(row["transitions"]) for row in some],
                [float(row[key]) for row in some],
                [float(row[f"{key}_std_over_seeds"]) for row in some],
                marker="o",
                capsize=3,
                label=name,
            )
        if target is not None:
            axis.axhline(target, color="grey", linestyle=":", linewidth=1)
        ticks = sorted({int(row["random"]) for row in rows})
        axis.set_xscale("log")
        axis.set_xticks(ticks, [f"{tick:,}".replace(",", " ") for tick in ticks])
        axis.set_xticks([], minor=True)
        axis.set(xlabel="training transitions", ylabel=label)
        axis.grid(alpha=0.3)
    axes[0].set_ylim(0, 1.05)
    axes[0].legend(loc="lower right")
    figure.savefig(folder / "data_economy.png", dpi=110)


if __name__ == "__main__":
    tyro.cli(main)
