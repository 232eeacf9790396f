"""Plots what :mod:`mbmf_ros.experiments.learning_curves` wrote: return against environment steps, per robot and task.

``python -m mbmf_ros.experiments.plot_learning_curves results/learn``
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Points = list[tuple[float, float]]


def main(folder: Path) -> None:
    """Write ``curves.png`` into ``folder``: returns of rollouts while learning, and evaluations of the final models."""
    curves: dict[tuple[str, str], dict[tuple[str, ...], Points]] = defaultdict(lambda: defaultdict(list))
    with (folder / "curves.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["return"]:
                run = row["preset"], row["seed"], row["budget"]
                curves[row["robot"], row["task"]][run].append((float(row["steps"]), float(row["return"])))
    finals: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    with (folder / "final.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            finals[row["robot"], row["task"]].append((float(row["steps"]), float(row["final_return"])))
    columns = min(3, len(finals))
    rows = -(-len(finals) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.2 * columns, 3.2 * rows), squeeze=False)
    for axis in axes.flat[len(finals) :]:
        axis.set_visible(False)
    for axis, key in zip(axes.flat, sorted(finals), strict=False):
        for points in curves[key].values():
            axis.plot(*zip(*points, strict=True), ".-", color="tab:blue", alpha=0.5, linewidth=1)
        axis.plot(*zip(*finals[key], strict=True), "o", color="tab:red", markersize=4)
        axis.set_title(", ".join(key), fontsize=10)
        axis.set_xlabel("environment steps")
        axis.set_ylabel("return")
    figure.suptitle("Lines: rollouts while learning, one per run (shorter episodes). Dots: evaluations", fontsize=9)
    figure.tight_layout()
    figure.savefig(folder / "curves.png", dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
