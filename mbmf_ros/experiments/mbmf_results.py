"""What ``mbmf learn``, ``imitate``, ``finetune`` and ``baseline`` wrote with ``--json``, stage by stage."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mbmf_ros.errors import MbmfError

KIND = ("robot", "task", "stage", "learner", "preset", "budget")  # what the seeds of one row have in common
STAGES = (*KIND, "seeds", "steps", "return", "return_std", "lowest_return", "highest_return", "differing_settings")
MODEL_BASED = (
    "robot",
    "task",
    "preset",
    "budget",
    "seeds",
    "steps",
    "return",
    "return_std",
    "baseline_seeds",
    "baseline_reached",
    "baseline_steps_at_least",
    "times_fewer_at_least",
)
HANDOVER = (
    "robot",
    "task",
    "learner",
    "preset",
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
HANDOVER_STEPS = 50_000  # of model-free learning, or its first evaluation; what comes later is no hand-over

Run = Mapping[str, Any]


def read_runs(files: Iterable[Path]) -> list[dict[str, Any]]:
    """The results in ``files``.

    Raises:
        MbmfError: a file is none, or two are of the same stage, settings and seed.
    """
    runs, read = [], {}
    for file in files:
        try:
            run = json.loads(file.read_text("utf-8"))
            evaluations(run)
            wanted = ["robot", "task", "seed", "steps", "final_return"]
            if stage_of(run) == "finetune":
                wanted += ["source_steps", "notes"]
                _ = [row["stochastic_return"] for row in run["curve"]]
            _ = [run[key] for key in wanted]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise MbmfError(f"{file}: expected a result of `mbmf ... --json` ({error!r})") from error
        key = (*kind_of(run).values(), run["seed"])
        if key in read:
            raise MbmfError(f"{file} and {read[key]} are results of the same stage, settings and seed: leave one out")
        read[key] = file
        runs.append(run)
    return runs


def stage_of(run: Run) -> str:
    """Which command made a result."""
    if "learner" in run:
        return "finetune" if "source" in run else "baseline"
    return "imitate" if "expert" in run else "learn"


def kind_of(run: Run) -> dict[str, Any]:
    """What a run has in common with others that differ by their seeds only."""
    kind = {key: run.get(key) or "" for key in KIND} | {"stage": stage_of(run)}
    return kind | {"budget": run.get("budget") or 0}


def evaluations(run: Run) -> list[tuple[int, float]]:
    """Steps and returns of the evaluations of whole episodes; of Algorithm 1 only the final model is evaluated."""
    if stage_of(run) == "learn":
        return [(run["steps"], run["final_return"])]
    return [(row["steps"], row["return"]) for row in run["curve"]]


def first_reached(curve: Iterable[tuple[float, float]], wanted: float) -> float:
    """Steps at the first evaluation with a return of ``wanted`` or more; NaN: none."""
    return next((float(steps) for steps, value in curve if value >= wanted), float("nan"))


def comparable(runs: Iterable[Run]) -> list[Run]:
    """The runs without Algorithm 1's results at budgets that not every seed of Mb-Mf has: a seed that was looked at
    earlier would seem to have learned earlier.

    Raises:
        MbmfError: the runs of a robot and task, baselines apart, were made in two ways: each must be looked at alone.
    """
    runs = list(runs)
    seeds: dict[tuple[Any, ...], set[int]] = defaultdict(set)
    ways: dict[tuple[Any, ...], set[tuple[str, str]]] = defaultdict(set)
    budgets: dict[tuple[Any, ...], set[int]] = defaultdict(set)
    for run in runs:
        task, stage = (run["robot"], run["task"]), stage_of(run)
        if stage == "baseline":
            continue
        seeds[task].add(run["seed"])
        ways[(*task, stage)].add((run.get("learner") or "", run.get("preset") or ""))
        if stage == "learn":
            budgets[(*task, run.get("budget"))].add(run["seed"])
    for (robot, task, stage), found in ways.items():
        if len(found) > 1:
            names = ", ".join(" ".join(filter(None, way)) for way in sorted(found))
            raise MbmfError(f"{robot}, {task}: {stage} with several learners or presets ({names}); give one at a time")

    def everybody(run: Run) -> bool:
        task = run["robot"], run["task"]
        return stage_of(run) != "learn" or budgets[(*task, run.get("budget"))] == seeds[task]

    return [run for run in runs if everybody(run)]


def stage_rows(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """A row per stage and settings: mean, spread, lowest and highest of the seeds' final returns; and which settings
    were not the same in all of them."""
    groups: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run in runs:
        groups[tuple(kind_of(run).values())].append(run)
    return [dict(zip(KIND, key, strict=True)) | _over_seeds(members) for key, members in sorted(groups.items())]


def model_based_rows(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """A row per robot, task, preset and budget of Algorithm 1: its mean return over seeds, and the steps after which
    the evaluations of TRPO from a random policy first reach that.

    Of a seed that does not reach it all the steps that it made are counted.
    """
    runs = list(runs)
    free = [run for run in runs if stage_of(run) == "baseline" and run["learner"] == "trpo"]
    out = []
    for row in stage_rows(run for run in runs if stage_of(run) == "learn"):
        curves = [evaluations(run) for run in free if (run["robot"], run["task"]) == (row["robot"], row["task"])]
        if not curves:
            continue
        to = np.array([first_reached(curve, row["return"]) for curve in curves])
        needed = float(np.where(np.isfinite(to), to, [curve[-1][0] for curve in curves]).mean())
        row |= {"baseline_seeds": len(curves), "baseline_reached": int(np.isfinite(to).sum())}
        out.append(row | {"baseline_steps_at_least": needed, "times_fewer_at_least": needed / row["steps"]})
    return out


def handover_rows(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """A row per fine-tuned policy: its return at first, and the lowest of the evaluations, and of the returns with the
    noise it learns with, over the first :data:`HANDOVER_STEPS`, as shares of that."""
    out = []
    for run in runs:
        if stage_of(run) != "finetune":
            continue
        first, *later = run["curve"]
        begun, end = first["return"], first["steps"] + HANDOVER_STEPS
        rows = [row for number, row in enumerate(later) if number == 0 or row["steps"] <= end]
        lowest = min((row["return"] for row in rows), default=None)
        noisy = min((row["stochastic_return"] for row in rows if row["stochastic_return"] is not None), default=None)
        row = {key: run.get(key) for key in HANDOVER} | {"return": begun, "std": run["notes"].get("std")}
        row |= {"lowest_return": lowest, "lowest_stochastic_return": noisy}
        out.append(row | {"share": _share(lowest, begun), "stochastic_share": _share(noisy, begun)})
    return sorted(out, key=lambda row: tuple(str(row[key]) for key in HANDOVER[:5]))


def _over_seeds(runs: list[Run]) -> dict[str, Any]:
    values = [float(run["final_return"]) for run in runs]
    row = {"seeds": len(values), "steps": round(np.mean([run["steps"] for run in runs]))}
    row |= {"return": float(np.mean(values)), "lowest_return": min(values), "highest_return": max(values)}
    row |= {"differing_settings": " ".join(_differing([run.get("config") or {} for run in runs]))}
    return row | {"return_std": float(np.std(values, ddof=1)) if len(values) > 1 else None}


def _differing(configs: list[Mapping[str, Any]], prefix: str = "") -> list[str]:
    """Names of what is not the same in all of them."""
    out = []
    for key in sorted({key for config in configs for key in config}):
        values = [config.get(key) for config in configs]
        if all(isinstance(value, Mapping) for value in values):
            out += _differing([value for value in values if isinstance(value, Mapping)], f"{prefix}{key}.")
        elif any(value != values[0] for value in values):
            out.append(prefix + key)
    return out


def _share(value: float | None, of: float) -> float | None:
    return value / of if value is not None and of > 0.0 else None
