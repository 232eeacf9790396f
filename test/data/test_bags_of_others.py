"""Bags that `ros2 bag record` and others wrote, in every layout and compression that they have."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import lz4.frame
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat
from tick_messages import SPEC, TYPES, check_pairs, serialised, state, ticks, write

from mbmf_ros.data import mcap
from mbmf_ros.data.bag import STATE_TYPE
from mbmf_ros.data.read_log import read_log
from mbmf_ros.errors import MbmfError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLAIN = (StoragePlugin.MCAP, None)
LAYOUTS: list[tuple[StoragePlugin, CompressionMode | None]] = [
    PLAIN,
    (StoragePlugin.MCAP, CompressionMode.STORAGE),
    (StoragePlugin.MCAP, CompressionMode.MESSAGE),
    (StoragePlugin.MCAP, CompressionMode.FILE),
    (StoragePlugin.SQLITE3, None),
    (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    (StoragePlugin.SQLITE3, CompressionMode.FILE),
]
PAIRS = {(first, first + 1) for first in (*range(9), *range(1000, 1009))}


def record(
    folder: Path, storage: StoragePlugin, compression: CompressionMode | None, first: int = 0, start_ns: int = 0
) -> Path:
    """Two robots that take turns, and a topic of another type; ten ticks from ``first`` on."""
    writer = Writer(folder, version=9, storage_plugin=storage)
    writer.set_compression(compression or CompressionMode.NONE, CompressionFormat.ZSTD)
    with writer:
        robots = [writer.add_connection(f"/robot{i}/state", STATE_TYPE, typestore=TYPES) for i in range(2)]
        text = writer.add_connection("/text", "std_msgs/msg/Header", typestore=TYPES)
        header = bytes(TYPES.serialize_cdr(state(0, 0).header, "std_msgs/msg/Header"))
        for tick in range(first, first + 10):
            time_ns = start_ns + 50_000_000 * tick
            for index, connection in enumerate(robots):
                writer.write(connection, time_ns + index, serialised(state(index, tick)))
            writer.write(text, time_ns, header)
    return folder


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize(("storage", "compression"), LAYOUTS)
def test_bags_that_others_recorded_are_read(
    tmp_path: Path, storage: StoragePlugin, compression: CompressionMode | None, metadata: bool
):
    bag = record(tmp_path / "bag", storage, compression)
    if not metadata:
        (bag / "metadata.yaml").unlink()
    contents = read_log(bag, SPEC)
    assert (contents.messages, contents.rejected, contents.damages) == (20, 0, [])
    assert check_pairs(contents.store) == PAIRS
    assert contents.topics == {"/robot0/state": 9, "/robot1/state": 9}
    (file,) = [file for file in bag.iterdir() if file.name != "metadata.yaml"]
    assert check_pairs(read_log(file, SPEC).store) == PAIRS
    one = read_log(bag, SPEC, topics=["/robot1/state"])
    assert check_pairs(one.store) == {pair for pair in PAIRS if pair[0] >= 1000}


@pytest.mark.parametrize(("pause_ns", "joined"), [(0, True), (10**10, False)])
@pytest.mark.parametrize("storage", StoragePlugin)
def test_a_bag_split_into_files_is_read_in_their_order(
    tmp_path: Path, storage: StoragePlugin, pause_ns: int, joined: bool
):
    """Eleven files, so that their order is not that of the alphabet."""
    (tmp_path / "bag").mkdir()
    for part in range(11):
        source = record(tmp_path / f"part{part}", storage, None, 10 * part, pause_ns * part)
        (file,) = source.glob("part*")
        shutil.move(file, tmp_path / "bag" / f"bag_{part}{file.suffix}")
    pairs = check_pairs(read_log(tmp_path / "bag", SPEC).store)
    assert ((9.0, 10.0) in pairs) == joined  # from file to file, unless there was a pause between them
    assert len(pairs) == 2 * (11 * 9 + 10 * joined)


def test_a_folder_of_bags_is_all_of_them(tmp_path: Path):
    record(tmp_path / "data" / "a", *PLAIN)
    write(tmp_path / "data" / "deeper" / "b", ticks(5, 4))
    (tmp_path / "data" / "readme.txt").write_text("not a bag")
    contents = read_log(tmp_path / "data", SPEC)
    assert len(check_pairs(contents.store)) == 18 + 3


def test_a_database_whose_recorder_was_killed_is_read_to_its_last_message(tmp_path: Path):
    """With storage preset `resilient` the newest messages are in a second file, the write-ahead log."""
    (file,) = record(tmp_path / "bag", StoragePlugin.SQLITE3, None).glob("*.db3")
    live = tmp_path / "live" / file.name
    live.parent.mkdir()
    shutil.copy(file, live)
    database = sqlite3.connect(live)
    database.execute("PRAGMA journal_mode=WAL")
    with database:
        row = (1, 50_000_000 * 10, serialised(state(0, 10)))
        database.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", row)
    (tmp_path / "killed").mkdir()
    for left in live.parent.iterdir():
        shutil.copy(left, tmp_path / "killed")
    database.close()
    before = {left.name: left.read_bytes() for left in (tmp_path / "killed").iterdir()}
    assert len(before) > 1
    assert (9.0, 10.0) in check_pairs(read_log(tmp_path / "killed", SPEC).store)
    assert {left.name: left.read_bytes() for left in (tmp_path / "killed").iterdir()} == before


def test_old_databases_without_definitions_are_read(tmp_path: Path):
    (file,) = record(tmp_path / "bag", StoragePlugin.SQLITE3, None).glob("*.db3")
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE message_definitions")
    assert check_pairs(read_log(file, SPEC).store) == PAIRS


def repacked(source: Path, target: Path, compression: str, chunked: bool = True) -> Path:
    """The records of an MCAP file with other chunks, as the storage presets of ros2 bag give them; without an end."""
    out, at, content = bytearray(mcap.MAGIC), len(mcap.MAGIC), source.read_bytes()
    while content[at] != mcap.DATA_END:
        opcode, length = struct.unpack_from("<BQ", content, at)
        record = content[at + 9 : at + 9 + length]
        if opcode == mcap.CHUNK:
            (size,) = struct.unpack_from("<Q", record, 32)
            inner = record[40 : 40 + size]
            packed = {"lz4": lz4.frame.compress, "zstd": zstd.compress, "": bytes}[compression](inner)
            sizes = struct.pack("<QI", len(inner), zlib.crc32(inner)) + mcap.text(compression)
            chunk = record[:16] + sizes + struct.pack("<Q", len(packed)) + packed
            out += mcap.record(mcap.CHUNK, chunk) if chunked else inner
        elif opcode != mcap.MESSAGE_INDEX:
            out += mcap.record(opcode, record)
        at += 9 + length
    target.write_bytes(out)
    return target


@pytest.mark.parametrize(("compression", "chunked"), [("lz4", True), ("zstd", True), ("", False)])
def test_every_storage_preset_of_mcap_is_read(tmp_path: Path, compression: str, chunked: bool):
    (source,) = record(tmp_path / "bag", *PLAIN).glob("*.mcap")
    file = repacked(source, tmp_path / "other.mcap", compression, chunked)
    assert check_pairs(read_log(file, SPEC).store) == PAIRS


def test_files_compressed_by_lz4_are_read_and_so_are_torn_ones(tmp_path: Path):
    (source,) = record(tmp_path / "bag", *PLAIN).glob("*.mcap")
    (tmp_path / "x_0.mcap.lz4").write_bytes(lz4.frame.compress(source.read_bytes()))
    assert check_pairs(read_log(tmp_path / "x_0.mcap.lz4", SPEC).store) == PAIRS
    plain = repacked(source, tmp_path / "plain", "", chunked=False).read_bytes()
    for name, pack in {"y.mcap.lz4": lz4.frame.compress, "y.mcap.zstd": zstd.compress}.items():
        packed = pack(plain)
        torn = tmp_path / name
        torn.write_bytes(packed[: len(packed) * 9 // 10])
        try:
            contents = read_log(torn, SPEC)
        except MbmfError:  # nothing whole could be unpacked
            continue
        assert check_pairs(contents.store) <= PAIRS


def test_what_cannot_be_used_is_named(tmp_path: Path):
    (file,) = record(tmp_path / "bag", *PLAIN).glob("*.mcap")
    for folder, old, new, said in [
        ("other", "mbmf_ros/msg/RobotState", "mbmf_ros/msg/RobotStaat", r"none; the topics there are /robot0/state \("),
        ("newer", "float64[] joint_velocity\n", "float64[] joint_velocita\n", "has no field 'joint_velocity'"),
        ("robot", "\x04\x00\x00\x00ant\x00", "\x04\x00\x00\x00cat\x00", "found robot 'cat'; choose it with --robot"),
        ("broken", "\x04\x00\x00\x00ant\x00", "\xff\xff\xff\x7fant\x00", "could not be decoded"),
    ]:
        path = tmp_path / f"{folder}.mcap"
        content = file.read_bytes()
        assert old.encode("latin1") in content
        path.write_bytes(content.replace(old.encode("latin1"), new.encode("latin1")))
        with pytest.raises(MbmfError, match=said):
            read_log(path, SPEC)
    with pytest.raises(MbmfError, match=r"robot 'ant' on /robot7/state, found none"):
        read_log(file, SPEC, topics=["/robot7/state"])
    (tmp_path / "empty").mkdir()
    cases: list[tuple[Any, str]] = [(tmp_path / "empty", "there is no bag in"), (tmp_path / "no", "there is no log")]
    for path, said in cases:
        with pytest.raises(MbmfError, match=said):
            read_log(path, SPEC)
