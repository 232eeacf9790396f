"""A policy and the MPC drive by turns: what the numbers mean, and a short run of the real graph."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_policies
import pytest

from mbmf_ros.experiments.drive_analysis import MPC, POLICY, analyse, summarise, table
from mbmf_ros.robots import robot

ROS = importlib.util.find_spec("rclpy") is not None and importlib.util.find_spec("mbmf_ros.msg") is not None
ANT = robot("ant")


def row(tick: int, x_m: float, episode: int = 2, **changes: Any) -> dict[str, str]:
    """What the client writes for one control step."""
    values = {"t_s": 0.05 * tick, "episode": episode, "tick": tick, "x_m": x_m, "y_m": 0.0, "status": "active"}
    values |= {"source": "controller", "effort": 2.0, "task": POLICY, "idle": 0, "plan_ms": 3.0, **changes}
    return {name: str(value) for name, value in values.items()}


def numbers(rows: list[dict[str, str]]) -> dict[str, Any]:
    assert ANT.forward is not None
    return analyse(rows, ANT.forward, ANT.dt_s)


def test_speed_and_return_of_an_even_walk():
    facts = numbers([row(tick, 0.075 * tick) for tick in range(101)])
    assert (facts["robot_time_s"], facts["distance_x_m"], facts["mean_speed_mps"]) == (5.0, 7.5, 1.5)
    assert facts["return_per_1000"] == pytest.approx(1000 * (1.5 + 0.05 - 0.005 * 2.0))
    assert (facts["falls"], facts["episodes"], facts["late"], facts["share_policy"]) == (0, 1, 0, 1.0)


def test_a_fall_earns_nothing_takes_time_and_the_way_back_is_no_distance():
    walk = [row(tick, 0.1 * tick) for tick in range(11)]
    ground = [row(tick, 1.0, status="fallen", source="safe") for tick in range(11, 31)]
    again = [row(tick, 0.1 * tick, episode=3) for tick in range(11)]
    facts = numbers([*walk, *ground, *again])
    assert (facts["falls"], facts["episodes"], facts["periods"]) == (1, 2, 40)
    assert facts["distance_x_m"] == pytest.approx(2.0)
    assert facts["mean_speed_mps"] == pytest.approx(2.0 / 2.0)
    still = 0.05 - 0.01  # the period in which it fell
    assert facts["return_per_1000"] == pytest.approx(1000 * (20 * (2.0 + still) + still) / 40)
    assert (facts["deadlines"], facts["late"]) == (20, 0), "nobody waits for an answer to a robot on the ground"


def test_who_answered_and_who_was_late():
    others = [row(1, 0.1, task=MPC, plan_ms=13.0), row(2, 0.2, task="", idle="", plan_ms="")]
    facts = numbers([row(0, 0.0), *others, row(3, 0.3, source="plan"), row(4, 0.4, idle=1, plan_ms=99.0)])
    assert (facts["share_policy"], facts["share_mpc"]) == (0.5, 0.25)
    assert (facts["late"], facts["late_share"]) == (1, 0.25)
    assert facts["plan_ms_p50"] == 3.0
    assert facts["plan_ms_p99"] < 13.0, "an idle answer is no plan"


def test_a_summary_needs_two_runs_for_a_spread():
    slow, fast = (numbers([row(tick, speed * 0.05 * tick) for tick in range(11)]) for speed in (1.0, 2.0))
    both, one = summarise([slow, fast]), summarise([slow])
    assert (both["mean_speed_mps_mean"], both["mean_speed_mps_std"]) == (1.5, pytest.approx(0.7071))
    assert (one["runs"], one["mean_speed_mps_mean"], one["mean_speed_mps_std"]) == (1, 1.0, None)
    lines = table({"policy": both, "mpc": one}).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "| 1.50 ± 0.71 |" in lines[2]
    assert "| 1.00 |" in lines[3]


@pytest.mark.ros
@pytest.mark.skipif(not ROS, reason="needs ROS 2 and the built messages")
def test_a_short_run_of_the_whole_graph(tmp_path: Path):
    policy, out = made_policies.written(tmp_path), tmp_path / "results"
    command = [sys.executable, "-m", "mbmf_ros.experiments.policy_drive", "--policy", str(policy), "--out", str(out)]
    command += ["--seconds", "4", "--repeats", "1"]
    environment = {"ROS_DOMAIN_ID": str(1 + os.getpid() % 100)} | os.environ | {"ROS_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    runs = {name: json.loads((out / f"{name}_0.json").read_text()) for name in ("policy", "mpc")}
    for name, facts in runs.items():
        assert facts["periods"] == pytest.approx(80, abs=2), name
        with (out / f"{name}_0.csv").open() as file:
            first = next(csv.DictReader(file))
        assert (first["t_s"], first["tick"], first["status"], first["x_m"]) == ("0.000", "0", "active", "0.00000")
    assert runs["policy"]["share_policy"] > 0, "the policy never answered"
    assert runs["mpc"]["share_policy"] == 0
    assert runs["mpc"]["share_mpc"] > 0.5
    with (out / "summary.csv").open() as file:
        assert [line["controller"] for line in csv.DictReader(file)] == ["policy", "mpc"]
    assert "| mpc | 1 |" in done.stdout
