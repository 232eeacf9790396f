"""Rosbag2 bags as sequences of RobotState messages, read without ROS, whole or torn.

Neither ``metadata.yaml`` nor an index is needed: what a killed recorder left behind is read as far as it is whole.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from mbmf_ros.data import mcap, sqlite_bag
from mbmf_ros.data.mcap import Channel, McapScan
from mbmf_ros.data.sqlite_bag import SqliteScan
from mbmf_ros.data.unpacking import SUFFIXES, unpack_file, unpack_message
from mbmf_ros.errors import MbmfError

STATE_TYPE = "mbmf_ros/msg/RobotState"


def state_definition() -> str:
    """The text of ``RobotState.msg``, from the source tree or from where the package was installed.

    Raises:
        MbmfError: it is in neither place.
    """
    here = Path(__file__)
    for folder in (*here.parents, *here.resolve().parents):
        for file in (folder / "msg" / "RobotState.msg", folder / "share" / "mbmf_ros" / "msg" / "RobotState.msg"):
            if file.is_file():
                return file.read_text(encoding="utf-8")
    raise MbmfError(f"no RobotState.msg near {here}: expected msg/ of the source tree or share/mbmf_ros/msg; reinstall")


@functools.cache
def state_types() -> Typestore:
    """The standard message types and RobotState, for ``rosbags``."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(get_types_from_msg(state_definition(), STATE_TYPE))
    return store


def file_number(file: Path) -> int:
    """The number at the end of a file's name, as rosbag2 numbers the files of a bag."""
    found = re.search(r"(\d+)\.(?:mcap|db3)(?:\.\w+)?$", file.name)
    return int(found.group(1)) if found else 0


def bag_files(folder: Path) -> list[Path]:
    """The folder's recordings in the order of their numbers."""
    files = [file for file in folder.iterdir() if _is_recording(file)]
    return sorted(files, key=lambda file: (file_number(file), file.name))


def bags(path: Path) -> list[list[Path]]:
    """The files of each bag there: of a bag's folder, or of every folder below one that is none, or one file.

    Raises:
        MbmfError: there is no bag.
    """
    if path.is_file():
        return [[path]]
    if not path.is_dir():
        raise MbmfError(f"there is no log {path}; expected a rosbag2 folder, or an .mcap or .db3 file")
    folders = [path] if bag_files(path) else sorted({file.parent for file in path.rglob("*") if _is_recording(file)})
    if not folders:
        raise MbmfError(f"there is no bag in {path}; expected .mcap or .db3 files there or in folders below")
    return [bag_files(folder) for folder in folders]


@dataclass(frozen=True)
class Heard:
    """A RobotState message of a bag.

    Attributes:
        file: number of the file in the bag.
        topic: on which it was heard.
        time_ns: when it was recorded.
        state: the message; None if it cannot be decoded.
    """

    file: int
    topic: str
    time_ns: int
    state: Any


class StateReader:
    """Every RobotState message of a bag.

    Args:
        files: of the bag, in order.
        topics: only these; all by default.
        every: only every so manieth of them.

    Attributes:
        others: topics of other types in the bag, with the type.
        damages: what could not be read; known when all messages have been read.
    """

    def __init__(self, files: Collection[Path], topics: Collection[str] = (), every: int = 1):
        self.others: dict[str, str] = {}
        self.damages: list[str] = []
        self._files, self._topics, self._every = files, topics, every

    def __iter__(self) -> Iterator[Heard]:
        """All messages in the order in which they were recorded.

        Raises:
            MbmfError: the messages lack a field, or the only file is no recording.
            OSError: a file cannot be read.
        """
        count = itertools.count()
        for number, file in enumerate(self._files):
            with contextlib.ExitStack() as stack:
                try:
                    scan = _scan(file, stack)
                except MbmfError as error:
                    if len(self._files) == 1:
                        raise
                    if file.stat().st_size:  # a recorder that was killed at once leaves an empty file
                        self.damages.append(str(error))
                    continue
                for channel, time_ns, data in scan.messages():
                    chosen = not self._topics or channel.topic in self._topics
                    if channel.message_type == STATE_TYPE and chosen and next(count) % self._every == 0:
                        yield Heard(number, channel.topic, time_ns, _decoded(channel, data))
                self.others |= {c.topic: c.message_type for c in scan.channels.values() if c.message_type != STATE_TYPE}
                self.damages += [scan.damage] if scan.damage else []


def _is_recording(file: Path) -> bool:
    name = file.name.removesuffix(file.suffix) if file.suffix in SUFFIXES else file.name
    return name.endswith((".mcap", ".db3")) and file.is_file()


def _scan(file: Path, stack: contextlib.ExitStack) -> McapScan | SqliteScan:
    """A scan of a recording; of an unpacked copy, if it is compressed as a whole.

    Raises:
        MbmfError: it is no recording.
    """
    if file.suffix in SUFFIXES:
        file = unpack_file(file, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mbmf_ros_"))))
    with file.open("rb") as opened:
        if opened.read(len(sqlite_bag.MAGIC)) == sqlite_bag.MAGIC:
            return SqliteScan(file)
    if not mcap.begins(file):
        raise mcap.not_mcap(file)
    return McapScan(file)


@functools.lru_cache(maxsize=64)
def _types(definition: str) -> Typestore:
    """Types to decode messages by: the definition that the bag carries, or else ours."""
    ours = state_types()
    store = get_typestore(Stores.EMPTY)
    try:
        store.register(get_types_from_msg(definition, STATE_TYPE))
    except TypesysError:  # there is none, or it is damaged
        return ours
    fields = dict(store.fielddefs.get(STATE_TYPE, ((), ()))[1])
    for name, kind in ours.fielddefs[STATE_TYPE][1]:
        if fields.get(name) != kind:
            raise MbmfError(
                f"the log's {STATE_TYPE} has no field {name!r} like ours; it was written by another version"
            )
    parts = [kind for kind in store.fielddefs if kind in ours.fielddefs and kind != STATE_TYPE]
    if any(store.fielddefs[kind][1] != ours.fielddefs[kind][1] for kind in parts):  # damaged: those never change
        return ours
    return store


def _decoded(channel: Channel, data: bytes) -> Any:
    types = _types(channel.definition) if channel.definition else state_types()
    with contextlib.suppress(SerdeError, MbmfError, KeyError):  # the last: a definition that lacks a part
        return types.deserialize_cdr(unpack_message(data), STATE_TYPE) if channel.encoding == "cdr" else None
    return None
