"""What came out of a live-learning run, from its CSV alone."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ON_PATH_M = 0.3
"""Cross-track error below which the robot is on its path."""
WALKING_S = 30
"""It walks its path once it has been on it for so long on end, following it all the while, without a fall ..."""
WALKING_M = 6.0
"""... and has come so far along it."""
SMOOTH_S = 10
"""The cross-track error is looked at as the mean over the last so many seconds."""


def read_rows(file: Path) -> list[dict[str, str]]:
    """The rows of a run, one per simulated second."""
    with file.open(encoding="utf-8") as content:
        return list(csv.DictReader(content))


def column(rows: Sequence[Mapping[str, str]], name: str) -> np.ndarray:
    """A column as numbers (seconds,); NaN where there is none."""
    return np.array([float(row[name]) if row[name] else math.nan for row in rows])


def smoothed(values: np.ndarray, length: int = SMOOTH_S) -> np.ndarray:
    """Mean over the last ``length`` values that are numbers, (N,)."""
    out = np.full(len(values), math.nan)
    for index in range(len(values)):
        window = values[max(0, index + 1 - length) : index + 1]
        if np.isfinite(window).any():
            out[index] = np.nanmean(window)
    return out


def walks_from(rows: Sequence[Mapping[str, str]]) -> float | None:
    """Simulated time [s] from which the robot walks its path, or None.

    It is the end of the first ``WALKING_S`` seconds in which the cross-track error stayed below ``ON_PATH_M``, with at
    least ``WALKING_M`` of path walked and no fall.
    """
    worst, progress = column(rows, "cross_track_max_m"), column(rows, "progress_m")
    fell, seconds = column(rows, "fell"), column(rows, "sim_s")
    walked = np.clip(np.diff(progress, prepend=np.nan), 0, 2)  # a new path begins at 0 again
    for end in range(WALKING_S, len(rows) + 1):
        part = slice(end - WALKING_S, end)
        on_path = (worst[part] < ON_PATH_M).all() and not fell[part].any()  # NaN, not following, is not below
        if on_path and np.nansum(walked[part]) >= WALKING_M:
            return float(seconds[end - 1] + 1)
    return None


def back_after(rows: Sequence[Mapping[str, str]], weaken_s: float) -> float | None:
    """How long [s] after ``weaken_s`` the robot is back on its path for good; 0 where it never left it; None: never.

    From then on the smoothed cross-track error stays below ``ON_PATH_M`` to the end of the run, without a fall.
    """
    after = [row for row in rows if float(row["sim_s"]) >= weaken_s]
    if not after:
        return None
    error, fell = smoothed(column(after, "cross_track_mean_m")), column(after, "fell")
    bad = np.flatnonzero(~(error < ON_PATH_M) | (fell > 0))
    if not len(bad):
        return 0.0
    return None if bad[-1] == len(after) - 1 else float(after[int(bad[-1]) + 1]["sim_s"]) - weaken_s


def analyse(rows: Sequence[Mapping[str, str]], weaken_s: float) -> dict[str, Any]:
    """The results of one run; times in simulated seconds, errors in metres."""
    seconds, models = column(rows, "sim_s"), column(rows, "version")
    known = np.flatnonzero(models > 0)
    first = int(seconds[known[0]]) if len(known) else None
    following = [row for row in rows if row["task"] == "follow_path"]
    healthy = [row for row in following if float(row["sim_s"]) < weaken_s]
    weak = [row for row in following if float(row["sim_s"]) >= weaken_s]
    last_minute = [row for row in weak if float(row["sim_s"]) >= seconds[-1] - 60]
    noticed = seconds[(seconds >= weaken_s) & (column(rows, "changed") > 0)]
    changes = column(rows, "changes")
    before = changes[seconds < weaken_s]
    deadlines = sum(int(row["ticks"]) for row in following)
    return {
        "first_model_s": first,
        "walks_from_s": walks_from(rows),
        "back_after_s": back_after(rows, weaken_s),
        "change_noticed_after_s": float(noticed[0] - weaken_s) if len(noticed) else None,
        "false_alarms": int(before[-1]) if len(before) else 0,
        "cross_track_healthy_last_5_min_m": _mean([r for r in healthy if float(r["sim_s"]) >= weaken_s - 300]),
        "cross_track_weak_m": _mean(weak),
        "cross_track_weak_max_m": _max(weak),
        "cross_track_weak_last_min_m": _mean(last_minute),
        "cross_track_weak_last_min_max_m": _max(last_minute),
        "falls_healthy": int(column([r for r in rows if float(r["sim_s"]) < weaken_s], "fell").sum()),
        "falls_following": int(column(following, "fell").sum()) if following else 0,
        "falls_weak": int(column(weak, "fell").sum()) if weak else 0,
        "deadlines": deadlines,
        "deadlines_missed": int(column(following, "late").sum()) if following else 0,
        "missed_share_training": _share([row for row in following if int(row["training"])]),
        "missed_share_otherwise": _share([row for row in following if not int(row["training"])]),
        "bridge_late_answers": int(column(rows, "bridge_late")[-1]),
        "minutes_counted": round(len(following) / 60, 1),
        "seconds_training": int(column(rows, "training").sum()),
        "plan_ms_max": _max(following, "plan_ms_max"),
        "models": int(column(rows, "models")[-1]),
        "versions_grow": bool((np.diff(models) >= 0).all()),
        "trainings_accepted": int(column(rows, "accepted")[-1]),
        "trainings_refused": int(column(rows, "refused")[-1]),
        "memory_mb": int(column(rows, "memory_mb")[-1]),
        "simulated_s": int(seconds[-1]) + 1,
    }


def _share(rows: Sequence[Mapping[str, str]]) -> float | None:
    """Share of the deadlines that were missed."""
    return round(sum(int(row["late"]) for row in rows) / sum(int(row["ticks"]) for row in rows), 5) if rows else None


def _mean(rows: Sequence[Mapping[str, str]], name: str = "cross_track_mean_m") -> float | None:
    return round(float(np.nanmean(column(rows, name))), 4) if rows else None


def _max(rows: Sequence[Mapping[str, str]], name: str = "cross_track_max_m") -> float | None:
    return round(float(np.nanmax(column(rows, name))), 4) if rows else None
