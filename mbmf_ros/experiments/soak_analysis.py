"""What a soak run says: whether something grows that should not.

Growth is judged twice, and the larger of the two counts: by the line through the samples after the first minutes
(Theil-Sen: the median of the slopes of all pairs, so that single peaks do not matter) times their duration, and by the
median of the last quarter of that time over the median of its beginning, which is as long as the first minutes were:
minutes 10 to 20 of an hour. Both are shares of the latter median.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MEMORY_LIMIT = 0.05  # growth after the first minutes, as a share
MISSED_LIMIT = 0.005  # of all deadlines
QUANTITIES = ("rss_mb", "own_mb", "threads", "files")
CHILD = "child"  # in the name of what a node has started, such as a training: it comes and goes
CLIENT = "soak"
TOTAL = "all nodes"


def theil_sen(times: np.ndarray, values: np.ndarray) -> float:
    """The median of the slopes between all pairs of samples; NaN for fewer than two.

    Args:
        times: (n,), growing.
        values: (n,).
    """
    i, j = np.triu_indices(len(times), k=1)
    return float(np.median((values[j] - values[i]) / (times[j] - times[i]))) if len(i) else math.nan


def growth(times: np.ndarray, values: np.ndarray, settle_s: float) -> dict[str, float]:
    """How a quantity grows: medians ``before`` and ``after``, and as shares ``by_line`` and ``by_quarter``.

    Args:
        times: (n,) [s] since the start.
        values: (n,).
        settle_s: what comes before is not judged.
    """
    end_s = float(times[-1])
    late = times >= settle_s
    before = float(np.median(values[late & (times < 2 * settle_s)]))
    after = float(np.median(values[times >= settle_s + 0.75 * (end_s - settle_s)]))
    line = theil_sen(times[late], values[late]) * (end_s - settle_s)
    return {"before": before, "after": after, "by_line": line / before, "by_quarter": after / before - 1}


def series(rows: Sequence[Mapping[str, str]]) -> dict[str, dict[str, np.ndarray]]:
    """Samples by program, as arrays: ``t_s``, ``pid`` and the quantities; all nodes together last."""
    grouped: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        grouped[row["program"]].append(row)
    names = ("t_s", "pid", *QUANTITIES, "cpu_s")
    found = {
        program: {name: np.array([float(row[name]) for row in own]) for name in names}
        for program, own in grouped.items()
    }
    nodes = [one for program, one in found.items() if CHILD not in program and program != CLIENT]
    times = sorted(set.intersection(*[set(one["t_s"]) for one in nodes]))
    total = {name: sum(one[name][np.isin(one["t_s"], times)] for one in nodes) for name in (*QUANTITIES, "cpu_s")}
    return found | {TOTAL: {"t_s": np.array(times), **total}}


def analyse(rows: Sequence[Mapping[str, str]], traffic: Sequence[Mapping[str, str]], settle_s: float) -> dict[str, Any]:
    """The numbers and verdicts of a run.

    Args:
        rows: samples of the processes, as written by :mod:`mbmf_ros.experiments.soak`.
        traffic: what the client counted.
        settle_s: nothing is judged before.
    """
    programs: dict[str, Any] = {}
    for program, one in series(rows).items():
        if program == CLIENT or CHILD in program:
            programs[program] = {"rss_mb_max": float(one["rss_mb"].max()), "samples": len(one["t_s"]), "judged": False}
            continue
        facts: dict[str, Any] = {name: growth(one["t_s"], one[name], settle_s) for name in QUANTITIES}
        facts["cpu_share"] = float((one["cpu_s"][-1] - one["cpu_s"][0]) / (one["t_s"][-1] - one["t_s"][0]))
        facts["judged"] = True
        if "pid" in one:
            facts["starts"] = len(set(one["pid"]))
        programs[program] = facts
    last = traffic[-1]
    deadlines, missed = int(last["deadlines"]), int(last["missed"])
    memory = programs[TOTAL]["rss_mb"]
    nodes = {program: facts for program, facts in programs.items() if facts["judged"] and program != TOTAL}
    grew = {
        name: sorted(p for p, facts in nodes.items() if facts[name]["after"] > facts[name]["before"])
        for name in ("threads", "files")
    }
    share = missed / deadlines if deadlines else math.nan
    verdicts = {
        "memory": max(memory["by_line"], memory["by_quarter"]) < MEMORY_LIMIT,
        "threads": not grew["threads"],
        "files": not grew["files"],
        "deadlines": share < MISSED_LIMIT,
        "no_restarts": all(facts["starts"] == 1 for facts in nodes.values()),
    }
    return {
        "verdicts": verdicts,
        "memory_growth": max(memory["by_line"], memory["by_quarter"]),
        "memory_growth_by_node": {
            program: round(max(facts["rss_mb"]["by_line"], facts["rss_mb"]["by_quarter"]), 4)
            for program, facts in nodes.items()
        },
        "grew": grew,
        "deadlines": deadlines,
        "missed": missed,
        "missed_share": share,
        "paths": int(last["paths"]),
        "falls": int(last["falls"]),
        "models": int(last["version"]),
        "memory_full_s": next((float(row["t_s"]) for row in traffic if row["kept_full"] == "1"), None),
        "programs": programs,
    }
