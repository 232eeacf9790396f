"""The durable log: what is written comes back, others can read it, and it keeps to its limit."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from tick_messages import SPEC, TYPES, check_pairs, serialised, state, ticks, write

from mbmf_ros.data import bag
from mbmf_ros.data.bag import STATE_TYPE
from mbmf_ros.data.log import StateLog
from mbmf_ros.data.read_log import read_log
from mbmf_ros.errors import MbmfError


def test_what_is_written_comes_back(tmp_path: Path):
    rng = np.random.default_rng(0)
    messages = ticks(3, 50)
    for message in messages:
        message.joint_position = rng.standard_normal(8)
        message.twist.linear.y = rng.standard_normal()
    contents = read_log(write(tmp_path / "log", messages), SPEC)
    assert (contents.messages, contents.rejected, contents.store.transitions) == (50, 0, 49)
    (episode,) = contents.store.episodes
    layout = SPEC.measurement
    np.testing.assert_array_equal(episode.measurements[:, layout.joint_position], [m.joint_position for m in messages])
    np.testing.assert_array_equal(episode.measurements[:, 8], [m.twist.linear.y for m in messages])
    np.testing.assert_array_equal(episode.measurements[:, layout.orientation], [[1, 0, 0, 0]] * 50)  # w first
    np.testing.assert_array_equal(episode.actions, [m.applied_action for m in messages[1:]])
    assert episode.source == "log"


def test_rosbags_reads_it_with_index_and_definition(tmp_path: Path):
    folder = write(tmp_path / "log", ticks(0, 30))
    for path in (folder, folder / "log_0.mcap"):
        with Reader(path) as reader:
            (connection,) = reader.connections
            assert (connection.topic, connection.msgtype, connection.msgcount) == ("/state", STATE_TYPE, 30)
            assert "float64[] applied_action" in connection.msgdef.data
            assert "MSG: geometry_msgs/Pose" in connection.msgdef.data
            messages: list[Any] = [TYPES.deserialize_cdr(data, STATE_TYPE) for _, _, data in reader.messages()]
            assert [message.tick for message in messages] == list(range(30))
            half = list(reader.messages(start=reader.start_time + reader.duration // 2))
            assert 0 < len(half) < 30


@pytest.mark.parametrize("closed", [False, True])
def test_a_log_that_is_still_open_is_readable(tmp_path: Path, closed: bool):
    log = StateLog(tmp_path / "log", "/state")
    for message in ticks(0, 10):
        log.write(serialised(message))
    log.flush()
    with Reader(tmp_path / "log") as reader:
        assert len(list(reader.messages())) == 10
    log.write(serialised(state(0, 10)))
    if closed:
        log.close()
    assert read_log(tmp_path / "log", SPEC).store.transitions == (10 if closed else 9)


def test_it_flushes_by_itself_in_half_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr("mbmf_ros.data.log.time.monotonic", lambda: now[0])
    log = StateLog(tmp_path / "log", "/state")
    for tick in range(40):
        log.write(serialised(state(0, tick)))
        now[0] += 1 / 16
    assert read_log(tmp_path / "log", SPEC).messages == 33  # flushed at every eighth
    now[0] += 1.0
    log.flush_if_due()
    assert read_log(tmp_path / "log", SPEC).messages == 40


def test_malformed_messages_are_counted_and_skipped(tmp_path: Path):
    messages: list[object] = [*ticks(0, 5)]
    messages += [state(0, 5, joints=7), state(0, 6, x=float("inf")), b"\x00\x01\x00\x00garbage"]
    wild = state(0, 8)
    wild.applied_action = np.full(8, 1.5)
    short = state(0, 9)
    short.applied_action = np.zeros(0)
    messages += [wild, short, state(0, 10, robot_name="swimmer"), *ticks(0, 4, first=11)]
    contents = read_log(write(tmp_path / "log", messages), SPEC)
    assert (contents.messages, contents.rejected) == (15, 6)
    assert "swimmer" in contents.problem
    assert len(check_pairs(contents.store)) == 4 + 3


def test_logs_of_another_robot_or_of_none_are_refused(tmp_path: Path):
    other = write(tmp_path / "other", [state(0, tick, robot_name="swimmer") for tick in range(3)])
    with pytest.raises(MbmfError, match=r"robot 'ant'.*'swimmer'"):
        read_log(other, SPEC)
    with pytest.raises(MbmfError, match="found none"):
        read_log(write(tmp_path / "none", []), SPEC)
    with pytest.raises(MbmfError, match="there is no log"):
        read_log(tmp_path / "missing", SPEC)
    foreign = tmp_path / "foreign.mcap"
    foreign.write_bytes(b"not at all an MCAP file " * 100)
    with pytest.raises(MbmfError, match="does not begin like an MCAP file"):
        read_log(foreign, SPEC)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(MbmfError, match="holds other files"):
        StateLog(tmp_path / "photos", "/state")


def test_the_definition_is_found_where_the_package_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = bag.state_definition()
    module = tmp_path / "lib" / "python3" / "site-packages" / "mbmf_ros" / "data" / "bag.py"
    module.parent.mkdir(parents=True)
    monkeypatch.setattr(bag, "__file__", str(module))
    with pytest.raises(MbmfError, match=r"RobotState\.msg"):
        bag.state_definition()
    installed = tmp_path / "share" / "mbmf_ros" / "msg" / "RobotState.msg"
    installed.parent.mkdir(parents=True)
    installed.write_text(source)
    assert bag.state_definition() == source


def test_it_is_a_ring_of_files_and_the_metadata_names_those_that_are_left(tmp_path: Path):
    limit = 200_000
    log = StateLog(tmp_path / "log", "/state", limit)
    for tick in range(2000):
        log.write(serialised(state(1, tick)))
        if tick % 10 == 9:
            log.flush()
            assert sum(file.stat().st_size for file in (tmp_path / "log").glob("*.mcap")) < 1.1 * limit
    log.close()
    assert log.dropped > 5
    assert sum("the oldest files are dropped" in note for note in log.notes) == 1
    pairs = check_pairs(read_log(tmp_path / "log", SPEC).store)
    assert max(pairs) == (2998.0, 2999.0)
    assert pairs == {(code, code + 1) for code in np.arange(min(pairs)[0], 2999)}  # none is missing in between
    assert len(pairs) > 200
    with Reader(tmp_path / "log") as reader:
        assert reader.message_count == len(list(reader.messages())) == len(pairs) + 1
    newest = read_log(tmp_path / "log", SPEC, max_transitions=100)
    assert 100 <= len(newest.store.episodes[-1]) <= newest.messages < len(pairs)  # older files are not even read


def test_a_lower_limit_shrinks_the_log_of_earlier_runs(tmp_path: Path):
    StateLog(tmp_path / "log", "/state", 200_000).close()
    log = StateLog(tmp_path / "log", "/state", 200_000)
    for tick in range(300):
        log.write(serialised(state(1, tick)))
        log.flush()
    log.close()
    assert sum(file.stat().st_size for file in (tmp_path / "log").glob("*.mcap")) > 60_000
    log = StateLog(tmp_path / "log", "/state", 50_000)
    log.write(serialised(state(2, 0)))
    log.flush()
    assert log.size < 60_000


def _hold(folder: Path, ready: Any, end: Any) -> None:
    log = StateLog(folder, "/state")
    log.write(serialised(state(1, 0)))
    log.write(serialised(state(1, 1)))
    log.flush()
    ready.set()
    end.wait()
    log.close()


def test_a_file_that_another_program_is_writing_is_left_alone(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    ready, end = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "log", ready, end))
    other.start()
    assert ready.wait(60)
    log = StateLog(tmp_path / "log", "/state", 1)  # and a limit that would drop it
    log.write(serialised(state(2, 0)))
    log.write(serialised(state(2, 1)))
    log.flush()
    assert any("log_0.mcap is being written by another program" in note for note in log.notes)
    end.set()
    other.join()
    log.close()
    assert (1000.0, 1001.0) in check_pairs(read_log(tmp_path / "log", SPEC).store)


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_bag_of_another_program_is_never_added_to(tmp_path: Path, storage: StoragePlugin):
    with Writer(tmp_path / "bag", version=8, storage_plugin=storage) as writer:
        writer.add_connection("/state", STATE_TYPE, typestore=TYPES)
    with pytest.raises(MbmfError, match="another program; choose another log_dir"):
        StateLog(tmp_path / "bag", "/state", 1)


def test_the_metadata_is_what_rosbag2_expects(tmp_path: Path):
    """Field by field as rosbag2_storage's YAML conversion reads version 8; order and times too."""
    write(tmp_path / "log", ticks(1, 5))
    write(tmp_path / "log", ticks(2, 3))
    content = yaml.safe_load((tmp_path / "log" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (content["version"], content["storage_identifier"], content["message_count"]) == (8, "mcap", 8)
    assert content["relative_file_paths"] == ["log_0.mcap", "log_1.mcap"]
    assert [file["message_count"] for file in content["files"]] == [5, 3]
    assert content["files"][0]["starting_time"] == content["starting_time"]
    last = content["files"][1]
    end_ns = last["starting_time"]["nanoseconds_since_epoch"] + last["duration"]["nanoseconds"]
    start_ns = content["starting_time"]["nanoseconds_since_epoch"]
    assert content["duration"]["nanoseconds"] == end_ns - start_ns
    (topic,) = content["topics_with_message_count"]
    assert topic["message_count"] == 8
    assert {"name", "type", "serialization_format", "offered_qos_profiles"} <= set(topic["topic_metadata"])
    assert topic["topic_metadata"]["type_description_hash"].startswith("RIHS01_")
    for key in ("compression_format", "compression_mode", "ros_distro"):
        assert content[key] == ""
    assert content["custom_data"] is None
    assert topic["topic_metadata"]["offered_qos_profiles"] == ""  # text, and not a list as from version 9 on
    for entry in (content, *content["files"]):
        counts = [entry["message_count"], *entry["duration"].values(), *entry["starting_time"].values()]
        assert all(isinstance(count, int) and count >= 0 for count in counts)
