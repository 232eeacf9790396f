"""Rosbag2 folders and MCAP files as sequences of RobotState messages, read without ROS."""

from __future__ import annotations

import contextlib
import re
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from mbmf_ros.data.mcap import begins, is_whole, mend
from mbmf_ros.errors import MbmfError

STATE_TYPE = "mbmf_ros/msg/RobotState"
METADATA = "metadata.yaml"


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


def state_types() -> Typestore:
    """The standard message types and RobotState, for ``rosbags``."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(get_types_from_msg(state_definition(), STATE_TYPE))
    return store


def file_number(file: Path) -> int:
    """The number at the end of a file's name, as rosbag2 numbers the files of a bag."""
    found = re.search(r"_(\d+)\.mcap$", file.name)
    return int(found.group(1)) if found else 0


def bag_files(folder: Path) -> list[Path]:
    """The folder's MCAP files in the order of their numbers; those that broke off before they began are left out."""
    return sorted(filter(begins, folder.glob("*.mcap")), key=lambda file: (file_number(file), file.name))


def read_states(path: Path) -> Iterator[tuple[str, Any]]:
    """Topic and decoded message of every RobotState; a message that cannot be decoded is None.

    Raises:
        MbmfError: it is no log, or damaged beyond its end.
    """
    for part in _parts(path):
        with open_bag(part) as reader:
            connections = [connection for connection in reader.connections if connection.msgtype == STATE_TYPE]
            types = {connection.id: _types(connection) for connection in connections}
            for connection, _, data in reader.messages(connections) if connections else ():
                yield connection.topic, _decoded(types[connection.id], data)


def _parts(path: Path) -> list[Path]:
    """What to open: the bag as a whole, or its files one by one if one of them is torn or the metadata is missing."""
    if path.is_file():
        return [path]
    files = bag_files(path)
    if (path / METADATA).exists() and all(map(is_whole, files)):
        return [path]
    return files


@contextlib.contextmanager
def open_bag(part: Path) -> Iterator[Reader]:
    """An open reader of a bag or file; of a torn file, a mended copy is read.

    Raises:
        MbmfError: it is no log, or turns out to be damaged while it is read.
    """
    with contextlib.ExitStack() as stack:
        readable = part
        if part.suffix == ".mcap" and not is_whole(part):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mbmf_ros_"))
            readable = Path(shutil.copy(part, folder))
            mend(readable)
        try:
            yield stack.enter_context(Reader(readable))
        except (ReaderError, TypesysError, struct.error) as error:
            raise MbmfError(f"{part} is no readable log ({error}); try `ros2 bag reindex`") from error


def _types(connection: Connection) -> Typestore:
    """Types to decode a connection by: the definition that the bag carries, or else ours."""
    ours = state_types()
    if connection.msgdef.format != MessageDefinitionFormat.MSG:
        return ours
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(connection.msgdef.data, STATE_TYPE))
    fields = {name for name, _ in store.fielddefs[STATE_TYPE][1]}
    if missing := [name for name, _ in ours.fielddefs[STATE_TYPE][1] if name not in fields]:
        raise MbmfError(f"the log's {STATE_TYPE} has no field {missing[0]!r}; it was written by another version")
    return store


def _decoded(types: Typestore, data: bytes) -> Any:
    with contextlib.suppress(SerdeError, struct.error, UnicodeDecodeError, ValueError, IndexError):
        return types.deserialize_cdr(data, STATE_TYPE)
    return None
