"""The durable log of a robot: every RobotState message in a rosbag2 folder of MCAP files, written and read.

Neither direction needs ROS. The folder opens in ``ros2 bag``, Foxglove and PyPI's ``rosbags``; what ``ros2 bag record``
wrote of the same topic is read just as well.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from mbmf_ros.data.bag import METADATA, STATE_TYPE, bag_files, file_number, open_bag, read_states, state_types
from mbmf_ros.data.episodes import EpisodeBuilder
from mbmf_ros.data.mcap import McapWriter, is_whole, mend
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec

FLUSH_PERIOD_S = 1.0
"""A killed writer loses no more than this."""

_VERSION = 8  # of rosbag2's metadata: with the quality of service as text, which Humble reads too


class StateLog:
    """An append-only log; every start of the program adds a file to the folder.

    Files that an earlier, killed program left torn are mended first.

    Args:
        folder: the rosbag2 folder, made if it does not exist.
        topic: name under which the messages are logged.

    Raises:
        MbmfError: the folder holds something else.
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path, topic: str):
        self.folder, self.topic = folder, topic
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / METADATA).exists() and not list(folder.glob("*.mcap")):
            raise MbmfError(f"{folder} holds other files: expected a log or an empty folder; choose another log_dir")
        self.mended_bytes = sum(mend(file) for file in bag_files(folder) if not is_whole(file))
        self._before = [_summary(file) for file in bag_files(folder)]
        self._size_before = sum(file.stat().st_size for file in folder.glob("*.mcap"))
        types = state_types()
        definition, _ = types.generate_msgdef(STATE_TYPE, ros_version=2)
        self._hash = types.hash_rihs01(STATE_TYPE)
        numbers = [file_number(file) for file in folder.glob("*.mcap")]
        path = folder / f"{folder.name}_{max(numbers, default=-1) + 1}.mcap"
        self._writer = McapWriter(path, topic, STATE_TYPE, definition)
        self._flushed_at = time.monotonic()
        self._write_metadata()

    @property
    def messages(self) -> int:
        """Messages logged since this program started."""
        return self._writer.messages

    @property
    def size(self) -> int:
        """Bytes in the folder, pending ones included."""
        return self._size_before + self._writer.size

    @property
    def pending(self) -> int:
        """Of those, messages that are not on disk yet."""
        return self._writer.pending

    def write(self, data: bytes, time_ns: int | None = None) -> None:
        """Log one serialised RobotState (CDR).

        Args:
            data: the message as it came.
            time_ns: when it came, since the epoch; now by default.

        Raises:
            OSError: no space, or another fault; what was flushed before is whole.
        """
        self._writer.write(data, time.time_ns() if time_ns is None else time_ns)
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Write to disk what has been waiting for a second; call it now and then while no messages come.

        Raises:
            OSError: as :meth:`write`.
        """
        if time.monotonic() - self._flushed_at >= FLUSH_PERIOD_S:
            self.flush()

    def flush(self) -> None:
        """Write to disk what is waiting.

        Raises:
            OSError: as :meth:`write`.
        """
        self._flushed_at = time.monotonic()
        self._writer.flush()

    def close(self) -> None:
        """Flush, index and close the file.

        Raises:
            OSError: as :meth:`write`.
        """
        self._writer.close()
        self._write_metadata()

    def abandon(self) -> None:
        """Close without writing anything more; what was flushed is whole."""
        self._writer.abandon()

    def _write_metadata(self) -> None:
        writer = self._writer
        now = _FileSummary(writer.path.name, writer.messages, writer.first_ns, writer.last_ns)
        files = [*self._before, now]
        filled = [file for file in files if file.messages]
        first_ns = min((file.first_ns for file in filled), default=0)
        count = sum(file.messages for file in files)
        topic = {
            "name": self.topic,
            "type": STATE_TYPE,
            "serialization_format": "cdr",
            "offered_qos_profiles": "",
            "type_description_hash": self._hash,
        }
        information = {
            "version": _VERSION,
            "storage_identifier": "mcap",
            "duration": {"nanoseconds": max((file.last_ns for file in filled), default=0) - first_ns},
            "starting_time": {"nanoseconds_since_epoch": first_ns},
            "message_count": count,
            "topics_with_message_count": [{"topic_metadata": topic, "message_count": count}],
            "compression_format": "",
            "compression_mode": "",
            "relative_file_paths": [file.name for file in files],
            "files": [
                {
                    "path": file.name,
                    "starting_time": {"nanoseconds_since_epoch": file.first_ns},
                    "duration": {"nanoseconds": file.last_ns - file.first_ns},
                    "message_count": file.messages,
                }
                for file in files
            ],
            "custom_data": None,
            "ros_distro": "",
        }
        draft = self.folder / f"{METADATA}.new"
        draft.write_text(yaml.safe_dump({"rosbag2_bagfile_information": information}, sort_keys=False), "utf-8")
        draft.replace(self.folder / METADATA)


@dataclass(frozen=True)
class _FileSummary:
    """A file of the log: messages, and the times [ns] of the first and last one."""

    name: str
    messages: int
    first_ns: int
    last_ns: int


def _summary(file: Path) -> _FileSummary:
    with open_bag(file) as reader:
        count = reader.message_count
        return _FileSummary(file.name, count, *((reader.start_time, reader.end_time - 1) if count else (0, 0)))


@dataclass(frozen=True)
class LogContents:
    """What a log holds.

    Attributes:
        store: the transitions.
        messages: RobotState messages read.
        rejected: of those, malformed ones, and ones of another robot.
        problem: why the last of them was rejected.
    """

    store: TransitionStore
    messages: int
    rejected: int
    problem: str


def read_log(path: Path, spec: RobotSpec, max_transitions: int | None = None) -> LogContents:
    """The transitions in a log: a rosbag2 folder or one MCAP file.

    Ticks are paired only if they follow each other in one episode of one topic; gaps and malformed messages end an
    episode. The beginning of a torn file is read up to its last whole chunk; the file is left as it is.

    Args:
        path: folder or file.
        spec: the robot.
        max_transitions: at most about so many of the newest are kept; all by default.

    Raises:
        MbmfError: there is no such log, it is damaged beyond its end, or it holds nothing of this robot.
    """
    if not path.exists():
        raise MbmfError(f"there is no log {path}; expected a rosbag2 folder or an .mcap file")
    builders: dict[str, EpisodeBuilder] = {}
    messages = 0
    for topic, state in read_states(path):
        messages += 1
        if topic not in builders:
            builders[topic] = EpisodeBuilder(spec, max_transitions)
        if state is None:
            builders[topic].reject("the message could not be decoded")
        else:
            builders[topic].add(state)
    store = TransitionStore(spec)
    for builder in builders.values():
        store.extend(builder.store())
    rejected = sum(builder.rejected for builder in builders.values())
    problem = next((builder.problem for builder in builders.values() if builder.problem), "")
    if not messages or messages == rejected:
        what = f"only unusable ones ({problem})" if messages else "none"
        raise MbmfError(f"{path}: expected {STATE_TYPE} messages of robot {spec.name!r}, found {what}")
    return LogContents(store, messages, rejected, problem)
