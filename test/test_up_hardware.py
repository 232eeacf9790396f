"""``mbmf up`` with a stand-in behind the hardware bridge: what it runs, bad input, and paths end to end."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mbmf_ros import up
from mbmf_ros.config import load_yaml
from mbmf_ros.dynamics.io import default_model_path
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot
from mbmf_ros.shared_files import shared_file
from mbmf_ros.up import UpConfig, plan

HAVE_ROS = importlib.util.find_spec("rclpy") is not None and importlib.util.find_spec("mbmf_ros.msg") is not None
PATHS = {"ahead": [[1.2, 0.0]], "aside": [[0.8, 0.8]]}
# The robot waits for nobody. So that a busy computer does not fail what is not tested here: a quick plan, patience with
# late messages and answers, little time lost by holding, and a speed at which the ant does not fall now and then.
UNHURRIED = {"rate": 50.0, "max_age": 0.3}
PATIENT = {"ramp": 0.2, "command_timeout_periods": 10}
PARAMETERS = """
/**/mpc_controller:
  ros__parameters:
    icem: {batch_size: 64, time_steps: 12}
    follow_path: {speed_cap_mps: 0.6}
"""


@pytest.fixture
def paths(tmp_path) -> Path:
    file = tmp_path / "paths.json"
    file.write_text(json.dumps(PATHS))
    return file


@pytest.fixture
def robot_file(tmp_path) -> Path:
    content = load_yaml(shared_file("config", "hardware", "ant_stand_in.yaml"))
    for name in ("joint_states", "imu", "pose"):
        content[name] |= UNHURRIED
    file = tmp_path / "robot.yaml"
    file.write_text(yaml.safe_dump(content | {"safety": PATIENT}))
    return file


def test_the_client_knows_what_it_walks_on(monkeypatch, paths):
    monkeypatch.setattr(up, "_check_ros", lambda: None)
    config = UpConfig(graph="hardware", config="ant_stand_in", stand_in=True, paths=paths, headless=True)
    commands = {command.name: command for command in plan(config)[0]}
    what = json.loads(commands["paths"].argv[3])
    assert (what["robot"], what["bridge"]) == ("ant", "hardware")
    assert {"hardware_bridge", "hardware_stand_in"} <= set(what["nodes"])
    simulated = {command.name: command for command in plan(UpConfig(paths=paths, headless=True))[0]}
    assert json.loads(simulated["paths"].argv[3])["bridge"] == "sim"


def test_paths_need_a_robot_that_can_be_put_back(monkeypatch, paths):
    monkeypatch.setattr(up, "_check_ros", lambda: None)
    with pytest.raises(MbmfError, match="nobody can put a real robot back"):
        plan(UpConfig(graph="hardware", config="ant_stand_in", paths=paths))


@pytest.mark.ros
@pytest.mark.skipif(not HAVE_ROS, reason="ROS 2 or the built messages are not there: `make setup`")
@pytest.mark.skipif(not default_model_path(robot("ant")).is_file(), reason="no model is shipped")
@pytest.mark.parametrize("words", [["hardware", "--robot", "ant"], ["ant_sim", "--bridge", "hardware"]])
def test_the_robot_behind_the_topics_walks_paths(tmp_path, paths, robot_file, words):
    out, params = tmp_path / "out.json", tmp_path / "params.yaml"
    params.write_text(PARAMETERS)
    command = [sys.executable, "-m", "mbmf_ros.cli", "up", *words, "--config", str(robot_file), "--stand-in"]
    command += ["--headless", "--record", "none", "--paths", str(paths), "--json", str(out)]
    command += ["--params-file", str(params), "--namespace", "robot1"]
    domain = str(1 + os.getpid() % 100)
    environment = {**os.environ, "HOME": str(tmp_path), "ROS_DOMAIN_ID": domain}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(out.read_text())["runs"]
    assert [row["path"] for row in rows] == list(PATHS)
    assert all(row["success"] for row in rows)
    assert "Traceback" not in done.stdout + done.stderr
