"""MCAP files: their records, how much of a file is whole, its messages, and mending. Format: https://mcap.dev/spec

Messages are read along the chain of records and without the index, so that a file needs no end to be read.
"""

from __future__ import annotations

import io
import itertools
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mbmf_ros.data.unpacking import unpack
from mbmf_ros.errors import MbmfError

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX = range(1, 9)
ATTACHMENT, STATISTICS, METADATA, SUMMARY_OFFSET, DATA_END = 0x09, 0x0B, 0x0C, 0x0E, 0x0F
_KNOWN = {*range(HEADER, DATA_END + 1), *range(0x80, 0x100)}  # the latter are private, for others to ignore
_INDEX = {FOOTER, CHUNK_INDEX, 0x0A, STATISTICS, 0x0D, SUMMARY_OFFSET}  # never before the data's end
_MOST_TORN = 1 << 25  # bytes; a torn end is shorter, or else the damage is in the middle

Scanned = tuple["Channel", int, bytes]


def text(value: str) -> bytes:
    """A string as MCAP writes it."""
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def record(opcode: int, content: bytes) -> bytes:
    """A record as MCAP writes it."""
    return struct.pack("<BQ", opcode, len(content)) + content


def footer(summary_start: int, summary_offset_start: int) -> bytes:
    """The end of a file."""
    return record(FOOTER, struct.pack("<QQI", summary_start, summary_offset_start, 0)) + MAGIC


CLOSING = record(DATA_END, struct.pack("<I", 0)) + footer(0, 0)
"""The end of a file without an index."""


@dataclass(frozen=True)
class Channel:
    """What the messages of one channel are.

    Attributes:
        topic: name.
        message_type: such as ``mbmf_ros/msg/RobotState``.
        encoding: of the messages: ``cdr``.
        definition: of the type, in the format of ``ros2msg`` schemas; empty if there is none in that format.
    """

    topic: str
    message_type: str
    encoding: str
    definition: str


class McapScan:
    """The messages of a file, one after the other, as far as it is whole.

    A chunk with a wrong checksum is left out. Where the chain of records breaks, reading ends.

    Attributes:
        channels: by number, as far as they are known.
        damage: what was left out; known when all messages have been read.
    """

    def __init__(self, path: Path):
        self.path = path
        self.damage = ""
        self.channels: dict[int, Channel] = {}
        self._schemas: dict[int, tuple[str, str]] = {}  # name and definition

    def messages(self) -> Iterator[Scanned]:
        """Channel, log time [ns] and data of every message; within a chunk in the order of time.

        Raises:
            MbmfError: the file does not begin like an MCAP file.
            OSError: it cannot be read.
        """
        size, whole_to = self.path.stat().st_size, 0
        with self.path.open("rb") as file:
            if not begins(self.path):
                raise not_mcap(self.path)
            file.seek(len(MAGIC))
            for opcode, start, content in _records(file, size):
                if opcode == DATA_END:
                    return
                if opcode in _INDEX:
                    break
                try:
                    yield from self._chunk(content) if opcode == CHUNK else self._take(opcode, content)
                except (MbmfError, struct.error, UnicodeDecodeError) as error:
                    self.damage = f"{self.path.name}: {len(content)} bytes at {start} are damaged ({error})"
                whole_to = start + 9 + len(content)
        if whole_to < size:
            self.damage = f"{self.path.name}: the last {size - whole_to} bytes are no whole record"

    def _chunk(self, content: bytes) -> list[Scanned]:
        """The messages in a chunk, in the order of time."""
        inner = _chunk_data(content)
        found = [self._take(opcode, part) for opcode, _, part in _records(io.BytesIO(inner), len(inner))]
        return sorted(itertools.chain.from_iterable(found), key=lambda message: message[1])

    def _take(self, opcode: int, content: bytes) -> Iterator[Scanned]:
        """What a record outside or inside of a chunk says."""
        if opcode == MESSAGE:
            channel_id, _, time_ns, _ = struct.unpack_from("<HIQQ", content)
            if channel_id in self.channels:
                yield self.channels[channel_id], time_ns, content[22:]
        elif opcode == SCHEMA:
            name, at = _read_text(content, 2)
            encoding, at = _read_text(content, at)
            definition, _ = _read_text(content, at) if encoding == "ros2msg" else ("", 0)
            self._schemas[struct.unpack_from("<H", content)[0]] = (name, definition)
        elif opcode == CHANNEL:
            number, schema = struct.unpack_from("<HH", content)
            topic, at = _read_text(content, 4)
            kind, definition = self._schemas.get(schema, ("", ""))
            self.channels[number] = Channel(topic, kind, _read_text(content, at)[0], definition)


def not_mcap(path: Path) -> MbmfError:
    """The error of a file that is no MCAP file."""
    return MbmfError(f"{path} does not begin like an MCAP file: expected a log, found something else; remove it")


def library(path: Path) -> str:
    """What wrote the file, as it says itself; empty if it does not begin like an MCAP file."""
    if not begins(path):
        return ""
    with path.open("rb") as file:
        file.seek(len(MAGIC))
        _, _, content = next(_records(file, path.stat().st_size))
    try:
        return _read_text(content, _read_text(content, 0)[1])[0]
    except (MbmfError, struct.error, UnicodeDecodeError):
        return ""


def tally(path: Path) -> tuple[int, int, int]:
    """Number of messages, and log times [ns] of the first and last one, of a whole file.

    Raises:
        MbmfError: it is none.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        file.seek(-len(footer(0, 0)), os.SEEK_END)
        (summary_start,) = struct.unpack_from("<Q", (ending := file.read()), 9)
        if ending.endswith(MAGIC) and 0 < summary_start < file.tell():
            file.seek(summary_start)
            for opcode, _, content in _records(file, path.stat().st_size):
                if opcode == STATISTICS and len(content) >= 42:
                    count, *_, first_ns, last_ns = struct.unpack_from("<QHIIIIQQ", content)
                    return count, first_ns, last_ns
    times = [time_ns for _, time_ns, _ in McapScan(path).messages()]
    return len(times), min(times, default=0), max(times, default=0)


def begins(path: Path) -> bool:
    """Whether the file has a whole MCAP header.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(len(MAGIC) + 9)
    if len(head) < len(MAGIC) + 9 or not head.startswith(MAGIC):
        return False
    opcode, length = struct.unpack_from("<BQ", head, len(MAGIC))
    return opcode == HEADER and len(head) + length <= path.stat().st_size


def is_whole(path: Path) -> bool:
    """Whether the file ends as it should: with an index, or with closing records right after whole data.

    Raises:
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if size < len(MAGIC) + len(CLOSING) or file.read(len(MAGIC)) != MAGIC:
            return False
        file.seek(size - len(CLOSING))
        closing = file.read()
    footer_at = len(closing) - len(footer(0, 0))
    if closing[footer_at : footer_at + 9] != CLOSING[footer_at : footer_at + 9] or not closing.endswith(MAGIC):
        return False
    (summary_start,) = struct.unpack_from("<Q", closing, footer_at + 9)
    return summary_start > 0 or (closing[0] == DATA_END and _data_end(path) == size - len(CLOSING))


def mend(path: Path) -> int:
    """Cut a torn file after its last whole chunk and close it properly; returns how many bytes were cut off.

    Raises:
        MbmfError: there is no whole beginning, or the damage is not at the end; the file is left as it is.
        OSError: it cannot be written.
    """
    end = _data_end(path)
    if not end:
        raise not_mcap(path)
    lost = path.stat().st_size - end
    if lost > _MOST_TORN:
        raise MbmfError(f"{path} is damaged at byte {end}, with {lost} bytes after that; it is left as it is")
    file = os.open(path, os.O_RDWR)
    try:
        os.ftruncate(file, end)
        write_at(file, CLOSING, end)
        os.fsync(file)
    finally:
        os.close(file)
    return lost


def write_at(file: int, data: bytes, offset: int) -> None:
    """Write all of ``data``.

    Raises:
        OSError: a part of it may have been written.
    """
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def _data_end(path: Path) -> int:
    """Where the sound records of the data section end; 0 if not even the header is whole."""
    if not begins(path):
        return 0
    size, end, chunk_sound = path.stat().st_size, 0, True
    with path.open("rb") as file:
        file.seek(len(MAGIC))
        for opcode, start, content in _records(file, size):
            if opcode == DATA_END or opcode in _INDEX:
                break
            if opcode == CHUNK:
                chunk_sound = _sound(content)
            if chunk_sound or opcode not in (CHUNK, MESSAGE_INDEX):
                end = start + 9 + len(content)
    return end


def _records(file: BinaryIO, size: int) -> Iterator[tuple[int, int, bytes]]:
    """Opcode, place and content of the records from here on, as far as they are whole."""
    start = file.tell()
    while len(head := file.read(9)) == 9:
        opcode, length = struct.unpack("<BQ", head)
        if start + 9 + length > size or opcode not in _KNOWN:
            return
        yield opcode, start, file.read(length)
        start += 9 + length


def _chunk_data(content: bytes) -> bytes:
    """The records in a chunk.

    Raises:
        MbmfError: they are not whole.
    """
    if len(content) < 32:
        raise MbmfError(f"a chunk has at least 32 bytes, got {len(content)}")
    _, _, raw_size, checksum = struct.unpack_from("<QQQI", content)
    name, at = _read_text(content, 28)
    (size,) = struct.unpack_from("<Q", content, at)
    if at + 8 + size > len(content):
        raise MbmfError(f"expected a chunk of {at + 8 + size} bytes, got {len(content)}")
    data = unpack(content[at + 8 : at + 8 + size], name)
    if len(data) != raw_size or (checksum and zlib.crc32(data) != checksum):
        raise MbmfError("the checksum of a chunk is wrong")
    return data


def _sound(chunk: bytes) -> bool:
    """Whether a chunk record's content is whole."""
    try:
        _chunk_data(chunk)
    except (MbmfError, struct.error, UnicodeDecodeError):
        return False
    return True


def _read_text(content: bytes, at: int) -> tuple[str, int]:
    """A string and where it ends."""
    (length,) = struct.unpack_from("<I", content, at)
    if (end := at + 4 + length) > len(content):
        raise MbmfError(f"expected a text of {length} bytes, got {len(content) - at - 4}")
    return content[at + 4 : end].decode(), end
