"""Writing one MCAP file that is whole after every flush, and mending one that is not.

Every flush is a single write of a chunk followed by the closing records, which the next chunk overwrites. So a log
that is still being written, or whose writer was killed, opens in any MCAP reader; only a flush torn in the middle (a
power cut) needs :func:`mend`. Format: https://mcap.dev/spec
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from mbmf_ros.errors import MbmfError

MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX, _CHUNK_INDEX = range(1, 9)
_ATTACHMENT, _STATISTICS, _METADATA, _SUMMARY_OFFSET, _DATA_END = 0x09, 0x0B, 0x0C, 0x0E, 0x0F
_DATA = {_HEADER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX, _ATTACHMENT, _METADATA}  # before the data's end
_SCHEMA_ID = _CHANNEL_ID = 1


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data


def _record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def _footer(summary_start: int, summary_offset_start: int) -> bytes:
    return _record(_FOOTER, struct.pack("<QQI", summary_start, summary_offset_start, 0)) + MAGIC


_CLOSING = _record(_DATA_END, struct.pack("<I", 0)) + _footer(0, 0)


class McapWriter:
    """An MCAP file of one topic.

    Args:
        path: the new file.
        topic: topic name.
        message_type: its ROS type, such as ``mbmf_ros/msg/RobotState``.
        definition: the type's definition with all types it needs, in the format of ``ros2msg`` schemas.

    Raises:
        OSError: the file exists already or cannot be written.
    """

    def __init__(self, path: Path, topic: str, message_type: str, definition: str):
        self.path = path
        self.messages = 0
        self.first_ns = self.last_ns = 0
        self._schema = _record(
            _SCHEMA,
            struct.pack("<H", _SCHEMA_ID) + _text(message_type) + _text("ros2msg") + _text(definition),
        )
        qos = _text("offered_qos_profiles") + _text("")
        self._channel = _record(
            _CHANNEL,
            struct.pack("<HH", _CHANNEL_ID, _SCHEMA_ID)
            + _text(topic)
            + _text("cdr")
            + struct.pack("<I", len(qos))
            + qos,
        )
        self._chunk = bytearray()
        self._index: list[tuple[int, int]] = []  # log time [ns] and offset in the chunk of each pending message
        self._chunk_indices: list[bytes] = []
        self._end = 0  # of the data section, where the closing records begin
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            start = MAGIC + _record(_HEADER, _text("ros2") + _text("mbmf_ros")) + self._schema + self._channel
            self._append(start, _CLOSING)
        except OSError:
            os.close(self._file)
            raise

    @property
    def size(self) -> int:
        """Bytes written and pending."""
        return self._end + len(self._chunk)

    @property
    def pending(self) -> int:
        """Messages that a kill would lose."""
        return len(self._index)

    def write(self, data: bytes, time_ns: int) -> None:
        """Add a serialised message to the pending chunk; times that do not grow are moved behind the last one."""
        time_ns = max(time_ns, self.last_ns + 1)
        if not self.first_ns:
            self.first_ns = time_ns
        self.last_ns = time_ns
        self._index.append((time_ns, len(self._chunk)))
        content_size = 22 + len(data)
        self._chunk += struct.pack("<BQHIQQ", _MESSAGE, content_size, _CHANNEL_ID, self.messages, time_ns, time_ns)
        self._chunk += data
        self.messages += 1

    def flush(self) -> None:
        """Write the pending chunk.

        Raises:
            OSError: no space, or another fault; the file then still is as it was before, and the chunk still pending.
        """
        if not self._index:
            return
        span = struct.pack("<QQ", self._index[0][0], self._index[-1][0])
        sizes = struct.pack("<QI", len(self._chunk), zlib.crc32(self._chunk)) + _text("")
        chunk = _record(_CHUNK, span + sizes + struct.pack("<Q", len(self._chunk)) + self._chunk)
        entries = b"".join(struct.pack("<QQ", *entry) for entry in self._index)
        index = _record(_MESSAGE_INDEX, struct.pack("<HI", _CHANNEL_ID, len(entries)) + entries)
        where = struct.pack("<QQIHQ", self._end, len(chunk), 10, _CHANNEL_ID, self._end + len(chunk))
        lengths = struct.pack("<Q", len(index)) + _text("") + struct.pack("<QQ", len(self._chunk), len(self._chunk))
        self._append(chunk + index, _CLOSING)
        self._chunk_indices.append(_record(_CHUNK_INDEX, span + where + lengths))
        self._chunk.clear()
        self._index.clear()

    def close(self) -> None:
        """Flush, write the index that lets readers seek, and close.

        Raises:
            OSError: no space; what was flushed before is whole all the same.
        """
        try:
            self.flush()
            self._append(_record(_DATA_END, struct.pack("<I", 0)) + self._summary(), b"")
            os.fsync(self._file)
        finally:
            os.close(self._file)

    def abandon(self) -> None:
        """Close without writing anything more."""
        os.close(self._file)

    def _summary(self) -> bytes:
        start = self._end + len(_record(_DATA_END, b"\0\0\0\0"))
        flushed = self.messages - len(self._index)
        statistics = struct.pack(
            "<QHIIIIQQIHQ",
            *(flushed, 1, 1, 0, 0, len(self._chunk_indices), self.first_ns, self.last_ns, 10, _CHANNEL_ID, flushed),
        )
        groups = [(_SCHEMA, self._schema), (_CHANNEL, self._channel), (_STATISTICS, _record(_STATISTICS, statistics))]
        if self._chunk_indices:
            groups.append((_CHUNK_INDEX, b"".join(self._chunk_indices)))
        offsets, at = b"", start
        for opcode, group in groups:
            offsets += _record(_SUMMARY_OFFSET, struct.pack("<BQQ", opcode, at, len(group)))
            at += len(group)
        return b"".join(group for _, group in groups) + offsets + _footer(start, at)

    def _append(self, data: bytes, closing: bytes) -> None:
        """Overwrite the closing records by ``data`` and new ones, or leave the file as it was."""
        try:
            _write_at(self._file, data + closing, self._end)
        except OSError:
            if self._end:
                _write_at(self._file, _CLOSING, self._end)  # over the old ones: needs no space
            os.ftruncate(self._file, self._end + len(_CLOSING) if self._end else 0)
            raise
        self._end += len(data)


def _write_at(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


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
    return opcode == _HEADER and len(head) + length <= path.stat().st_size


def is_whole(path: Path) -> bool:
    """Whether the file ends as it should: with an index, or with closing records right after whole data.

    Raises:
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if size < len(MAGIC) + len(_CLOSING) or file.read(len(MAGIC)) != MAGIC:
            return False
        file.seek(size - len(_CLOSING))
        closing = file.read()
    footer_at = len(closing) - len(_footer(0, 0))
    if closing[footer_at : footer_at + 9] != _CLOSING[footer_at : footer_at + 9] or not closing.endswith(MAGIC):
        return False
    (summary_start,) = struct.unpack_from("<Q", closing, footer_at + 9)
    return summary_start > 0 or (closing[0] == _DATA_END and _data_end(path) == size - len(_CLOSING))


def mend(path: Path) -> int:
    """Cut a torn file after its last whole chunk and close it properly; returns how many bytes were cut off.

    Raises:
        MbmfError: there is no whole beginning; it is no MCAP file.
        OSError: it cannot be written.
    """
    end = _data_end(path)
    if not end:
        raise MbmfError(f"{path} does not begin like an MCAP file: expected a log, found something else; remove it")
    lost = path.stat().st_size - end
    file = os.open(path, os.O_RDWR)
    try:
        os.ftruncate(file, end)
        _write_at(file, _CLOSING, end)
        os.fsync(file)
    finally:
        os.close(file)
    return lost


def _data_end(path: Path) -> int:
    """Where the whole records of the data section end; 0 if not even the first one is whole."""
    size, end = path.stat().st_size, 0
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return 0
        while len(head := file.read(9)) == 9:
            opcode, length = struct.unpack("<BQ", head)
            stop = file.tell() + length
            if opcode not in _DATA or stop > size or (opcode == _CHUNK and not _sound(file.read(length))):
                break
            end = file.seek(stop)
    return end


def _sound(chunk: bytes) -> bool:
    """Whether a chunk record's content has the length and, uncompressed, the checksum that it states."""
    if len(chunk) < 32:
        return False
    _, _, raw_size, checksum, name_size = struct.unpack_from("<QQQII", chunk)
    if len(chunk) < 40 + name_size:
        return False
    (size,) = struct.unpack_from("<Q", chunk, 32 + name_size)
    data = chunk[40 + name_size :]
    if len(data) != size:
        return False
    return name_size > 0 or (len(data) == raw_size and (not checksum or zlib.crc32(data) == checksum))
