"""The durable log of a robot: every RobotState message in a rosbag2 folder of MCAP files, a ring of them.

Writing needs no ROS. The folder opens in ``ros2 bag``, Foxglove and PyPI's ``rosbags``.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from pathlib import Path

from mbmf_ros.data.bag import STATE_TYPE, file_number, state_types
from mbmf_ros.data.bag_metadata import METADATA, FileSummary, write_metadata
from mbmf_ros.data.mcap import begins, is_whole, library, mend, tally
from mbmf_ros.data.mcap_writer import LIBRARY, McapWriter
from mbmf_ros.errors import MbmfError

FLUSH_PERIOD_S = 0.5
"""What waits longer is written: half of the second that a killed writer may lose, so that a stall has time too."""

_METADATA_PERIOD_S = 10.0
_MOST_BYTES = 64_000_000  # of a file
_FEWEST_FILES = 8  # in a full ring: dropping one then loses little


class StateLog:
    """A log that a program adds to; every start of the program adds a file to the folder.

    Files that an earlier, killed program left torn are mended first. Beyond the limit the oldest files are dropped.

    Args:
        folder: the rosbag2 folder, made if it does not exist.
        topic: name under which the messages are logged.
        max_bytes: limit of the folder; 0: none.

    Attributes:
        notes: what there is to tell people, oldest first; to be emptied by who tells.
        dropped: files dropped since this program started.

    Raises:
        MbmfError: the folder holds something else.
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path, topic: str, max_bytes: int = 0):
        self.folder, self.topic = folder, topic
        self.notes: list[str] = []
        self.dropped = 0
        self._max_bytes = max_bytes
        self._file_bytes = min(_MOST_BYTES, max_bytes // _FEWEST_FILES) if max_bytes else _MOST_BYTES
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(folder)
        self._before: list[tuple[FileSummary, int]] = []  # files that are done with, and their sizes [bytes]
        for file in sorted(folder.glob("*.mcap"), key=lambda file: (file_number(file), file.name)):
            self._take_over(file)
        types = state_types()
        self._definition, _ = types.generate_msgdef(STATE_TYPE, ros_version=2)
        self._hash = types.hash_rihs01(STATE_TYPE)
        self._messages = 0  # flushed to files of this program that are done with
        self._writer = self._next_file()
        self._flushed_at = self._told_at = time.monotonic()
        self._write_metadata()

    @property
    def messages(self) -> int:
        """Messages logged since this program started, pending ones included."""
        return self._messages + self._writer.flushed + self._writer.pending

    @property
    def pending(self) -> int:
        """Of those, messages that are not on disk yet."""
        return self._writer.pending

    @property
    def size(self) -> int:
        """Bytes in the folder, pending ones included."""
        return sum(size for _, size in self._before) + self._writer.size

    @property
    def removed(self) -> bool:
        """Whether somebody has deleted the file that is being written."""
        return self._writer.removed

    def write(self, data: bytes, time_ns: int | None = None) -> None:
        """Log one serialised RobotState (CDR).

        Args:
            data: the message as it came.
            time_ns: when it came, since the epoch; now by default.

        Raises:
            OSError: no space, or another fault; what was flushed before is whole, and all else still pending.
        """
        self.add(data, time.time_ns() if time_ns is None else time_ns)
        self.flush_if_due()

    def add(self, data: bytes, time_ns: int) -> None:
        """As :meth:`write`, but the message only waits to be written."""
        self._writer.write(data, time_ns)

    def flush_if_due(self) -> None:
        """Write to disk what has been waiting; to be called a few times a second while no messages come.

        Raises:
            OSError: as :meth:`write`.
        """
        if time.monotonic() - self._flushed_at >= FLUSH_PERIOD_S:
            self.flush()

    def flush(self) -> None:
        """Write to disk what is waiting, begin a new file when this one is large, drop the oldest beyond the limit.

        Raises:
            OSError: as :meth:`write`.
        """
        self._flushed_at = time.monotonic()
        self._writer.flush()
        if self._writer.size >= self._file_bytes:
            with contextlib.suppress(OSError):  # this file goes on until there can be another one
                self._rotate()
        elif time.monotonic() - self._told_at >= _METADATA_PERIOD_S:
            self._write_metadata()
        self._drop_oldest()

    def take_pending(self) -> list[tuple[int, bytes]]:
        """Time [ns] and data of the messages that are not on disk, which are then pending no more."""
        return self._writer.take_pending()

    def close(self) -> None:
        """Flush, index and close the file.

        Raises:
            OSError: as :meth:`write`.
        """
        self._writer.close()
        self._write_metadata()

    def abandon(self) -> None:
        """Close without writing anything more; what was flushed is whole."""
        with contextlib.suppress(OSError):
            self._writer.abandon()

    def _take_over(self, file: Path) -> None:
        """Mend a file of an earlier program and take it into the books."""
        with file.open("rb") as opened:
            if _locked(opened.fileno()):
                self.notes.append(f"{file.name} is being written by another program")
                return
            if not begins(file):
                if file.stat().st_size == 0:  # that program was killed before it wrote anything
                    file.unlink()
                return
            if not is_whole(file):
                try:
                    lost = mend(file)
                    self.notes.append(f"{file.name} was torn: {lost} bytes at its end were cut off")
                except MbmfError as error:
                    self.notes.append(str(error))
            self._before.append((FileSummary(file.name, *tally(file)), file.stat().st_size))

    def _next_file(self) -> McapWriter:
        number = max(map(file_number, self.folder.glob("*.mcap")), default=-1) + 1
        return McapWriter(self.folder / f"{self.folder.name}_{number}.mcap", self.topic, STATE_TYPE, self._definition)

    def _rotate(self) -> None:
        """Go on in a new file.

        Raises:
            OSError: there can be none.
        """
        done, self._writer = self._writer, self._next_file()
        self._messages += done.flushed
        with contextlib.suppress(OSError):  # it is whole without its index too
            done.close()
        self._before.append((_summary(done), done.size))
        self._write_metadata()

    def _drop_oldest(self) -> None:
        """Delete the oldest files beyond the limit, but never the one that is being written."""
        while self._max_bytes and self.size > self._max_bytes and self._before:
            (oldest, _), *self._before = self._before
            (self.folder / oldest.name).unlink(missing_ok=True)
            self.dropped += 1
            if self.dropped == 1:
                limit = f"{self._max_bytes / 1e6:.0f} MB"
                self.notes.append(f"{self.folder} has its {limit}: from now on the oldest files are dropped")
            self._write_metadata()

    def _write_metadata(self) -> None:
        """Bring the metadata up to date; a log without is still readable, so a fault is no end."""
        self._told_at = time.monotonic()
        files = [*(file for file, _ in self._before), _summary(self._writer)]
        with contextlib.suppress(OSError):
            write_metadata(self.folder, self.topic, STATE_TYPE, self._hash, files)


def _summary(writer: McapWriter) -> FileSummary:
    return FileSummary(writer.path.name, writer.flushed, writer.first_ns, writer.last_ns)


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder that is neither empty nor a log: new metadata and the limit would damage what is there.

    Raises:
        MbmfError: it is such a one.
    """
    files = list(folder.iterdir())
    for file in files:
        if ".db3" in file.suffixes or (file.suffix == ".mcap" and begins(file) and library(file) != LIBRARY):
            raise MbmfError(f"{folder} holds the bag {file.name} of another program; choose another log_dir")
    ours = [f for f in files if f.suffix == ".mcap" or f.name.startswith((METADATA, "model_"))]
    if files and not ours:
        raise MbmfError(f"{folder} holds other files: expected a log or an empty folder; choose another log_dir")


def _locked(file: int) -> bool:
    """Whether another program is writing the file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # some network file systems have no locks
        return False
    return False
