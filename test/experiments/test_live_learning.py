"""The live experiment: what its numbers mean, and a short run of the real graph."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mbmf_ros.experiments import plot_live_learning
from mbmf_ros.experiments.live_analysis import WALKING_S, analyse, back_after, walks_from

ROS = importlib.util.find_spec("rclpy") is not None and importlib.util.find_spec("mbmf_ros.msg") is not None


def row(second: int, error_m: float | None, progress_m: float = 0.0, **changes: Any) -> dict[str, str]:
    """What the client writes for one simulated second."""
    values: dict[str, Any] = dict.fromkeys(
        ("late", "fell", "training", "refused", "changed", "changes", "kept", "memory_mb", "bridge_late", "disturbed"),
        0,
    )
    values |= {"sim_s": second, "episode": 1, "task": "explore" if error_m is None else "follow_path", "ticks": 20}
    values |= {"version": int(error_m is not None), "models": 1, "accepted": 1, "surprise": 1.0, "plan_ms_max": 12.0}
    values |= {"cross_track_mean_m": error_m, "cross_track_max_m": error_m, "progress_m": progress_m, **changes}
    return {name: "" if value is None else str(value) for name, value in values.items()}


def walk(first: int, last: int, error_m: float = 0.1) -> list[dict[str, str]]:
    return [row(second, error_m, 0.5 * second) for second in range(first, last)]


def test_it_walks_from_the_end_of_the_first_half_minute_on_the_path():
    exploring = [row(second, None) for second in range(100)]
    assert walks_from(exploring) is None
    assert walks_from([*exploring, *walk(100, 200)]) == 100 + WALKING_S
    off = [row(110, 0.4, 55.0)]
    assert walks_from([*exploring, *walk(100, 110), *off, *walk(111, 200)]) == 111 + WALKING_S
    fall = [row(110, 0.1, 55.0, fell=1)]
    assert walks_from([*exploring, *walk(100, 110), *fall, *walk(111, 200)]) == 111 + WALKING_S
    standing = [row(second, 0.1, 1.0) for second in range(100, 200)]
    assert walks_from([*exploring, *standing]) is None


def test_it_is_back_from_when_it_stays_on_its_path():
    assert back_after(walk(0, 300), 100) == 0.0
    assert back_after([*walk(0, 120), *walk(120, 140, 2.0), *walk(140, 300)], 100) == pytest.approx(49.0, abs=1)
    assert back_after([*walk(0, 120), *walk(120, 300, 2.0)], 100) is None
    assert back_after([*walk(0, 150), row(150, 0.1, 75.0, fell=1), *walk(151, 300)], 100) == 51.0
    assert back_after([*walk(0, 150), *[row(s, None) for s in range(150, 300)]], 100) is None, "it does not follow"
    assert back_after(walk(0, 50), 100) is None


def test_the_numbers_of_a_run():
    noticed = [row(second, 0.2, 0.5 * second, changed=1, changes=1, late=1) for second in range(110, 115)]
    rows = [*[row(s, None, fell=int(s == 7)) for s in range(60)], *walk(60, 110), *noticed, *walk(115, 200)]
    facts = analyse(rows, weaken_s=100)
    assert (facts["first_model_s"], facts["walks_from_s"], facts["back_after_s"]) == (60, 90.0, 0.0)
    assert (facts["change_noticed_after_s"], facts["false_alarms"]) == (10.0, 0)
    assert (facts["falls_healthy"], facts["falls_following"]) == (1, 0)
    assert (facts["deadlines"], facts["deadlines_missed"], facts["simulated_s"]) == (140 * 20, 5, 200)
    assert (facts["missed_share_training"], facts["missed_share_otherwise"]) == (
        None,
        pytest.approx(5 / 2800, abs=1e-5),
    )
    assert facts["versions_grow"]
    json.dumps(facts)


@pytest.mark.ros
@pytest.mark.skipif(not ROS, reason="needs ROS 2 and the built messages")
def test_a_short_run_of_the_whole_graph(tmp_path: Path):
    parameters = tmp_path / "small.yaml"
    parameters.write_text(
        "/**/dynamics_learner:\n  ros__parameters:\n"
        "    continual: {first_train: 100, first_updates: 20}\n    dynamics: {hidden: 16, members: 1}\n"
    )
    command = [sys.executable, "-m", "mbmf_ros.experiments.live_learning", "--out", str(tmp_path), "--seed", "3"]
    command += ["--weaken-s", "12", "--after-s", "4", "--lock-step", "--params-file", str(parameters)]
    environment = os.environ | {"ROS_DOMAIN_ID": str(1 + os.getpid() % 100), "ROS_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    facts = json.loads((tmp_path / "seed_3.json").read_text())
    with (tmp_path / "seed_3.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert facts["motor"] == "hip_2"
    assert facts["simulated_s"] == len(rows) == 16
    assert facts["versions_grow"]
    known = [row["task"] for row in rows if row["task"]]  # statistics may not have come before the first second ended
    assert known[0] == "explore"
    assert [r["disturbed"] for r in (rows[5], rows[-1])] == ["0", "1"]
    assert facts["seconds_training"] + facts["models"] > 0, "no training began by itself"
    assert "motor_strength" in done.stdout
    assert (tmp_path / "live_learning.csv").is_file()
    plot_live_learning.main(tmp_path)
    assert (tmp_path / "live_learning.png").stat().st_size > 10_000
