"""The log and the models that the dynamics learner keeps on disk, for itself and for its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

import rclpy
from learner_bridge import DOMAIN, SPEC, Bridge, state
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import Reader
from std_srvs.srv import Trigger

from mbmf_ros.data import mcap
from mbmf_ros.data.read_log import read_log
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.io import ModelInfo, layout_hash, save_model
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.msg import ControllerStats, LearnerStatus
from mbmf_ros.nodes import dynamics_learner, qos
from mbmf_ros.nodes.conversions import doubles
from mbmf_ros.nodes.dynamics_learner import DynamicsLearner
from mbmf_ros.nodes.runtime import ERROR, WARN
from mbmf_ros.run_folder import RUN_VARIABLE

pytestmark = pytest.mark.ros


def test_every_state_is_logged_and_counted(bridge: Bridge, learner: Callable, store: TransitionStore, tmp_path: Path):
    node = learner()
    bridge.connect()
    count = bridge.publish(store)
    bad = state(store.episodes[0].measurements[0], None, 99, 0)
    bad.joint_position = doubles(np.full(8, np.nan))
    absurd = state(store.episodes[0].measurements[0], None, 99, 0)
    absurd.joint_velocity = doubles(np.full(8, 1e6))
    bridge.publisher.publish(absurd)
    bridge.publisher.publish(bad)
    bridge.until(lambda: bridge.status.rejected == 2)
    assert bridge.status.logged == count
    bridge.until(
        lambda: any(found.level == WARN and "not all numbers are finite" in found.message for found in bridge.diagnoses)
    )
    node.destroy_node()
    contents = read_log(tmp_path / "log", SPEC)
    assert (contents.messages, contents.rejected) == (count + len(store.episodes) + 2, 2)
    assert len(contents.store.episodes) == len(store.episodes)
    for logged, published in zip(contents.store.episodes, store.episodes, strict=True):
        np.testing.assert_array_equal(logged.measurements, published.measurements)
        np.testing.assert_array_equal(logged.actions, published.actions)
    with Reader(tmp_path / "log") as reader:
        assert reader.message_count == contents.messages
        assert reader.connections[0].topic == "/state"


def test_bytes_that_are_no_state_are_counted_and_not_logged(
    bridge: Bridge, learner: Callable, store: TransitionStore, tmp_path: Path
):
    node = learner()
    bridge.connect()
    whole = serialize_message(state(store.episodes[0].measurements[0], None, 0, 0))
    for damaged in (whole[:40], b"", whole[:8] + b"\xff" * 40):
        bridge.publisher.publish(damaged)
    bridge.until(lambda: bridge.status.rejected == 3)
    count = bridge.publish(store)
    bridge.until(lambda: bridge.status.logged == count)
    node.destroy_node()
    assert read_log(tmp_path / "log", SPEC).messages == count + len(store.episodes)


def test_a_learner_that_is_started_again_goes_on_with_its_runs_model_and_a_new_run_begins_anew(
    bridge: Bridge, learner: Callable, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(RUN_VARIABLE, "monday")
    crashed = learner(model_path=str(model_file))
    bridge.connect()
    better = Dynamics(SPEC, DynamicsConfig(members=1, hidden=8), seed=1)
    save_model(tmp_path / "saved.safetensors", better, ModelInfo("ant", "body", layout_hash(better), 9, 1.0, 1.0, 10))
    assert bridge.call(Trigger, "load").success
    assert bridge.call(Trigger, "load").success
    bridge.until(lambda: [model.version for model in bridge.models][-1:] == [3])
    crashed.destroy_node()
    assert [file.name for file in (tmp_path / "log").glob("*.safetensors")] == ["model_monday_v3.safetensors"]
    again = learner(model_path=str(model_file))
    bridge.until(lambda: len(bridge.models) == 4)
    assert (bridge.models[3].version, bridge.models[3].transitions) == (3, 9)
    assert bridge.call(Trigger, "reset").success
    bridge.until(lambda: len(bridge.models) == 5)
    again.destroy_node()
    third = learner(model_path=str(model_file))
    bridge.until(lambda: len(bridge.models) == 6)
    assert [(model.version, model.transitions) for model in bridge.models[4:]] == [(4, 7)] * 2
    third.destroy_node()
    monkeypatch.setenv(RUN_VARIABLE, "tuesday")
    learner(model_path=str(model_file))
    bridge.until(lambda: len(bridge.models) == 7)
    assert (bridge.models[6].version, bridge.models[6].transitions) == (1, 7)


def test_what_was_reset_does_not_come_back_after_a_crash(
    bridge: Bridge, learner: Callable, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(RUN_VARIABLE, "monday")
    crashed = learner()
    bridge.connect()
    (tmp_path / "saved.safetensors").write_bytes(model_file.read_bytes())
    for _ in range(2):
        assert bridge.call(Trigger, "load").success
    assert bridge.call(Trigger, "reset").success
    crashed.destroy_node()
    again = learner()
    assert (again._model, again._version) == (None, 2)
    bridge.until(lambda: "no model yet" in bridge.status.message)
    assert bridge.call(Trigger, "load").success
    bridge.until(lambda: [model.version for model in bridge.models][-1:] == [3])


def test_without_a_log_versions_go_on_from_the_controllers(
    bridge: Bridge, learner: Callable, model_file: Path, tmp_path: Path
):
    stats = bridge.create_publisher(ControllerStats, "mpc_controller/stats", qos.STATS)
    learner(log_dir="", model_path=str(model_file))
    bridge.until(lambda: stats.get_subscription_count() > 0)
    for version in (0, 2**32 - 1, 7):
        stats.publish(ControllerStats(model_version=version))
        bridge.spinner.spin_once(timeout_sec=0.2)
    bridge.until(lambda: [model.version for model in bridge.models][-1:] == [8])
    assert bytes(bridge.models[-1].weights) == model_file.read_bytes()
    stats.publish(ControllerStats(model_version=30))  # it knows by itself now
    bridge.spinner.spin_once(timeout_sec=0.2)
    (tmp_path / "saved.safetensors").write_bytes(model_file.read_bytes())
    assert bridge.call(Trigger, "load").success
    bridge.until(lambda: [model.version for model in bridge.models][-1:] == [9])


def test_states_that_come_while_it_reads_the_log_are_logged(
    bridge: Bridge, learner: Callable, store: TransitionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class SlowRecorder(dynamics_learner.Recorder):
        """Takes its time to read; the robot moves on meanwhile."""

        def __init__(self, *args):
            super().__init__(*args)
            bridge.until(lambda: bridge.publisher.get_subscription_count() > 0)
            bridge.publish(store.head(100))

    monkeypatch.setattr(dynamics_learner, "Recorder", SlowRecorder)
    node = learner()
    bridge.until(lambda: bridge.status.logged == 100)
    node.destroy_node()
    assert read_log(tmp_path / "log", SPEC).store.transitions == 100


def test_robots_in_two_namespaces_keep_their_things_apart(
    context: rclpy.Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ROS_HOME", str(tmp_path))
    monkeypatch.setenv(RUN_VARIABLE, "monday")
    for namespace in ("", "left", "right"):
        overrides = [Parameter("model_path", value="")]
        DynamicsLearner(context=context, namespace=namespace, parameter_overrides=overrides).destroy_node()
    logs = {str(log.parent.relative_to(tmp_path / "mbmf_ros")) for log in tmp_path.rglob("*.mcap")}
    assert logs == {"ant/monday", "left/ant/monday", "right/ant/monday"}


def test_without_a_usable_disk_it_says_so_once_and_learns_all_the_same(
    bridge: Bridge, learner: Callable, store: TransitionStore, tmp_path: Path
):
    (tmp_path / "log").write_text("not a folder")
    learner()
    bridge.connect()
    count = bridge.publish(store.head(50))
    bridge.until(lambda: bridge.status.logged == count)
    bridge.until(lambda: any(found.level == ERROR and "not logging" in found.message for found in bridge.diagnoses))
    assert bridge.status.state == LearnerStatus.STATE_ERROR


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_stopped_or_killed_keeps_its_log(
    bridge: Bridge, store: TransitionStore, tmp_path: Path, how: signal.Signals
):
    command = [sys.executable, "-m", "mbmf_ros.nodes.dynamics_learner", "--ros-args"]
    for name, value in {"log_dir": tmp_path / "log", "model_path": "''"}.items():
        command += ["-p", f"{name}:={value}"]
    with subprocess.Popen(command, env=os.environ | {"ROS_DOMAIN_ID": str(DOMAIN)}) as process:
        try:
            bridge.connect()
            count = bridge.publish(store)
            bridge.until(lambda: bridge.status.logged == count)
            if how == signal.SIGKILL:  # what came more than a second ago is on disk
                bridge.until(lambda: read_log(tmp_path / "log", SPEC).store.transitions == count)
            process.send_signal(how)
            process.wait(30)
        finally:
            process.kill()
    assert process.returncode == (-how if how == signal.SIGKILL else 0)
    assert read_log(tmp_path / "log", SPEC).store.transitions == count
    assert mcap.is_whole(tmp_path / "log" / "log_0.mcap")
