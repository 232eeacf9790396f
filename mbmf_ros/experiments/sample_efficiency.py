"""Sample efficiency: how many environment steps Mb-Mf and model-free learning need for the same return.

``python -m mbmf_ros.experiments.sample_efficiency results/mbmf/*.json`` reads what ``mbmf learn``, ``imitate``,
``finetune`` and ``baseline`` wrote with ``--json``, and writes beside the first file

- ``curves.csv``: a row per run and evaluation;
- ``stages.csv``: per robot, task, stage and budget, what its result returns, over seeds;
- ``summary.csv``: per robot, task and share of the baseline's return, the steps to it;
- ``model_based.csv``: per evaluation of Algorithm 1, the steps that the baseline needs for the same return;
- ``handover.csv``: per fine-tuned policy, what is left of its return while TRPO or SAC begin;
- ``curves.png``: return against steps on a logarithmic axis, as in the paper's figure 7.

Runs of the same robot, task and seed are stages of one Mb-Mf run: each begins with the steps that the one before took.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments.learning_curves import write_table

STAGES = ("robot", "task", "stage", "budget", "seeds", "steps", "return", "return_std", "lowest_seed", "highest_seed")
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
MODEL_BASED = (
    "robot",
    "task",
    "steps",
    "seeds",
    "return",
    "return_std",
    "baseline_seeds",
    "baseline_reached",
    "baseline_steps_to",
    "times_fewer",
)
HANDOVER = (
    "robot",
    "task",
    "learner",
    "seed",
    "source_steps",
    "return",
    "lowest_return",
    "share",
    "lowest_stochastic_return",
    "stochastic_share",
    "std",
    "steps",
    "final_return",
)
HANDOVER_STEPS = 50_000  # of model-free learning; what comes later is no hand-over


def stage_of(run: Mapping[str, Any]) -> str:
    """Which command made a result."""
    if "learner" in run:
        return "finetune" if "source" in run else "baseline"
    return "imitate" if "expert" in run else "learn"


def evaluations(run: Mapping[str, Any]) -> list[tuple[int, float]]:
    """Steps and returns of the evaluations of whole episodes; of Algorithm 1 only the final model is evaluated."""
    if stage_of(run) == "learn":
        return [(run["steps"], run["final_return"])]
    return [(row["steps"], row["return"]) for row in run["curve"]]


def curve_rows(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per run and evaluation, in the order of the steps."""
    rows = []
    for run in runs:
        stage = stage_of(run)
        method = run["learner"] if stage == "baseline" else "mbmf"
        about = {key: run[key] for key in ("robot", "task", "seed")}
        rows += [{**about, "method": method, "stage": stage, "steps": s, "return": r} for s, r in evaluations(run)]
    return sorted(rows, key=lambda row: (row["robot"], row["task"], row["method"], row["seed"], row["steps"]))


def stage_rows(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per robot, task, stage and budget: mean and standard deviation over seeds of the final returns."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        groups[run["robot"], run["task"], stage_of(run), run.get("budget") or 0].append(run)
    out = []
    for key, members in sorted(groups.items()):
        values = [run["final_return"] for run in members]
        row = dict(zip(STAGES[:4], key, strict=True)) | {"seeds": len(values), "return": float(np.mean(values))}
        row |= {"steps": round(np.mean([run["steps"] for run in members])), "lowest_seed": float(min(values))}
        row |= {"highest_seed": float(max(values))}
        out.append(row | {"return_std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0})
    return out


def first_reached(curve: Iterable[tuple[float, float]], wanted: float) -> float:
    """Steps at the first evaluation with a return of ``wanted`` or more; NaN: none."""
    return next((float(steps) for steps, value in curve if value >= wanted), float("nan"))


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


def model_based_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per robot, task and number of steps after which Algorithm 1 was evaluated: its mean return over seeds, and
    the steps after which the baseline's evaluations first reach that.

    A baseline that does not counts with all the steps that it made, so ``times_fewer`` is then more than it says.
    """
    free, ours = defaultdict(list), defaultdict(list)
    for row in rows:
        if row["stage"] == "learn":
            ours[row["robot"], row["task"], row["steps"]].append(row["return"])
        elif row["method"] == "trpo":
            free[row["robot"], row["task"], row["seed"]].append((row["steps"], row["return"]))
    out = []
    for (robot, task, steps), returns in sorted(ours.items()):
        curves = [curve for key, curve in free.items() if key[:2] == (robot, task)]
        if not curves:
            continue
        mean = float(np.mean(returns))
        to = np.array([first_reached(curve, mean) for curve in curves])
        needed = float(np.where(np.isfinite(to), to, [curve[-1][0] for curve in curves]).mean())
        row = {"robot": robot, "task": task, "steps": steps, "seeds": len(returns), "return": mean}
        row |= {"return_std": float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0}
        row |= {"baseline_seeds": len(curves), "baseline_reached": int(np.isfinite(to).sum())}
        out.append(row | {"baseline_steps_to": needed, "times_fewer": needed / steps})
    return out


def handover_rows(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per fine-tuned policy: its return at first, and the lowest of the evaluations, and of the returns with the
    noise it learns with, over the first :data:`HANDOVER_STEPS`."""
    out = []
    for run in runs:
        if stage_of(run) != "finetune":
            continue
        first, *later = run["curve"]
        later = [row for row in later if row["steps"] <= first["steps"] + HANDOVER_STEPS]
        noisy = [row["stochastic_return"] for row in later if row["stochastic_return"] is not None]
        lowest, begun = min([row["return"] for row in later], default=None), first["return"]
        row = {key: run[key] for key in ("robot", "task", "learner", "seed", "source_steps", "steps", "final_return")}
        row |= {"return": begun, "lowest_return": lowest, "lowest_stochastic_return": min(noisy, default=None)}
        row |= {"share": lowest / begun if lowest is not None else None, "std": run["notes"].get("std")}
        out.append(row | {"stochastic_share": min(noisy) / begun if noisy else None})
    return sorted(out, key=lambda row: tuple(row[key] for key in HANDOVER[:4]))


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
        runs = []
        for file in files:
            try:
                runs.append(json.loads(file.read_text("utf-8")))
                evaluations(runs[-1])
                _ = [runs[-1][key] for key in ("robot", "task", "seed", "steps", "final_return")]
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise MbmfError(f"{file}: expected a result of `mbmf ... --json` ({error!r})") from error
    except MbmfError as error:
        print(error, file=sys.stderr)
        return 2
    rows, folder = curve_rows(runs), files[0].parent
    write_table(folder / "curves.csv", CURVES, rows)
    write_table(folder / "stages.csv", STAGES, stage_rows(runs))
    write_table(folder / "summary.csv", SUMMARY, summary_rows(rows))
    write_table(folder / "model_based.csv", MODEL_BASED, model_based_rows(rows))
    write_table(folder / "handover.csv", HANDOVER, handover_rows(runs))
    plot(rows, folder / "curves.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
