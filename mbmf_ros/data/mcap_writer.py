"""Writing one MCAP file that is whole after every flush.

Every flush is a single write of a chunk followed by the closing records, which the next chunk overwrites. So a log
that is still being written, or whose writer was killed, opens in any MCAP reader; only a flush torn in the middle needs
:func:`mbmf_ros.data.mcap.mend`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import zlib
from pathlib import Path

from mbmf_ros.data.mcap import (
    CHANNEL,
    CHUNK,
    CHUNK_INDEX,
    CLOSING,
    DATA_END,
    HEADER,
    MAGIC,
    MESSAGE,
    MESSAGE_INDEX,
    SCHEMA,
    STATISTICS,
    SUMMARY_OFFSET,
    footer,
    record,
    text,
    write_at,
)

LIBRARY = "mbmf_ros"
"""What these files say they were written by."""
_SCHEMA_ID = _CHANNEL_ID = 1
_MESSAGE_BYTES = 31 + 16  # of a message beside its data: the record's head, and its entry in the chunk's index


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
        self.flushed = 0  # messages
        self.first_ns = self.last_ns = 0  # log times of flushed messages
        schema = struct.pack("<H", _SCHEMA_ID) + text(message_type) + text("ros2msg") + text(definition)
        self._schema = record(SCHEMA, schema)
        qos = text("offered_qos_profiles") + text("")
        channel = struct.pack("<HH", _CHANNEL_ID, _SCHEMA_ID) + text(topic) + text("cdr")
        self._channel = record(CHANNEL, channel + struct.pack("<I", len(qos)) + qos)
        self._pending: list[tuple[int, bytes]] = []  # log time [ns] and data
        self._pending_bytes = 0
        self._chunk_indices: list[bytes] = []
        self._end = 0  # of the data section, where the closing records begin
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            start = MAGIC + record(HEADER, text("ros2") + text(LIBRARY)) + self._schema + self._channel
            self._append(start, CLOSING)
        except OSError:
            os.close(self._file)
            path.unlink()
            raise

    @property
    def size(self) -> int:
        """Bytes written and pending."""
        return self._end + self._pending_bytes

    @property
    def pending(self) -> int:
        """Messages that a kill would lose."""
        return len(self._pending)

    @property
    def removed(self) -> bool:
        """Whether somebody has deleted the file: what is written to it is lost."""
        return os.fstat(self._file).st_nlink == 0

    def write(self, data: bytes, time_ns: int) -> None:
        """Add a serialised message to the pending chunk; times that do not grow are moved behind the last one."""
        last_ns = self._pending[-1][0] if self._pending else self.last_ns
        self._pending.append((max(time_ns, last_ns + 1), data))
        self._pending_bytes += _MESSAGE_BYTES + len(data)

    def take_pending(self) -> list[tuple[int, bytes]]:
        """Log time [ns] and data of the pending messages, which are then pending no more."""
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        return pending

    def flush(self) -> None:
        """Write the pending chunk.

        Raises:
            OSError: no space, or another fault; the file then still is as it was before, and the chunk still pending.
        """
        if not self._pending:
            return
        inner, entries = bytearray(), bytearray()
        for number, (time_ns, data) in enumerate(self._pending, start=self.flushed):
            entries += struct.pack("<QQ", time_ns, len(inner))
            inner += struct.pack("<BQHIQQ", MESSAGE, 22 + len(data), _CHANNEL_ID, number, time_ns, time_ns) + data
        first_ns, last_ns = self._pending[0][0], self._pending[-1][0]
        span = struct.pack("<QQ", first_ns, last_ns)
        sizes = struct.pack("<QI", len(inner), zlib.crc32(inner)) + text("") + struct.pack("<Q", len(inner))
        chunk = record(CHUNK, span + sizes + inner)
        index = record(MESSAGE_INDEX, struct.pack("<HI", _CHANNEL_ID, len(entries)) + entries)
        where = struct.pack("<QQIHQ", self._end, len(chunk), 10, _CHANNEL_ID, self._end + len(chunk))
        lengths = struct.pack("<Q", len(index)) + text("") + struct.pack("<QQ", len(inner), len(inner))
        self._append(chunk + index, CLOSING)
        self._chunk_indices.append(record(CHUNK_INDEX, span + where + lengths))
        self.first_ns, self.last_ns = self.first_ns or first_ns, last_ns
        self.flushed += len(self.take_pending())

    def close(self) -> None:
        """Flush, write the index that lets readers seek, and close.

        Raises:
            OSError: no space; what was flushed before is whole all the same.
        """
        try:
            self.flush()
            self._append(record(DATA_END, struct.pack("<I", 0)) + self._summary(), b"")
            os.fsync(self._file)
        finally:
            os.close(self._file)

    def abandon(self) -> None:
        """Close without writing anything more."""
        os.close(self._file)

    def _summary(self) -> bytes:
        start = self._end + len(record(DATA_END, b"\0\0\0\0"))
        times = (self.first_ns, self.last_ns)
        counts = (self.flushed, 1, 1, 0, 0, len(self._chunk_indices))
        statistics = struct.pack("<QHIIIIQQIHQ", *counts, *times, 10, _CHANNEL_ID, self.flushed)
        groups = [(SCHEMA, self._schema), (CHANNEL, self._channel), (STATISTICS, record(STATISTICS, statistics))]
        if self._chunk_indices:
            groups.append((CHUNK_INDEX, b"".join(self._chunk_indices)))
        offsets, at = b"", start
        for opcode, group in groups:
            offsets += record(SUMMARY_OFFSET, struct.pack("<BQQ", opcode, at, len(group)))
            at += len(group)
        return b"".join(group for _, group in groups) + offsets + footer(start, at)

    def _append(self, data: bytes, closing: bytes) -> None:
        """Overwrite the closing records by ``data`` and new ones, or leave the file as it was."""
        try:
            write_at(self._file, data + closing, self._end)
        except OSError:
            if self._end:
                write_at(self._file, CLOSING, self._end)  # over the old ones: needs no space
            os.ftruncate(self._file, self._end + len(CLOSING) if self._end else 0)
            raise
        self._end += len(data)
