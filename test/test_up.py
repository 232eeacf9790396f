"""``mbmf up``: what it runs, bad input, and the whole graph end to end."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_policies import written
from node_processes import ended, node_processes

from mbmf_ros import up
from mbmf_ros.deployment import discovery_environment
from mbmf_ros.errors import MbmfError
from mbmf_ros.supervisor import Command
from mbmf_ros.up import UpConfig, plan

HAVE_ROS = importlib.util.find_spec("rclpy") is not None and importlib.util.find_spec("mbmf_ros.msg") is not None
ROW = {
    *("path", "seed", "success", "waypoints", "reached", "cross_track_mean_m", "cross_track_p95_m", "speed_mean_mps"),
    *("fell", "error", "sim_s", "wall_s", "plan_ms_p50", "plan_ms_p99", "deadlines", "deadlines_missed"),
}
PATHS = {"ahead": [[1.5, 0.0]], "bend": [[1.0, 0.5], [1.5, 1.0]]}

with_ros = pytest.mark.skipif(not HAVE_ROS, reason="ROS 2 or the built messages are not there: `make setup`")


@pytest.fixture
def paths(tmp_path) -> Path:
    file = tmp_path / "paths.json"
    file.write_text(json.dumps(PATHS))
    return file


# What it runs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def without_ros(monkeypatch):
    """The plan can be made, and looked at, on a machine without ROS 2."""
    monkeypatch.setattr(up, "_check_ros", lambda: None)


def commands(config: UpConfig) -> dict[str, Command]:
    return {command.name: command for command in plan(config)[0]}


@pytest.mark.usefixtures("without_ros")
def test_each_node_is_a_process_with_its_name_and_parameters():
    bridge = commands(UpConfig(namespace="/lab/robot1", real_time_factor=2.0))["sim_bridge"].argv
    assert bridge[1:3] == ("-m", "mbmf_ros.nodes.sim_bridge")
    after = bridge[bridge.index("--ros-args") :]
    assert "__ns:=/lab/robot1" in after
    assert "__node:=sim_bridge" in after
    assert "real_time_factor:=2.0" in after
    assert any(word.endswith("ant.yaml") for word in after)


@pytest.mark.usefixtures("without_ros")
def test_texts_stay_texts(tmp_path, monkeypatch):
    assert 'port:="8080"' not in commands(UpConfig(cockpit_port=8080))["cockpit"].argv
    assert 'log_dir:=""' in commands(UpConfig(record="none"))["dynamics_learner"].argv
    model = tmp_path / "1e5"
    model.touch()
    monkeypatch.chdir(tmp_path)
    assert f'model_path:="{model}"' in commands(UpConfig(model_path="1e5"))["mpc_controller"].argv


@pytest.mark.usefixtures("without_ros")
def test_nodes_meet_on_this_machine_only_unless_the_user_says_otherwise(monkeypatch):
    name = "ROS_AUTOMATIC_DISCOVERY_RANGE"
    monkeypatch.delenv(name, raising=False)
    environment = commands(UpConfig())["sim_bridge"].environment
    assert environment.items() >= discovery_environment("localhost").items()
    monkeypatch.setenv(name, "SUBNET")
    assert name not in commands(UpConfig())["sim_bridge"].environment


@pytest.mark.usefixtures("without_ros")
def test_walking_paths_leads_and_the_demonstration_is_off(paths):
    running = commands(UpConfig(headless=True, paths=paths))
    assert [name for name, command in running.items() if command.leads] == ["paths"]
    assert "demo:=false" in running["waypoints"].argv
    assert "demo:=true" in commands(UpConfig())["waypoints"].argv


@pytest.mark.usefixtures("without_ros")
def test_without_a_display_one_remark_and_no_rviz(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    running, remarks = plan(UpConfig(rviz=True))
    assert len(remarks) == 1
    assert "RViz" in remarks[0]
    assert all(command.name != "rviz2" for command in running)
    assert len(running) == 6


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('{"a": []}', "path 'a': the path is empty"),
        ('{"a": [[1, NaN]]}', "path 'a': waypoint 0 is not finite"),
        ('{"a": [[0, 0]]}', "every waypoint lies where the robot is"),
        ('{"a": [[1000, 0]]}', "waypoint 0 is 1000 m from"),
        ('{"a": [[1, 2, 3]]}', "expected waypoints as"),
        ('{"a": "b"}', "path 'a': expected"),
        ("{}", "at least one path"),
        ("[", "is not valid JSON"),
    ],
)
def test_bad_paths_are_named_before_anything_starts(tmp_path, text, cause):
    file = tmp_path / "paths.json"
    file.write_text(text)
    with pytest.raises(MbmfError) as caught:
        plan(UpConfig(paths=file))
    assert cause in str(caught.value)


def test_bad_files_are_named_before_anything_starts(tmp_path, paths):
    with pytest.raises(MbmfError, match="cannot read paths from"):
        plan(UpConfig(paths=tmp_path / "nothing.json"))
    with pytest.raises(MbmfError, match="cannot make the folder"):
        plan(UpConfig(paths=paths, json=paths / "below a file" / "out.json"))
    with pytest.raises(MbmfError, match="no results without --paths"):
        plan(UpConfig(json=tmp_path / "out.json"))
    with pytest.raises(MbmfError, match="starts without a model"):
        plan(UpConfig(paths=paths, learn=True))
    with pytest.raises(MbmfError, match="leave --model-path none out"):
        plan(UpConfig(paths=paths, model_path="none"))
    with pytest.raises(MbmfError, match="leave --controller policy out"):
        plan(UpConfig(paths=paths, controller="policy"))
    with pytest.raises(MbmfError, match="did you mean 'ant_sim'"):
        plan(UpConfig(graph="ant_smi"))


def test_without_ros_the_way_out_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MbmfError, match="make setup"):
        plan(UpConfig())


# End to end -----------------------------------------------------------------------------------------------------------


class Up:
    """``run_up`` in a process of its own."""

    CODE = (
        "import json, sys; from pathlib import Path; from mbmf_ros.errors import MbmfError\n"
        "from mbmf_ros.up import UpConfig, run_up\n"
        "fields = json.loads(sys.argv[1]); fields |= {k: Path(fields[k]) for k in ('paths', 'json') if k in fields}\n"
        "sys.exit(run_up(UpConfig(**fields)))"
    )

    def __init__(self, home: Path, **fields):
        domain = str(1 + os.getpid() % 100)
        environment = {**os.environ, "HOME": str(home), "ROS_DOMAIN_ID": domain, "PYTHONUNBUFFERED": "1"}
        fields = {"headless": True, "record": "none", **fields}
        command = [sys.executable, "-c", self.CODE, json.dumps(fields)]
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.out = ""

    def read_until(self, pattern: str) -> str:
        """Output up to the line that matches; fails where it ends without one."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.out += line
            if re.search(pattern, line):
                return line
        raise AssertionError(f"no line matched {pattern!r} in:\n{self.out}")

    def end(self, timeout_s: float = 120.0) -> int:
        rest, _ = self.process.communicate(timeout=timeout_s)
        self.out += rest
        return self.process.returncode

    def nodes(self) -> dict[str, int]:
        """Its node processes: name and pid."""
        return node_processes(self.process.pid)


@pytest.fixture
def start(tmp_path):
    made: list[Up] = []

    def start(**fields) -> Up:
        made.append(Up(tmp_path, **fields))
        return made[-1]

    yield start
    for each in made:
        each.process.kill()
        each.process.wait()


@pytest.mark.ros
@with_ros
def test_it_walks_paths_and_writes_the_results(start, tmp_path, paths):
    out, params = tmp_path / "out.json", tmp_path / "params.yaml"
    # Slower than usual: at 1 m/s one path in a hundred ends in a fall.
    params.write_text("/**/mpc_controller:\n  ros__parameters:\n    follow_path: {speed_cap_mps: 0.5}\n")
    free = {"sync_mode": True, "real_time_factor": 0.0}
    one = start(paths=str(paths), json=str(out), seed=4, namespace="robot1", params_file=str(params), **free)
    code = one.end()
    assert code == 0, one.out
    results = json.loads(out.read_text())
    assert [row["path"] for row in results["runs"]] == list(PATHS)
    for row in results["runs"]:
        assert set(row) == ROW
        assert row["success"]
        assert row["seed"] == 4
        assert row["reached"] == row["waypoints"] == len(PATHS[row["path"]])
        assert row["deadlines_missed"] == 0  # lock-step
        # Simulated time is that of the control steps; one may have been seen and not counted at the very end.
        assert row["sim_s"] == pytest.approx(0.05 * row["deadlines"], abs=0.11)
        assert row["speed_mean_mps"] > 0.3
        assert 0 < row["plan_ms_p50"] <= row["plan_ms_p99"]
        assert math.isfinite(row["cross_track_mean_m"])
    assert results["summary"]["success_rate"] == 1.0


@pytest.mark.ros
@with_ros
def test_a_graph_that_does_not_come_up_says_what_is_missing(start, tmp_path, paths):
    one = start(paths=str(paths), json=str(tmp_path / "out.json"), up_timeout_s=0.5)
    assert one.end() == 3
    assert "did not come up within 0.5 s; still missing" in one.out
    assert "Traceback" not in one.out
    assert json.loads((tmp_path / "out.json").read_text())["runs"] == []


@pytest.mark.ros
@with_ros
def test_a_misspelt_parameter_stops_everything_with_one_message(start, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("/**/sim_bridge:\n  ros__parameters:\n    sync_mod: true\n")
    one = start(params_file=str(params))
    assert one.end() == 2
    assert one.out.count("did you mean 'sync_mode'") == 1
    assert "Traceback" not in one.out


@pytest.mark.ros
@with_ros
def test_a_dead_controller_is_restarted_and_an_interrupt_ends_all_cleanly(start):
    one = start()
    one.read_until("simulating 'ant'")
    nodes = one.nodes()
    assert sorted(nodes) == ["display", "dynamics_learner", "mpc_controller", "sim_bridge", "waypoints"]
    os.kill(nodes["mpc_controller"], signal.SIGKILL)
    one.read_until(r"mpc_controller was killed by SIGKILL \(exit code -9\); restart 1 of 3")
    one.process.send_signal(signal.SIGINT)
    assert one.end() == 0
    assert "Traceback" not in one.out
    assert ended(nodes.values())


@pytest.mark.ros
@with_ros
def test_a_policy_drives_and_hands_over_to_the_mpc(start, tmp_path):
    one = start(controller="policy", policy_path=str(written(tmp_path)))
    one.read_until(r"policy .*policy\.safetensors: forward, 1000 steps of experience")
    one.read_until("the policy does not act, the MPC does: ")  # it sways, further than it was trained to
    nodes = one.nodes()
    one.process.send_signal(signal.SIGINT)
    assert one.end() == 0
    assert "Traceback" not in one.out
    assert ended(nodes.values())


@pytest.mark.ros
@with_ros
def test_nothing_survives_when_it_is_killed(start):
    one = start()
    one.read_until("simulating 'ant'")
    nodes = one.nodes()
    one.process.kill()
    assert ended(nodes.values())
