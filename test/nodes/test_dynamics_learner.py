"""The dynamics learner over real ROS: a fake bridge publishes recorded motion."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosbags.rosbag2 import Reader
from std_srvs.srv import SetBool, Trigger

from mbmf_ros.data import mcap
from mbmf_ros.data.collect import CollectConfig, collect_random
from mbmf_ros.data.read_log import read_log
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.dataset import make_dataset
from mbmf_ros.dynamics.io import ModelInfo, layout_hash, load_model, model_from_bytes, save_model
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import LearnerStatus, Model, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles, fill_state
from mbmf_ros.nodes.dynamics_learner import DynamicsLearner
from mbmf_ros.nodes.run_folder import RUN_VARIABLE
from mbmf_ros.nodes.runtime import ERROR, WARN
from mbmf_ros.robots import robot

pytestmark = pytest.mark.ros
SPEC = robot("ant")
DOMAIN = 1 + os.getpid() % 100
SMALL = {
    "min_transitions": 500,
    "dynamics.members": 2,
    "dynamics.hidden": 32,
    "training.min_updates": 300,
    "training.epochs": 1,
    "training.batch_size": 64,
}


class Bridge(Node):
    """Publishes states, and remembers what the learner publishes."""

    def __init__(self, context: rclpy.Context, executor: SingleThreadedExecutor):
        super().__init__("bridge", context=context)
        self.spinner = executor
        executor.add_node(self)
        self.models: list[Model] = []
        self.statuses: list[LearnerStatus] = []
        self.diagnoses: list[Any] = []
        self.publisher = self.create_publisher(RobotState, "state", qos.STATE_PUB)
        self.create_subscription(Model, "model", self.models.append, qos.LATCHED)
        self.create_subscription(LearnerStatus, "dynamics_learner/status", self.statuses.append, qos.LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", lambda m: self.diagnoses.extend(m.status), 10)

    @property
    def status(self) -> LearnerStatus:
        return self.statuses[-1] if self.statuses else LearnerStatus()

    def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Spin until something is so."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"not within {timeout_s} s; last status: {self.status}"
            self.spinner.spin_once(timeout_sec=0.1)

    def connect(self) -> None:
        self.until(lambda: self.publisher.get_subscription_count() > 0 and bool(self.statuses))

    def publish(self, store: TransitionStore, first_episode: int = 0) -> int:
        """Publish all episodes; returns how many transitions they are."""
        for number, episode in enumerate(store.episodes):
            for tick, m in enumerate(episode.measurements):
                self.publisher.publish(
                    state(m, episode.actions[tick - 1] if tick else None, first_episode + number, tick)
                )
            self.spinner.spin_once(timeout_sec=0)
        return store.transitions

    def call(self, kind: Any, name: str, request: Any = None) -> Any:
        client = self.create_client(kind, f"dynamics_learner/{name}")
        self.until(client.service_is_ready)
        future = client.call_async(request or kind.Request())
        self.until(future.done)
        self.destroy_client(client)
        return future.result()


def state(m: np.ndarray, action: np.ndarray | None, episode: int, tick: int) -> RobotState:
    message = fill_state(RobotState(episode=episode, tick=tick), m, SPEC)
    nanoseconds = round(tick * SPEC.dt_s * 1e9)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(nanoseconds, 10**9)
    if action is not None:
        message.applied_action = doubles(action)
        message.action_source = RobotState.SOURCE_CONTROLLER
    return message


def values(diagnosis: DiagnosticStatus) -> list[tuple[str, str]]:
    return [(pair.key, pair.value) for pair in diagnosis.values]


@pytest.fixture
def context() -> Iterator[rclpy.Context]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def executor(context: rclpy.Context) -> Iterator[SingleThreadedExecutor]:
    executor = SingleThreadedExecutor(context=context)
    yield executor
    executor.shutdown()


@pytest.fixture
def bridge(context: rclpy.Context, executor: SingleThreadedExecutor) -> Iterator[Bridge]:
    node = Bridge(context, executor)
    yield node
    node.destroy_node()


@pytest.fixture
def learner(context: rclpy.Context, executor: SingleThreadedExecutor, tmp_path: Path) -> Iterator[Callable]:
    """Makes a learner that logs into ``tmp_path / "log"``; keyword arguments are parameters."""
    nodes = []

    def make(**parameters: Any) -> DynamicsLearner:
        values = {"log_dir": str(tmp_path / "log"), "model_path": "", "save_path": str(tmp_path / "saved.safetensors")}
        values |= SMALL | parameters
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        node = DynamicsLearner(context=context, parameter_overrides=overrides)
        executor.add_node(node)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.fixture(scope="module")
def store() -> TransitionStore:
    return collect_random(SPEC, 800, seed=0, config=CollectConfig(episode_steps=50), threads=1)


@pytest.fixture(scope="module")
def model_file(store: TransitionStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model, which any trained one beats."""
    model = Dynamics(SPEC, DynamicsConfig(members=1, hidden=8))
    data = make_dataset(store, model.profile)
    model.set_statistics(data.inputs, data.outputs)
    path = tmp_path_factory.mktemp("model") / "untrained.safetensors"
    save_model(path, model, ModelInfo("ant", "body", layout_hash(model), 7, 1.0, 2.0, 10))
    return path


def test_every_state_is_logged_and_counted(bridge: Bridge, learner: Callable, store: TransitionStore, tmp_path: Path):
    node = learner()
    bridge.connect()
    count = bridge.publish(store)
    bad = state(store.episodes[0].measurements[0], None, 99, 0)
    bad.joint_position = doubles(np.full(8, np.nan))
    bridge.publisher.publish(bad)
    bridge.until(lambda: bridge.status.rejected == 1)
    assert bridge.status.logged == count
    bridge.until(
        lambda: any(found.level == WARN and "not all numbers are finite" in found.message for found in bridge.diagnoses)
    )
    node.destroy_node()
    contents = read_log(tmp_path / "log", SPEC)
    assert (contents.messages, contents.rejected) == (count + len(store.episodes) + 1, 1)
    assert len(contents.store.episodes) == len(store.episodes)
    for logged, published in zip(contents.store.episodes, store.episodes, strict=True):
        np.testing.assert_array_equal(logged.measurements, published.measurements)
        np.testing.assert_array_equal(logged.actions, published.actions)
    with Reader(tmp_path / "log") as reader:
        assert reader.message_count == contents.messages
        assert reader.connections[0].topic == "/state"


def test_it_trains_on_request_and_goes_on_logging(
    bridge: Bridge, learner: Callable, store: TransitionStore, model_file: Path
):
    learner(model_path=str(model_file))
    bridge.connect()
    bridge.until(lambda: len(bridge.models) == 1)
    assert (bridge.models[0].version, bridge.models[0].transitions) == (1, 7)
    assert bytes(bridge.models[0].weights) == model_file.read_bytes()

    few = bridge.call(Trigger, "train")
    assert not few.success
    assert "0 transitions in motion are too few" in few.message

    count = bridge.publish(store)
    bridge.until(lambda: bridge.status.logged == count)
    answer = bridge.call(Trigger, "train")
    assert answer.success, answer.message
    again = bridge.call(Trigger, "train")
    assert not again.success
    assert "under way" in again.message
    bridge.publish(store, first_episode=1000)
    bridge.until(lambda: bridge.status.logged == 2 * count)
    assert len(bridge.models) == 1, "the states were logged only after the training"
    assert bridge.status.state == LearnerStatus.STATE_TRAINING
    bridge.until(lambda: len(bridge.models) == 2)
    bridge.until(lambda: bridge.status.state == LearnerStatus.STATE_IDLE)

    message = bridge.models[1]
    model, info = model_from_bytes(bytes(message.weights), SPEC)
    assert message.version == bridge.status.model_version == 2
    assert (message.robot, message.profile, message.layout_hash) == ("ant", "body", layout_hash(model))
    assert (model.config.members, model.config.hidden) == (2, 32)
    assert 0 < info.transitions == message.transitions == bridge.status.model_transitions < count
    assert 0 < message.one_step_error == info.one_step_error < 1
    assert "accepted" in bridge.status.message


def test_save_load_and_pause(
    bridge: Bridge, learner: Callable, store: TransitionStore, model_file: Path, tmp_path: Path
):
    learner(model_path=str(model_file))
    bridge.connect()
    saved = tmp_path / "saved.safetensors"
    assert bridge.call(Trigger, "save").success
    assert load_model(saved, SPEC)[1].transitions == 7
    assert bridge.call(Trigger, "load").success
    bridge.until(lambda: [model.version for model in bridge.models][-1:] == [2])
    saved.write_bytes(saved.read_bytes()[:-100])
    torn = bridge.call(Trigger, "load")
    assert not torn.success
    assert str(saved) in torn.message
    bridge.until(lambda: bridge.status.model_version == 2)

    assert bridge.call(SetBool, "set_paused", SetBool.Request(data=True)).success
    bridge.until(lambda: bridge.status.state == LearnerStatus.STATE_PAUSED)
    bridge.publish(store.head(20))
    bridge.until(lambda: any(("states while paused", "21") in values(found) for found in bridge.diagnoses))
    assert bridge.call(SetBool, "set_paused", SetBool.Request(data=False)).success
    count = bridge.publish(store.head(30), first_episode=500)
    bridge.until(lambda: bridge.status.logged >= count)
    assert bridge.status.logged == count


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


def test_stopping_ends_the_worker(bridge: Bridge, learner: Callable, store: TransitionStore):
    node = learner(**{"training.min_updates": 10_000_000})
    bridge.connect()
    count = bridge.publish(store)
    bridge.until(lambda: bridge.status.logged == count)
    assert bridge.call(Trigger, "train").success
    bridge.until(lambda: bridge.status.progress > 0)  # it is well under way
    assert node.worker_pid is not None
    pid = node.worker_pid
    assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
    node.destroy_node()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"model_path": "missing.safetensors"}, r"cannot read the model missing\.safetensors"),
        ({"base_data": "missing.safetensors"}, r"base_data: there is no file missing\.safetensors"),
        ({"robot": "atn"}, "did you mean 'ant'"),
        ({"training.epoch": 3}, r"training\.epochs"),
    ],
)
def test_bad_parameters_are_named(learner: Callable, parameters: dict[str, Any], said: str, tmp_path: Path):
    with pytest.raises(MbmfError, match=said):
        learner(**parameters)
    assert not (tmp_path / "log").exists()


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
