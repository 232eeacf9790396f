"""Bags that rosbag2 wrote as SQLite databases (``.db3``), the default before ROS 2 Iron."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from mbmf_ros.data.mcap import Channel, Scanned

MAGIC = b"SQLite format 3\0"
_LEFT_OVERS = ("-wal", "-journal")  # of a recorder that was killed: they belong to the database


class SqliteScan:
    """The messages of a database in the order in which they were recorded, as far as it is whole.

    Attributes:
        channels: by number, as far as they are known.
        damage: why reading ended early; known when all messages have been read.
    """

    def __init__(self, path: Path):
        self.path = path
        self.channels: dict[int, Channel] = {}
        self.damage = ""

    def messages(self) -> Iterator[Scanned]:
        """Channel, time [ns] and data of every message.

        Raises:
            OSError: it cannot be read.
        """
        with contextlib.ExitStack() as stack:
            try:
                database = stack.enter_context(contextlib.closing(self._open(stack)))
                yield from self._rows(database)
            except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter where an error quotes the damage
                self.damage = f"{self.path.name}: {error}"

    def _open(self, stack: contextlib.ExitStack) -> sqlite3.Connection:
        """The database; a copy if its recorder left something that must be put in order first."""
        left = [self.path.with_name(self.path.name + ending) for ending in _LEFT_OVERS]
        left = [path for path in left if path.exists() and path.stat().st_size]
        if not left:
            return sqlite3.connect(f"file:{quote(str(self.path.absolute()))}?mode=ro&immutable=1", uri=True)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mbmf_ros_")))
        for path in (self.path, *left):
            shutil.copy(path, folder)
        return sqlite3.connect(folder / self.path.name)

    def _rows(self, database: sqlite3.Connection) -> Iterator[Scanned]:
        definitions: dict[str, str] = {}
        with contextlib.suppress(sqlite3.OperationalError):  # there is no such table before ROS 2 Iron
            rows = database.execute("SELECT topic_type, encoding, encoded_message_definition FROM message_definitions")
            definitions = {kind: text for kind, encoding, text in rows if encoding == "ros2msg"}
        for number, topic, kind, encoding in database.execute(
            "SELECT id, name, type, serialization_format FROM topics"
        ):
            self.channels[number] = Channel(topic, kind, encoding, definitions.get(kind, ""))
        for number, time_ns, data in database.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id"):
            if number in self.channels and isinstance(data, bytes):
                yield self.channels[number], time_ns, data
