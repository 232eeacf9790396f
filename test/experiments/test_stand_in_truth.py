"""Runs by where the stand-in really was: what is told, and what a client over ROS hears of it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from mbmf_ros.config import load_yaml
from mbmf_ros.control.follow import to_odom
from mbmf_ros.experiments.stand_in_truth import truly
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement
from mbmf_ros.shared_files import shared_file

ANT = robot("ant")
AHEAD = np.array([[3.0, 0.0]])
HAVE_ROS = importlib.util.find_spec("rclpy") is not None and importlib.util.find_spec("mbmf_ros.msg") is not None


def straight(pose: tuple[float, float, float], aside_m: float) -> np.ndarray:
    """Measurements (T + 1, nm) from ``pose`` on, 3 m ahead in its frame, in the end ``aside_m`` to the left."""
    share = np.linspace(0.0, 1.0, 61)
    places = to_odom(np.stack([3.0 * share, aside_m * share], axis=1), pose)
    return np.array([start_measurement(ANT, pose=(x, y, pose[2])) for x, y in places])


@pytest.mark.parametrize(("aside_m", "success"), [(0.0, True), (0.4, True), (0.6, False)])
def test_who_drifts_away_did_not_truly_arrive(aside_m, success):
    measured = straight((0.0, 0.0, 0.0), 0.0)
    there = truly(ANT, "ahead", 0, AHEAD, measured, straight((5.0, -2.0, 2.0), aside_m))
    assert there["drift_m"] == pytest.approx(aside_m, abs=1e-5)
    assert there["true_success"] is success
    assert there["true_cross_track_mean_m"] == pytest.approx(aside_m / 2, rel=0.05)


def test_a_little_drift_is_no_failure_where_the_odometry_has_just_come_to_the_goal():
    measured = straight((0.0, 0.0, 0.0), 0.0)[:-4]
    assert 0.15 < 3.0 - measured[-1, 0] < ANT.paths.goal_reach_m
    shrunk = measured.copy()
    shrunk[:, 0] *= 0.95  # it is farther from the goal than where a run ends
    there = truly(ANT, "ahead", 0, AHEAD, measured, shrunk)
    assert 3.0 - shrunk[-1, 0] > ANT.paths.goal_reach_m
    assert there["true_success"]
    assert there["true_reached"] == 1
    early = truly(ANT, "ahead", 0, AHEAD, measured[:-8], shrunk[:-8])
    assert not early["true_success"]


@pytest.mark.parametrize("fell", [False, True])
def test_a_fall_at_the_goal_is_no_success(fell):
    measured, truth = straight((0.0, 0.0, 0.0), 0.0), straight((0.0, 0.0, 0.0), 0.0)
    if fell:
        truth[53, 2] = 0.0
    assert truly(ANT, "ahead", 0, AHEAD, measured, truth)["true_success"] is not fell


def test_a_run_that_never_began_has_no_drift():
    here = straight((1.0, 1.0, 1.0), 0.0)[:1]
    there = truly(ANT, "ahead", 0, AHEAD, here, here)
    assert (there["true_success"], there["true_cross_track_mean_m"], there["drift_m"]) == (False, None, 0.0)


@pytest.fixture
def runner(monkeypatch):
    import rclpy

    from mbmf_ros.path_runner import ClientConfig
    from mbmf_ros.stand_in_client import TruthRunner

    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=1 + os.getpid() % 100)
    node = TruthRunner(ClientConfig(paths=""), ANT, context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.ros
@pytest.mark.skipif(not HAVE_ROS, reason="ROS 2 or the built messages are not there: `make setup`")
def test_the_truth_is_that_of_the_steps_of_the_run(runner):
    from nav_msgs.msg import Odometry

    from mbmf_ros.msg import RobotState
    from mbmf_ros.nodes.conversions import fill_state, pose_message

    assert any("hardware_stand_in/truth" in lack for lack in runner.missing())
    for tick in range(8):  # standing until tick 3, and from tick 6 on
        message = Odometry()
        message.pose.pose = pose_message(0.1 * tick + 0.05, 1.0)
        runner._on_truth(message)
        state = fill_state(RobotState(episode=1, tick=tick), start_measurement(ANT, pose=(0.1 * tick, 0.0, 0.0)), ANT)
        runner._on_state(state)
        if tick == 0:
            runner._start_tick = runner.newest
        runner._on_truth(Odometry())  # too late for this state
        runner._on_state(state)  # told again
        runner.matcher.answer(1, tick, 0.02, idle=not 3 <= tick < 6)
    runner.matcher.take()
    trace = runner.trace(3)
    assert not any("hardware_stand_in/truth" in lack for lack in runner.missing())
    assert [pose[0] for pose in trace["measured"]] == pytest.approx([0.0, 0.4, 0.5, 0.6])
    assert [pose[:2] for pose in trace["truth"]] == [pytest.approx([x + 0.05, 1.0]) for x in (0.0, 0.4, 0.5, 0.6)]


@pytest.mark.ros
@pytest.mark.skipif(not HAVE_ROS, reason="ROS 2 or the built messages are not there: `make setup`")
def test_a_row_in_real_time_over_the_whole_graph(tmp_path: Path):
    content = load_yaml(shared_file("config", "hardware", "ant_stand_in.yaml"))
    for name in ("joint_states", "imu", "pose"):
        content[name] |= {"rate": 50.0, "max_age": 0.3}  # a busy computer fails nothing that is tested here
    file = tmp_path / "robot.yaml"
    file.write_text(yaml.safe_dump(content | {"safety": {"ramp": 0.2, "command_timeout_periods": 10}}))
    command = [sys.executable, "-m", "mbmf_ros.experiments.hardware_stand_in", "--ros", "--out", str(tmp_path / "out")]
    command += ["--config", str(file), "--shapes", "straight", "--per-shape", "1"]
    command += ["--delays-ms", "20", "--compensation", "True"]
    environment = {**os.environ, "HOME": str(tmp_path), "ROS_DOMAIN_ID": str(1 + os.getpid() % 100)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (written,) = (tmp_path / "out").glob("*.json")
    assert written.name == "ros_20ms_datasheet_1pct_assumed_10ms.json"
    content = json.loads(written.read_text())
    (row,) = content["runs"]
    assert row["deadlines"] > 20, done.stdout + done.stderr
    assert "trace" not in row
    assert 0 < row["true_cross_track_mean_m"] != row["cross_track_mean_m"]
    assert 0 < row["drift_m"] < 0.5
    assert content["summary"]["drift_mean_m"] == row["drift_m"]
