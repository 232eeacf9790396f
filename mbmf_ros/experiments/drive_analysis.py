"""What came out of a run straight ahead, from its CSV alone (:mod:`mbmf_ros.drive_client`).

A control period lies between two rows of one episode whose ticks follow each other. The paper-style return is that of
``v_x + bonus - effort |u|^2`` over every period, told per 1000 of them: ``v_x`` is the displacement of the base along x
over the period (`mbmf learn` takes the velocity of the centre of mass at its end instead), ``u`` the action that was
applied. A period that begins on the ground counts as 0. Time on the ground is time, for the mean speed as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from mbmf_ros.robots.spec import ForwardReward

POLICY, MPC = "forward (policy)", "forward"
PERIODS = 1000  # the return is told for so many

SUMMARISED = (
    *("mean_speed_mps", "distance_x_m", "sideways_m", "return_per_1000", "falls", "share_policy", "share_mpc"),
    *("late", "late_share", "plan_ms_p50", "plan_ms_p95", "plan_ms_p99"),
)


def analyse(rows: Sequence[Mapping[str, str]], reward: ForwardReward, dt_s: float) -> dict[str, Any]:
    """The numbers of a run.

    Args:
        rows: of its CSV, by episode and tick.
        reward: of the robot's forward task.
        dt_s: control period [s].
    """
    pairs = [(a, b) for a, b in pairwise(rows) if _follows(a, b)]
    n = len(pairs)
    step_x, step_y = (np.array([float(b[axis]) - float(a[axis]) for a, b in pairs]) for axis in ("x_m", "y_m"))
    effort = np.array([float(b["effort"]) for _, b in pairs])
    upright = np.array([a["status"] != "fallen" for a, _ in pairs], dtype=bool)
    rewards = np.where(upright, step_x / dt_s + reward.bonus - reward.effort * effort, 0.0)
    tasks = [a["task"] for a, _ in pairs]
    awaited = [b for a, b in pairs if a["status"] == b["status"] == "active"]
    late = sum(b["source"] in ("plan", "safe") for b in awaited)
    plans_ms = [float(row["plan_ms"]) for row in rows if row["plan_ms"] and row["idle"] == "0"]
    fallen = [row["status"] == "fallen" for row in rows]
    facts = {
        "robot_time_s": n * dt_s,
        "periods": n,
        "distance_x_m": float(step_x.sum()),
        "sideways_m": float(step_y.sum()),
        "mean_speed_mps": float(step_x.sum() / (n * dt_s)) if n else None,
        "return_per_1000": PERIODS * float(rewards.mean()) if n else None,
        "falls": sum(now and not before for before, now in pairwise(fallen)),
        "episodes": len({row["episode"] for row in rows}),
        "share_policy": _share(tasks.count(POLICY), n),
        "share_mpc": _share(tasks.count(MPC), n),
        "deadlines": len(awaited),
        "late": late,
        "late_share": _share(late, len(awaited)),
        **{f"plan_ms_p{p}": float(np.percentile(plans_ms, p)) if plans_ms else None for p in (50, 95, 99)},
    }
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in facts.items()}


def summarise(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and sample standard deviation over the runs of one controller; the latter needs two."""
    row: dict[str, Any] = {"runs": len(runs), "robot_time_s": round(sum(run["robot_time_s"] for run in runs), 3)}
    for name in SUMMARISED:
        values = [run[name] for run in runs if run[name] is not None]
        row[f"{name}_mean"] = round(float(np.mean(values)), 4) if values else None
        row[f"{name}_std"] = round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
    return row


def table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table, a row per controller: means, and ± their standard deviations over runs where they are known."""
    columns = {
        "speed [m/s]": ("mean_speed_mps", 1, 2),
        "distance along x [m]": ("distance_x_m", 1, 1),
        "return per 1000 periods": ("return_per_1000", 1, 0),
        "falls per run": ("falls", 1, 1),
        "by policy [%]": ("share_policy", 100, 1),
        "by MPC [%]": ("share_mpc", 100, 1),
        "plan p50 [ms]": ("plan_ms_p50", 1, 2),
        "p95 [ms]": ("plan_ms_p95", 1, 2),
        "p99 [ms]": ("plan_ms_p99", 1, 2),
        "late [%]": ("late_share", 100, 2),
    }
    lines = ["| controller | runs | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
    for controller, row in summaries.items():
        cells = [_cell(row[f"{name}_mean"], row[f"{name}_std"], *shown) for name, *shown in columns.values()]
        lines.append(f"| {controller} | {row['runs']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(mean: float | None, std: float | None, unit: float, digits: int) -> str:
    if mean is None:
        return ""
    return f"{unit * mean:.{digits}f}" + (f" ± {unit * std:.{digits}f}" if std is not None else "")


def _follows(a: Mapping[str, str], b: Mapping[str, str]) -> bool:
    return a["episode"] == b["episode"] and int(b["tick"]) == int(a["tick"]) + 1


def _share(part: int, of: int) -> float | None:
    return part / of if of else None
