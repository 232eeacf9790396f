"""What a robot experiences: logged on disk for good, and kept in memory to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mbmf_ros.data.episodes import EpisodeBuilder
from mbmf_ros.data.log import StateLog, read_log
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec


class Recorder:
    """Takes every state of a robot. A disk that fails ends the logging, never the recording.

    Args:
        spec: the robot.
        folder: of the log; what it holds already is taken over. None: no log.
        topic: name under which states are logged.
        max_transitions: kept in memory, the newest.
        max_bytes: a log that would grow beyond that is closed; 0: no limit.

    Raises:
        MbmfError: the folder holds something else than a log.
    """

    def __init__(self, spec: RobotSpec, folder: Path | None, topic: str, max_transitions: int, max_bytes: int = 0):
        self.folder = folder
        self.ticks = EpisodeBuilder(spec, max_transitions)
        self.notes: list[str] = []  # what happened when the log was opened, for people
        self.error = ""  # why logging has failed
        self.full = ""  # that logging has ended at ``max_bytes``
        self.logged = 0  # messages
        self._max_bytes = max_bytes
        self._log: StateLog | None = None
        if folder is None:
            return
        try:
            if list(folder.glob("*.mcap")):
                self._recall(folder, spec, max_transitions)
            self._log = StateLog(folder, topic)
        except OSError as error:
            self._lose(error)
            return
        if self._log.mended_bytes:
            self.notes.append(f"the log was torn: {self._log.mended_bytes} bytes at its end were cut off")
        self.notes.append(f"logging to {folder}")

    def take(self, data: bytes, state: Any) -> bool:
        """The next state of the stream: as it was serialised (CDR), and decoded; whether it was usable."""
        if self._log is not None and 0 < self._max_bytes < self._log.size + len(data):
            self.full = f"not logging any more: {self.folder} has its {self._max_bytes / 1e6:.0f} MB"
            self.close()
        if self._log is not None:
            try:
                self.logged += 1
                self._log.write(data)
            except OSError as error:
                self._lose(error)
        return self.ticks.add(state)

    def flush_if_due(self) -> None:
        """Write to disk what has been waiting for a second; to be called a few times a second."""
        if self._log is not None:
            try:
                self._log.flush_if_due()
            except OSError as error:
                self._lose(error)

    def close(self) -> None:
        """Write everything to disk."""
        log, self._log = self._log, None
        if log is not None:
            try:
                log.close()
            except OSError as error:
                self.logged -= log.pending
                self._lose(error)

    def _recall(self, folder: Path, spec: RobotSpec, max_transitions: int) -> None:
        """Take over the transitions of earlier runs."""
        try:
            before = read_log(folder, spec, max_transitions)
        except MbmfError as error:
            self.notes.append(f"not learning from earlier runs: {error}")
            return
        self.ticks.add_store(before.store)
        self.notes.append(f"{before.store.transitions} transitions of earlier runs")

    def _lose(self, error: OSError) -> None:
        where = error.filename or self.folder
        self.error = (
            f"not logging any more: {error.strerror or error} ({where}); free the disk or choose another log_dir"
        )
        log, self._log = self._log, None
        if log is not None:
            self.logged -= log.pending
            log.abandon()
