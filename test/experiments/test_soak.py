"""The soak: how growth is judged, what processes need, and a short run of the real graph."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments import plot_soak
from mbmf_ros.experiments.processes import children_of, needs_of
from mbmf_ros.experiments.soak import Soak, main
from mbmf_ros.experiments.soak_analysis import analyse, growth, theil_sen

ROS = importlib.util.find_spec("rclpy") is not None and importlib.util.find_spec("mbmf_ros.msg") is not None
HOUR = np.arange(10.0, 3601.0, 10.0)


def rows(**changes: Any) -> list[dict[str, str]]:
    """An hour of samples of two nodes; ``changes``: functions of time [s] for quantities of the first."""
    found = []
    for t in HOUR:
        for pid, program in enumerate(("bridge", "learner")):
            row = {"t_s": t, "program": program, "pid": pid, "rss_mb": 100.0, "own_mb": 50.0, "threads": 5, "files": 20}
            row["cpu_s"] = 0.2 * t
            if program == "bridge":
                row |= {name: change(t) for name, change in changes.items()}
            found.append({name: str(value) for name, value in row.items()})
        if t % 600 < 60:  # a training comes and goes
            found.append({**found[-1], "program": "learner child", "pid": "9", "rss_mb": "900.0"})
    return found


def traffic(deadlines: int = 60_000, missed: int = 10) -> list[dict[str, str]]:
    """The last of what the client counted."""
    counts = {"deadlines": deadlines, "missed": missed, "paths": 300, "falls": 0, "version": 9}
    return [{name: str(value) for name, value in {"t_s": 300.0, "kept_full": 1, **counts}.items()}]


def verdicts(**changes: Any) -> dict[str, bool]:
    return analyse(rows(**changes), traffic(), 600.0)["verdicts"]


def test_the_line_through_samples_is_not_moved_by_peaks():
    times, noise = np.arange(100.0), np.random.default_rng(0).normal(0.0, 0.1, 100)
    values = 3.0 + 0.5 * times + noise
    values[::10] += 1000.0
    assert theil_sen(times, values) == pytest.approx(0.5, abs=0.01)
    assert np.isnan(theil_sen(times[:1], values[:1]))


def test_growth_is_judged_after_the_first_minutes():
    found = growth(HOUR, 100.0 + np.minimum(HOUR, 500.0), 600.0)
    assert found == {"before": 600.0, "after": 600.0, "by_line": 0.0, "by_quarter": 0.0}
    found = growth(HOUR, 100.0 + 0.01 * HOUR, 600.0)
    assert found["by_line"] == pytest.approx(30.0 / found["before"], rel=1e-6)
    assert 0.7 * found["by_line"] < found["by_quarter"] < found["by_line"]


def test_an_hour_without_growth_passes_whatever_trainings_need():
    facts = analyse(rows(rss_mb=lambda t: 100.0 + min(t, 500.0)), traffic(), 600.0)
    assert all(facts["verdicts"].values()), facts["verdicts"]
    assert facts["memory_growth"] == 0.0
    assert facts["memory_full_s"] == 300.0
    assert not facts["programs"]["learner child"]["judged"]
    assert facts["programs"]["bridge"]["cpu_share"] == pytest.approx(0.2)
    json.dumps(facts)


def test_every_kind_of_growth_is_seen():
    assert not verdicts(rss_mb=lambda t: 100.0 + t / 250)["memory"], "6 % of both over 50 minutes"
    assert verdicts(rss_mb=lambda t: 100.0 + t / 400)["memory"], "less than 5 %"
    assert not verdicts(rss_mb=lambda t: 100.0 + 30.0 * (t > 2500))["memory"], "a step that is no line"
    assert not verdicts(threads=lambda t: 5 + (t > 2500))["threads"]
    assert not verdicts(files=lambda t: 20 + int(t / 100))["files"]
    assert verdicts(files=lambda t: 20 + 5 * (t % 600 == 0))["files"], "opened and closed again"
    assert not verdicts(pid=lambda t: int(t > 2000))["no_restarts"]
    assert not analyse(rows(), traffic(missed=400), 600.0)["verdicts"]["deadlines"]
    assert not analyse(rows(), traffic(deadlines=0, missed=0), 600.0)["verdicts"]["deadlines"], "it did nothing"


def test_what_a_process_needs():
    before = needs_of(os.getpid())
    assert before is not None
    held, enough = np.ones(16_000_000), threading.Event()
    thread = threading.Thread(target=enough.wait)
    thread.start()
    with open(os.devnull, "rb"), subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        after = needs_of(os.getpid())
        assert child.pid in children_of(os.getpid())
        child.communicate()
    enough.set()
    thread.join()
    assert after is not None
    assert after.own_mb - before.own_mb > 100.0, held.shape  # of 122
    assert (after.threads - before.threads, after.files - before.files) == (1, 2)
    assert needs_of(child.pid) is None


def test_a_run_too_short_to_judge_is_refused(tmp_path: Path):
    with pytest.raises(MbmfError, match="at most a third"):
        main(Soak(out=tmp_path, minutes=20.0))


@pytest.mark.ros
@pytest.mark.skipif(not ROS, reason="needs ROS 2 and the built messages")
def test_a_short_run_of_the_whole_graph(tmp_path: Path):
    command = [sys.executable, "-m", "mbmf_ros.experiments.soak", "--out", str(tmp_path), "--minutes", "0.25"]
    command += ["--settle-minutes", "0.08", "--sample-s", "1", "--max-transitions", "100", "--graph", "ant_sim"]
    environment = os.environ | {"ROS_DOMAIN_ID": str(1 + os.getpid() % 100), "ROS_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-3000:]  # a busy computer misses deadlines
    facts = json.loads((tmp_path / "soak.json").read_text())
    assert done.returncode == (0 if all(facts["verdicts"].values()) else 1)
    nodes = {"sim_bridge", "mpc_controller", "dynamics_learner", "waypoints", "display"}
    assert nodes <= set(facts["programs"])
    assert facts["verdicts"]["no_restarts"]
    assert facts["paths"] >= 1
    assert facts["deadlines"] > 50, "the robot did not walk"
    with (tmp_path / "soak.csv").open() as file:
        sampled = {row["program"] for row in csv.DictReader(file)}
    assert nodes | {"soak"} <= sampled
    plot_soak.main(tmp_path)
    assert (tmp_path / "soak.png").stat().st_size > 10_000
