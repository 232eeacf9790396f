"""The durable log: what is written comes back, torn or not, and nothing is ever mispaired."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionMode, Reader, StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat

from mbmf_ros.data import bag, mcap
from mbmf_ros.data.bag import STATE_TYPE, state_types
from mbmf_ros.data.episodes import PIECE_STEPS, EpisodeBuilder
from mbmf_ros.data.log import StateLog, read_log
from mbmf_ros.data.recorder import Recorder
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot

SPEC = robot("ant")
TYPES = state_types()


def code(episode: int, tick: int) -> float:
    """A number that tells which tick of which episode something belongs to."""
    return 1000.0 * episode + tick


def state(
    episode: int, tick: int, robot_name: str = "ant", joints: int = 8, x: float | None = None, late_s: float = 0.0
) -> Any:
    """A RobotState whose position is its code, and whose action is the code of its own tick, scaled into [-1, 1]."""
    types: dict[str, Any] = dict(TYPES.types)
    point, quaternion = types["geometry_msgs/msg/Point"], types["geometry_msgs/msg/Quaternion"]
    vector, twist = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Twist"]
    nanoseconds = round((tick * SPEC.dt_s + late_s) * 1e9)
    stamp = types["builtin_interfaces/msg/Time"](*divmod(nanoseconds, 10**9))
    here = code(episode, tick)
    return types[STATE_TYPE](
        header=types["std_msgs/msg/Header"](stamp, "odom"),
        robot=robot_name,
        episode=episode,
        tick=tick,
        pose=types["geometry_msgs/msg/Pose"](point(here if x is None else x, 0.0, 0.5), quaternion(0.0, 0.0, 0.0, 1.0)),
        twist=twist(vector(0.0, 0.0, 0.0), vector(0.0, 0.0, 0.0)),
        joint_position=np.linspace(0.0, 1.0, joints),
        joint_velocity=np.linspace(1.0, 2.0, joints),
        applied_action=np.full(8 if tick else 0, here / 1e6),
        action_source=1 if tick else 0,
        status=0,
    )


def serialised(message: object) -> bytes:
    return bytes(TYPES.serialize_cdr(message, STATE_TYPE))


def write(folder: Path, messages: Iterable[object], chunk: int = 7) -> Path:
    log = StateLog(folder, "/state")
    for index, message in enumerate(messages):
        log.write(message if isinstance(message, bytes) else serialised(message))
        if index % chunk == chunk - 1:
            log.flush()
    log.close()
    return folder


def ticks(episode: int, count: int, first: int = 0) -> list[Any]:
    return [state(episode, tick) for tick in range(first, first + count)]


def check_pairs(store: TransitionStore) -> set[tuple[float, float]]:
    """Every transition leads from one tick to the next under the action of that next one; returns the codes."""
    pairs = set()
    for episode in store.episodes:
        x = episode.measurements[:, 0]
        np.testing.assert_array_equal(np.diff(x), 1.0)
        np.testing.assert_allclose(episode.actions, np.repeat(x[1:, None] / 1e6, SPEC.nu, axis=1), rtol=1e-12)
        pairs |= set(zip(x[:-1].tolist(), x[1:].tolist(), strict=True))
    return pairs


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


def test_it_flushes_by_itself_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr("mbmf_ros.data.log.time.monotonic", lambda: now[0])
    log = StateLog(tmp_path / "log", "/state")
    for tick in range(40):
        log.write(serialised(state(0, tick)))
        now[0] += 1 / 16
    assert read_log(tmp_path / "log", SPEC).messages == 33
    now[0] += 1.0
    log.flush_if_due()
    assert read_log(tmp_path / "log", SPEC).messages == 40


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed file of five chunks of seven messages."""
    return write(tmp_path_factory.mktemp("recorded") / "log", ticks(1, 35)) / "log_0.mcap"


@settings(max_examples=80, deadline=None)
@given(share=st.floats(0.0, 1.0), data=st.data())
def test_a_file_cut_anywhere_keeps_its_whole_chunks(recorded: Path, share: float, data: st.DataObject):
    whole = recorded.read_bytes()
    ends = chunk_ends(whole)
    cut = data.draw(st.integers(ends[0], len(whole)), label="cut") if share > 0.1 else int(share * 10 * ends[0])
    torn = recorded.with_name("torn.mcap")
    torn.write_bytes(whole[:cut])
    expected = 7 * sum(end <= cut for end in ends[1:])
    if not expected:
        with pytest.raises(MbmfError, match=r"found none|does not begin"):
            read_log(torn, SPEC)
        return
    contents = read_log(torn, SPEC)
    assert contents.messages == expected
    assert len(check_pairs(contents.store)) == expected - 1
    assert torn.read_bytes() == whole[:cut]  # reading does not change it
    if not mcap.is_whole(torn):
        mcap.mend(torn)
    with Reader(torn) as reader:
        assert len(list(reader.messages())) == expected


def chunk_ends(whole: bytes) -> list[int]:
    """Where the opening records and each chunk end."""
    ends, at = [], len(mcap.MAGIC)
    while (opcode := whole[at]) != 0x0F:
        stop = at + 9 + int.from_bytes(whole[at + 1 : at + 9], "little")
        if opcode in (0x04, 0x06):
            ends.append(stop)
        at = stop
    return ends


@settings(max_examples=60, deadline=None)
@given(torn_bytes=st.integers(0, 4000))
def test_a_flush_torn_anywhere_loses_only_itself(recorded: Path, torn_bytes: int):
    path = recorded.with_name("flushed.mcap")
    path.unlink(missing_ok=True)
    writer = mcap.McapWriter(path, "/state", STATE_TYPE, TYPES.generate_msgdef(STATE_TYPE, ros_version=2)[0])
    for tick in range(5):
        writer.write(serialised(state(0, tick)), tick + 1)
    writer.flush()
    before = path.read_bytes()
    for tick in range(5, 10):
        writer.write(serialised(state(0, tick)), tick + 1)
    writer.flush()
    writer.abandon()
    after = path.read_bytes()
    start = len(before) - 50  # the closing records are overwritten
    torn = (before[:start] + after[start : start + torn_bytes] + before[start + torn_bytes :])[: len(after)]
    path.write_bytes(torn)
    contents = read_log(path, SPEC)
    assert contents.messages in (5, 10)
    assert len(check_pairs(contents.store)) == contents.messages - 1


def test_the_next_start_mends_a_torn_log_and_continues_it(tmp_path: Path):
    folder = write(tmp_path / "log", ticks(0, 20), chunk=10)
    file = folder / "log_0.mcap"
    second = chunk_ends(file.read_bytes())[2]
    file.write_bytes(file.read_bytes()[: second - 5])
    (folder / "log_1.mcap").write_bytes(b"")  # killed before the first write
    log = StateLog(folder, "/state")
    assert log.mended_bytes > 0
    for message in ticks(1, 5):
        log.write(serialised(message))
    log.close()
    with Reader(folder) as reader:
        assert reader.message_count == 15
        assert len(list(reader.messages())) == 15
    assert read_log(folder, SPEC).store.transitions == 9 + 4


def test_kill_9_keeps_what_was_flushed(tmp_path: Path):
    program = """
import sys
from pathlib import Path
from mbmf_ros.data.log import StateLog
data = bytes.fromhex(sys.argv[2])
log = StateLog(Path(sys.argv[1]), "/state")
while True:
    for _ in range(50):
        log.write(data)
    log.flush()
    print(log.messages, flush=True)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "log"), serialised(state(0, 0)).hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        flushed = [int(process.stdout.readline()) for _ in range(20)][-1]
        process.send_signal(signal.SIGKILL)
        flushed = max(flushed, *[int(line) for line in process.stdout.read().splitlines()], 0)
    assert process.returncode == -signal.SIGKILL
    assert read_log(tmp_path / "log", SPEC).messages >= flushed >= 1000


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), max_size=60),
    st.lists(st.integers(0, 59), max_size=5),
)
def test_ticks_in_any_order_are_never_mispaired(order: list[tuple[int, int]], bad: list[int]):
    builder = EpisodeBuilder(SPEC)
    for index, (episode, tick) in enumerate(order):
        builder.add(state(episode, tick, x=float("nan") if index in bad else None))
    assert builder.rejected == len({index for index in bad if index < len(order)})
    check_pairs(builder.store())
    assert builder.store().transitions == builder.transitions


def test_gaps_and_repetitions_end_or_do_not_end_an_episode():
    builder = EpisodeBuilder(SPEC)
    sequence = [(0, 0), (0, 1), (0, 1), (0, 2), (0, 4), (0, 5), (1, 6), (1, 7), (1, 0), (1, 1)]
    for episode, tick in sequence:
        assert builder.add(state(episode, tick))
    expected = {(0.0, 1.0), (1.0, 2.0), (4.0, 5.0), (1006.0, 1007.0), (1000.0, 1001.0)}
    assert check_pairs(builder.store()) == expected


def test_a_gap_in_time_ends_an_episode_though_the_ticks_count_on():
    builder = EpisodeBuilder(SPEC)
    for tick in range(6):
        builder.add(state(0, tick, late_s=0.2 if tick >= 3 else 0.0))
    assert check_pairs(builder.store()) == {(0.0, 1.0), (1.0, 2.0), (3.0, 4.0), (4.0, 5.0)}


def test_long_recordings_are_cut_without_losing_a_transition_and_forgotten_from_the_oldest():
    count = 3 * PIECE_STEPS + 11
    builder, bounded = EpisodeBuilder(SPEC), EpisodeBuilder(SPEC, max_transitions=PIECE_STEPS)
    for tick in range(count):
        builder.add(state(0, tick))
        bounded.add(state(0, tick))
    assert check_pairs(builder.store()) == {(float(tick), tick + 1.0) for tick in range(count - 1)}
    assert max(len(episode) for episode in builder.store().episodes) == PIECE_STEPS
    kept = check_pairs(bounded.store())
    assert PIECE_STEPS <= len(kept) <= 2 * PIECE_STEPS
    assert max(kept) == (count - 2.0, count - 1.0)
    assert bounded.transitions == count - 1


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


@pytest.mark.parametrize(
    ("storage", "compression"),
    [
        (StoragePlugin.MCAP, None),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.MCAP, CompressionMode.MESSAGE),
        (StoragePlugin.SQLITE3, None),
    ],
)
def test_bags_that_others_recorded_are_read(
    tmp_path: Path, storage: StoragePlugin, compression: CompressionMode | None
):
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=storage)
    if compression:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        robots = [writer.add_connection(f"/robot{i}/state", STATE_TYPE, typestore=TYPES) for i in range(2)]
        text = writer.add_connection("/text", "std_msgs/msg/Header", typestore=TYPES)
        header = bytes(TYPES.serialize_cdr(state(0, 0).header, "std_msgs/msg/Header"))
        for tick in range(10):
            for index, connection in enumerate(robots):  # two robots take turns
                writer.write(connection, 1000 * tick + index, serialised(state(index, tick)))
            writer.write(text, 1000 * tick, header)
    contents = read_log(tmp_path / "bag", SPEC)
    assert contents.messages == 20
    assert len(check_pairs(contents.store)) == 18


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


def fill_disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Writes fail after ``free`` more bytes, in the middle of a write."""
    left = [free]
    pwrite = os.pwrite

    def write(file: int, data: memoryview, offset: int) -> int:
        size = os.fstat(file).st_size
        if offset < size:  # overwriting needs no space
            data = data[: size - offset]
        elif not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        else:
            data = data[: left[0]]
            left[0] -= len(data)
        return pwrite(file, data, offset)

    monkeypatch.setattr(mcap.os, "pwrite", write)


def test_a_full_disk_ends_the_log_but_not_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recorder = Recorder(SPEC, tmp_path / "log", "/state", 1000)
    monkeypatch.setattr("mbmf_ros.data.log.FLUSH_PERIOD_S", 0.0)
    for tick in range(50):
        if tick == 30:
            fill_disk(monkeypatch, free=700)
        recorder.take(serialised(state(0, tick)), state(0, tick))
        recorder.flush_if_due()
    assert "No space left" in recorder.error
    assert "choose another log_dir" in recorder.error
    recorder.close()
    assert recorder.ticks.transitions == 49
    assert 30 <= recorder.logged < 32
    contents = read_log(tmp_path / "log", SPEC)
    assert contents.messages == recorder.logged
    assert mcap.is_whole(tmp_path / "log" / "log_0.mcap")


def test_a_log_grows_to_its_limit_over_all_runs_and_the_recording_goes_on(tmp_path: Path):
    folder, limit = tmp_path / "log", 100_000
    for run in range(2):
        recorder = Recorder(SPEC, folder, "/state", 1000, max_bytes=limit)
        for tick in range(400):
            assert recorder.take(serialised(state(run, tick)), state(run, tick))
        assert (recorder.error, "not logging any more" in recorder.full) == ("", True)
        recorder.close()
        assert recorder.ticks.transitions == 399
        size = sum(file.stat().st_size for file in folder.glob("*.mcap"))
        assert 0.9 * limit < size < 1.1 * limit
    assert 100 < read_log(folder, SPEC).messages < 400


def test_an_unusable_folder_is_an_error_but_no_end(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    recorder = Recorder(SPEC, tmp_path / "file" / "log", "/state", 1000)
    assert "not logging" in recorder.error
    for tick in range(3):
        recorder.take(serialised(state(0, tick)), state(0, tick))
    assert recorder.ticks.transitions == 2


def test_a_restarted_recorder_takes_over_what_the_folder_holds(tmp_path: Path):
    def record(episode: int) -> Recorder:
        recorder = Recorder(SPEC, tmp_path / "log", "/state", 1000)
        for tick in range(10):
            recorder.take(serialised(state(episode, tick)), state(episode, tick))
        recorder.close()
        return recorder

    _, _, last = (record(episode) for episode in range(3))
    assert last.ticks.transitions == last.logged - 1 == 9
    assert len(check_pairs(last.ticks.store())) == 27
    assert sorted(file.name for file in (tmp_path / "log").glob("*.mcap")) == ["log_0.mcap", "log_1.mcap", "log_2.mcap"]
