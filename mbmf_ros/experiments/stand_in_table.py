"""The table of success behind the stand-in: a row per condition, with means over runs and their spread over seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mbmf_ros.control.follow import summary
from mbmf_ros.experiments.learning_curves import write_table

_MEANS = {"true_success_rate": "true_success", "drift_mean_m": "drift_m", "held_mean": "held"}  # by a run's key
_SPREAD = ("success_rate", "true_success_rate", "drift_mean_m", "cross_track_mean_m", "speed_mean_mps")
_CONDITION = ("mode", "delay_ms", "assumed_ms", "noise", "loss", "compensated")
COLUMNS = (
    *_CONDITION,
    *("runs", "success_rate", "true_success_rate", "drift_mean_m", "falls", "cross_track_mean_m", "cross_track_p95_m"),
    *("speed_mean_mps", "speed_std_mps", "plan_ms_p50", "plan_ms_p99", "deadlines", "deadlines_missed", "held_mean"),
    *(f"{key}_seed_std" for key in _SPREAD),
    *("robot", "seeds", "cores", "load_average", "revision", "command"),
)


def summarised(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over runs, and for what matters most the standard deviation of the seeds' means, ``_seed_std``.

    With one seed there is no spread: None. What no run tells has None for a mean.
    """
    seeds = sorted({run["seed"] for run in runs})
    each = [_means([run for run in runs if run["seed"] == seed]) for seed in seeds]
    spread = {}
    for key in _SPREAD:
        values = [means[key] for means in each if means[key] is not None]
        spread[f"{key}_seed_std"] = round(float(np.std(values, ddof=1)), 5) if len(values) > 1 else None
    return _means(runs) | spread


def _means(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    out = summary(runs)
    for name, key in _MEANS.items():
        known = [run[key] for run in runs if key in run]
        out[name] = round(float(np.mean(known)), 5) if known else None
    return out


def write_csv(folder: Path) -> None:
    """Write ``hardware_stand_in.csv`` from the conditions' JSON files in ``folder``."""
    rows = []
    for file in folder.glob("*_*.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        rows.append(content | summarised(content["runs"]))
    rows.sort(key=lambda row: (row["mode"], row["noise"], row["loss"], row["delay_ms"], _told(row)))
    write_table(folder / "hardware_stand_in.csv", COLUMNS, rows)


def _told(row: Mapping[str, Any]) -> float:
    """Rows without compensation come last."""
    return float("inf") if row["assumed_ms"] is None else row["assumed_ms"]
