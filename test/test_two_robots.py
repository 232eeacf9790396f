"""Two robots side by side in one ROS domain, each on its own path: nobody hears the other."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mbmf_ros.dynamics.io import default_model_path
from mbmf_ros.robots import robot

HAVE_ROS = importlib.util.find_spec("rclpy") is not None and importlib.util.find_spec("mbmf_ros.msg") is not None
PATHS = {"a": [[1.5, 0.5]], "b": [[1.5, -0.5], [2.0, 0.0]]}
SHARED = {"/clock", "/diagnostics", "/parameter_events", "/rosout"}

pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(not HAVE_ROS, reason="ROS 2 or the built messages are not there: `make setup`"),
    pytest.mark.skipif(not default_model_path(robot("ant")).is_file(), reason="no model is shipped"),
]


@pytest.fixture
def domain(monkeypatch) -> int:
    number = 101 + os.getpid() % 100  # not that of other tests of this process, whose nodes may still be heard of
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    return number


@pytest.fixture
def robots(tmp_path, monkeypatch, domain):
    """Both robots, under way, in lock-step; and where each writes its results."""
    monkeypatch.setenv("HOME", str(tmp_path))
    params = tmp_path / "params.yaml"
    # Slower than usual: at 1 m/s one path in a hundred ends in a fall.
    params.write_text("/**/mpc_controller:\n  ros__parameters:\n    follow_path: {speed_cap_mps: 0.5}\n")
    started: dict[str, tuple[subprocess.Popen[str], Path]] = {}
    for name, waypoints in PATHS.items():
        paths, out = tmp_path / f"{name}.json", tmp_path / f"{name}_out.json"
        paths.write_text(json.dumps({name: waypoints}))
        words = [sys.executable, "-m", "mbmf_ros.cli", "up", "ant_sim", "--namespace", name, "--headless"]
        words += ["--paths", str(paths), "--json", str(out), "--record", "none", "--seed", str(len(started))]
        words += ["--sync-mode", "True", "--real-time-factor", "0", "--up-timeout-s", "120"]
        words += ["--params-file", str(params)]
        if name == "b":  # /clock is everybody's, and there is one
            words += ["--publish-clock", "False", "--no-use-sim-time"]
        with out.with_suffix(".log").open("w") as said:
            started[name] = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT, text=True), out
    yield started
    for process, _ in started.values():
        if process.poll() is None:
            process.kill()  # its nodes go with it
        process.wait()


class Listener:
    """Sees the whole domain, and where each robot says that it is."""

    def __init__(self, domain: int):
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        from mbmf_ros.msg import RobotState
        from mbmf_ros.nodes import qos

        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("listener", context=self.context, start_parameter_services=False)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.ys: dict[str, list[float]] = {name: [] for name in PATHS}
        for name, ys in self.ys.items():
            heard = lambda message, ys=ys: ys.append(message.pose.position.y)  # noqa: E731
            self.node.create_subscription(RobotState, f"/{name}/state", heard, qos.STATE_ALL)

    def strangers(self) -> set[str]:
        """Who speaks or listens on a topic of a robot that it is no part of."""
        found = set()
        for topic, _ in self.node.get_topic_names_and_types():
            home = topic.split("/")[1]
            ends = [
                *self.node.get_publishers_info_by_topic(topic),
                *self.node.get_subscriptions_info_by_topic(topic),
            ]
            for end in ends:
                at_home = home in PATHS and end.node_namespace == f"/{home}"
                if not (at_home or topic in SHARED or end.node_name in ("listener", "_NODE_NAME_UNKNOWN_")):
                    found.add(f"{end.node_namespace}/{end.node_name} on {topic}")
        return found

    def close(self) -> None:
        import rclpy

        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def test_each_walks_its_own_path_and_hears_nobody_else(robots, domain):
    listener = Listener(domain)
    strangers: set[str] = set()
    complete = False
    deadline = time.monotonic() + 240
    while any(process.poll() is None for process, _ in robots.values()) and time.monotonic() < deadline:
        listener.executor.spin_once(timeout_sec=0.05)
        if not complete and all(len(ys) > 20 for ys in listener.ys.values()):
            complete = True  # everybody is up and both walk: discovery is done
            strangers = listener.strangers()
    ys = listener.ys
    listener.close()
    for name, (process, out) in robots.items():
        assert process.poll() == 0, out.with_suffix(".log").read_text()
        (row,) = json.loads(out.read_text())["runs"]
        assert row["path"] == name
        assert row["success"]
        assert row["deadlines_missed"] == 0
    assert complete
    assert not strangers
    assert max(ys["a"]) > 0.3 > max(ys["b"])
    assert min(ys["b"]) < -0.25 < min(ys["a"])
