"""Files that are torn or damaged: everything before the damage is read, and nothing but MbmfError is ever raised."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionMode, Reader, StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat
from tick_messages import SPEC, TYPES, check_pairs, serialised, state, ticks, write

from mbmf_ros.data import mcap
from mbmf_ros.data.bag import STATE_TYPE
from mbmf_ros.data.log import StateLog
from mbmf_ros.data.mcap_writer import McapWriter
from mbmf_ros.data.read_log import read_log
from mbmf_ros.errors import MbmfError


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed file of five chunks of seven messages."""
    return write(tmp_path_factory.mktemp("recorded") / "log", ticks(1, 35)) / "log_0.mcap"


def chunk_ends(whole: bytes) -> list[int]:
    """Where the opening records and each chunk end."""
    ends, at = [], len(mcap.MAGIC)
    while (opcode := whole[at]) != 0x0F:
        stop = at + 9 + int.from_bytes(whole[at + 1 : at + 9], "little")
        if opcode in (0x04, 0x06):
            ends.append(stop)
        at = stop
    return ends


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


@settings(max_examples=60, deadline=None)
@given(torn_bytes=st.integers(0, 4000))
def test_a_flush_torn_anywhere_loses_only_itself(recorded: Path, torn_bytes: int):
    path = recorded.with_name("flushed.mcap")
    path.unlink(missing_ok=True)
    writer = McapWriter(path, "/state", STATE_TYPE, TYPES.generate_msgdef(STATE_TYPE, ros_version=2)[0])
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
    assert any("log_0.mcap was torn" in note for note in log.notes)
    for message in ticks(1, 5):
        log.write(serialised(message))
    log.close()
    with Reader(folder) as reader:
        assert reader.message_count == 15
        assert len(list(reader.messages())) == 15
    assert read_log(folder, SPEC).store.transitions == 9 + 4


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_flipped_bytes_cost_at_most_what_comes_after_them(recorded: Path, data: st.DataObject):
    whole = recorded.read_bytes()
    ends = chunk_ends(whole)
    first = data.draw(st.integers(ends[0], len(whole) - 1), label="first")
    places = [first, *data.draw(st.lists(st.integers(first, len(whole) - 1), max_size=8), label="places")]
    damaged = bytearray(whole)
    for place in places:
        damaged[place] ^= data.draw(st.integers(1, 255), label="bits")
    file = recorded.with_name("flipped.mcap")
    file.write_bytes(damaged)
    before = 7 * sum(end <= first for end in ends[1:])
    try:
        contents = read_log(file, SPEC)
    except MbmfError:
        assert before == 0
        return
    assert contents.messages >= before
    assert check_pairs(contents.store) >= {(1000.0 + tick, 1001.0 + tick) for tick in range(before - 1)}


def test_a_damaged_chunk_in_the_middle_is_left_out_and_told(recorded: Path):
    whole = bytearray(recorded.read_bytes())
    ends = chunk_ends(bytes(whole))
    whole[ends[2] - 100] ^= 1
    file = recorded.with_name("middle.mcap")
    file.write_bytes(whole)
    contents = read_log(file, SPEC)
    assert contents.messages == 28
    assert len(check_pairs(contents.store)) == 6 + 20
    assert "checksum" in contents.damages[0]


def test_a_file_that_is_damaged_in_the_middle_is_not_cut_there(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mcap, "_MOST_TORN", 1000)
    content = bytearray(recorded.read_bytes()[:-1])
    content[chunk_ends(bytes(content))[1] + 200] ^= 1  # a message index: the chain of records breaks there
    (tmp_path / "log").mkdir()
    file = tmp_path / "log" / "log_0.mcap"
    content[chunk_ends(bytes(content))[1]] = 0
    file.write_bytes(content)
    log = StateLog(tmp_path / "log", "/state")
    assert any("left as it is" in note for note in log.notes)
    assert file.read_bytes() == bytes(content)
    log.close()
    assert read_log(tmp_path / "log", SPEC).messages == 7


@pytest.mark.parametrize(
    ("storage", "compression"),
    [
        (StoragePlugin.MCAP, CompressionMode.NONE),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.MCAP, CompressionMode.MESSAGE),
        (StoragePlugin.SQLITE3, CompressionMode.NONE),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    ],
)
def test_bags_of_others_that_are_cut_or_damaged_raise_nothing_else(
    tmp_path: Path, storage: StoragePlugin, compression: CompressionMode
):
    """Their recorder was killed: there is no metadata, and the file ends anywhere or is damaged anywhere."""
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=storage)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/state", STATE_TYPE, typestore=TYPES)
        for tick in range(100):
            writer.write(connection, 1000 * tick, serialised(state(1, tick)))
    (tmp_path / "bag" / "metadata.yaml").unlink()
    (file,) = (tmp_path / "bag").iterdir()
    whole, read = file.read_bytes(), 0
    for step in range(80):
        content = bytearray(whole[: len(whole) * (step + 1) // 80])
        if step % 2:
            content[(7919 * step * step) % len(content)] ^= 1 + step
        file.write_bytes(content)
        try:
            contents = read_log(tmp_path / "bag", SPEC)
        except MbmfError:
            continue
        read += contents.messages
    file.write_bytes(whole)
    assert read_log(tmp_path / "bag", SPEC).messages == 100
    assert storage == StoragePlugin.MCAP or read > 100  # MCAP of rosbags has but one chunk here
