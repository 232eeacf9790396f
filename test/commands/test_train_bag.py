"""`mbmf train --bag`: learning from what was recorded over ROS, ours and others' recordings alike."""

from __future__ import annotations

import dataclasses
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rosbags.rosbag2 import CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat

from mbmf_ros import cli
from mbmf_ros.commands import train
from mbmf_ros.control import presets
from mbmf_ros.data.bag import STATE_TYPE, state_types
from mbmf_ros.data.collect import CollectConfig, collect_random
from mbmf_ros.data.log import StateLog
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.dynamics.io import load_model
from mbmf_ros.dynamics.training import TrainConfig
from mbmf_ros.robots import robot

SPEC = robot("ant")
TYPES = state_types()
QUICK = ["--members", "1", "--epochs", "1"]


@pytest.fixture(scope="module")
def store() -> TransitionStore:
    return collect_random(SPEC, 900, 0, CollectConfig(), 1)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in; training there is short."""
    monkeypatch.chdir(tmp_path)
    quick = dataclasses.replace(presets.Preset(), training=TrainConfig(min_updates=20, batch_size=32))
    monkeypatch.setattr(presets, "PRESETS", {**presets.PRESETS, "default": quick})
    return tmp_path


def message(m: np.ndarray, action: np.ndarray | None, episode: int, tick: int) -> bytes:
    types: dict[str, Any] = dict(TYPES.types)
    point, quaternion = types["geometry_msgs/msg/Point"], types["geometry_msgs/msg/Quaternion"]
    vector, layout = types["geometry_msgs/msg/Vector3"], SPEC.measurement
    stamp = types["builtin_interfaces/msg/Time"](*divmod(round(tick * SPEC.dt_s * 1e9), 10**9))
    w, x, y, z = m[layout.orientation]
    state = types[STATE_TYPE](
        header=types["std_msgs/msg/Header"](stamp, "odom"),
        robot=SPEC.name,
        episode=episode,
        tick=tick,
        pose=types["geometry_msgs/msg/Pose"](point(*m[:3]), quaternion(x, y, z, w)),
        twist=types["geometry_msgs/msg/Twist"](vector(*m[7:10]), vector(*m[10:13])),
        joint_position=m[layout.joint_position],
        joint_velocity=m[layout.joint_velocity],
        applied_action=np.zeros(0) if action is None else action,
        action_source=0 if action is None else 1,
        pending_action=np.zeros(0),
        status=0,
    )
    return bytes(TYPES.serialize_cdr(state, STATE_TYPE))


def messages(store: TransitionStore) -> list[bytes]:
    return [
        message(m, episode.actions[tick - 1] if tick else None, number, tick)
        for number, episode in enumerate(store.episodes)
        for tick, m in enumerate(episode.measurements)
    ]


def recorded(folder: str, data: list[bytes], topic: str = "/robot1/state") -> None:
    """As `ros2 bag record --storage sqlite3 --compression-mode message` would."""
    writer = Writer(folder, version=9, storage_plugin=StoragePlugin.SQLITE3)
    writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(topic, STATE_TYPE, typestore=TYPES)
        for number, one in enumerate(data):
            writer.write(connection, 50_000_000 * number, one)


def test_logs_bags_and_files_are_learnt_from_together(
    place: Path, store: TransitionStore, capsys: pytest.CaptureFixture[str]
):
    data = messages(store)
    log = StateLog(Path("runs/monday"), "/state")
    for one in [*data, b"not a message"]:
        log.write(one)
    log.close()
    recorded("bag", data)
    store.head(300).save(Path("a.safetensors"))
    both = ["--data", "a.safetensors", "--bag", "runs", "bag", "--limit", "800", "--seed", "1"]
    assert cli.main(["train", *both, *QUICK, "--out", "m.safetensors"]) == 0
    said = capsys.readouterr().err.replace("\n", " ")
    assert "runs: 1 unusable messages; the last one: the message could not be decoded" in said
    _, info = load_model(place / "m.safetensors", SPEC)
    assert info.transitions == 300 + 800 + 800
    assert info.extra["sources"] == {"a.safetensors": 300, "runs": 800, "bag": 800}
    assert info.extra["data"] == {"random": 300, "on_policy": 0, "log": 1600}
    assert info.extra["commands"][-1].startswith("mbmf train --data a.safetensors --bag runs bag --out m.safetensors")


def test_the_same_data_gives_the_same_model_from_a_file_and_from_bags(place: Path, store: TransitionStore):
    recorded("bag", messages(store))
    log = StateLog(Path("log"), "/state")
    for one in messages(store):
        log.write(one)
    log.close()
    errors = []
    for name in ("bag", "log", "log/log_0.mcap"):
        assert cli.main(["train", "--bag", name, *QUICK, "--out", "m.safetensors"]) == 0
        errors.append(load_model(place / "m.safetensors", SPEC)[1].one_step_error)
    assert errors == [errors[0]] * 3


def test_one_robot_of_several_is_chosen_by_its_topic(place: Path, store: TransitionStore):
    data = messages(store)
    recorded("two/a", data[:500], "/a/state")
    recorded("two/b", data[500:700], "/b/state")
    assert cli.main(["train", "--bag", "two", "--topic", "/b/state", *QUICK, "--out", "m.safetensors"]) == 0
    assert 150 < load_model(place / "m.safetensors", SPEC)[1].transitions < 200


def test_bad_input_gets_one_line_and_code_2(place: Path, store: TransitionStore, capsys: pytest.CaptureFixture[str]):
    still = Episode(np.repeat(store.episodes[0].measurements[:1], 9, axis=0), np.zeros((8, SPEC.nu)))
    recorded("still", messages(TransitionStore(SPEC, [still])))
    recorded("bag", messages(store)[:50])
    Path("noise.mcap").write_bytes(b"noise" * 100)
    Path("empty").mkdir()
    for line, said in [
        ("", "--data or --bag: expected at least one"),
        ("--topic /state --data a.safetensors", "--topic is of bags"),
        ("--bag missing", "there is no log missing"),
        ("--bag empty", "there is no bag in empty"),
        ("--bag noise.mcap", "noise.mcap does not begin like an MCAP file"),
        ("--bag still", "robot 'ant' never moves there"),
        ("--bag bag --topic /robot2/state", "robot 'ant' on /robot2/state, found none"),
        ("--bag bag --robot hopper", "found robot 'ant'; choose it with --robot"),
        ("--bag bag --device cuda:99", "expected one that PyTorch can use here, such as cpu; got 'cuda:99'"),
    ]:
        assert cli.main(["train", *line.split(), *QUICK, "--out", "m.safetensors"]) == 2
        (complaint,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("mbmf: ")]
        assert said in complaint


def test_which_bag_is_read_is_shown(place: Path, store: TransitionStore, monkeypatch: pytest.MonkeyPatch):
    recorded("bag", messages(store))
    written = StringIO()
    monkeypatch.setattr(train, "CONSOLE", Console(file=written, force_terminal=True, width=120))
    assert cli.main(["train", "--bag", "bag", "--out", "model.safetensors", *QUICK]) == 0
    assert "reading bag" in written.getvalue()
