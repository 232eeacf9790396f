"""What a robot experiences: logged on disk, and kept in memory to learn from."""

from __future__ import annotations

import errno
import time
from collections import deque
from pathlib import Path
from typing import Any

from mbmf_ros.data.episodes import EpisodeBuilder
from mbmf_ros.data.log import StateLog
from mbmf_ros.data.read_log import read_log
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec

RETRY_PERIOD_S = 1.0
"""How long after a fault of the disk the next attempt is made."""

BACKLOG_BYTES = 8_000_000
"""Messages waiting for the disk to recover; beyond that the oldest are given up."""

_PORTION = 256  # messages that are written at a time after a fault
_PASSING = {errno.ENOSPC, errno.EDQUOT}  # the file can go on when there is space again


class Recorder:
    """Takes every state of a robot. A disk that fails never ends the recording, and logging goes on when it can.

    Args:
        spec: the robot.
        folder: of the log; what it holds already is taken over. None: no log.
        topic: name under which states are logged.
        max_transitions: kept in memory, the newest.
        max_bytes: the oldest files of a log that grows beyond that are dropped; 0: no limit.

    Attributes:
        ticks: the transitions in memory.
        notes: what happened to the log, for people, oldest first; to be emptied by who tells.
        error: why nothing is being logged; empty while all is well.
        given_up: messages that will never be logged, because the disk failed too long.

    Raises:
        MbmfError: the folder holds something else than a log.
    """

    def __init__(self, spec: RobotSpec, folder: Path | None, topic: str, max_transitions: int, max_bytes: int = 0):
        self.folder = folder
        self.ticks = EpisodeBuilder(spec, max_transitions)
        self.notes: list[str] = []
        self.error = ""
        self.given_up = 0
        self._topic, self._max_bytes = topic, max_bytes
        self._log: StateLog | None = None
        self._logged = 0  # messages in logs that were abandoned
        self._backlog: deque[tuple[int, bytes]] = deque()  # time [ns] and data
        self._backlog_bytes = 0
        self._tried_at = time.monotonic()
        if folder is None:
            return
        if folder.is_dir() and list(folder.glob("*.mcap")):
            self._recall(folder, spec, max_transitions)
        try:
            self._open()
        except OSError as error:
            self._fail(error)

    @property
    def logged(self) -> int:
        """Messages in the log, except those that wait for the disk to recover."""
        return self._logged + (self._log.messages if self._log else 0)

    @property
    def waiting(self) -> int:
        """Messages that wait for the disk to recover."""
        return len(self._backlog)

    def take(self, data: bytes, state: Any) -> bool:
        """The next state of the stream: as it was serialised (CDR), and decoded; whether it was usable.

        Bytes that cannot be decoded (None) are not logged: a log is for others to read.
        """
        if state is None:
            self.ticks.reject(f"{len(data)} bytes that are no state")
            return False
        if self.error:
            self._put_by(time.time_ns(), data)
            self._retry_if_due()
        elif self._log is not None:
            try:
                self._log.write(data)
            except OSError as error:
                self._fail(error)
        return self.ticks.add(state)

    def flush_if_due(self) -> None:
        """Write to disk what has been waiting; to be called a few times a second."""
        if self.error:
            self._retry_if_due()
        elif self._log is not None:
            try:
                if self._log.removed:
                    raise FileNotFoundError(errno.ENOENT, "somebody deleted the log", str(self.folder))
                self._log.flush_if_due()
            except OSError as error:
                self._fail(error)
        self._collect_notes()

    def close(self) -> None:
        """Write everything to disk."""
        if self.error:
            self._retry()
        log, self._log = self._log, None
        if log is not None:
            try:
                log.close()
            except OSError as error:
                self.error = self._explain(error)
                self.given_up += log.pending
                self._logged -= log.pending
            self._logged += log.messages
        self.given_up += len(self._backlog)
        self._backlog.clear()

    def _recall(self, folder: Path, spec: RobotSpec, max_transitions: int) -> None:
        """Take over the transitions of earlier runs."""
        try:
            before = read_log(folder, spec, max_transitions)
        except (MbmfError, OSError) as error:
            self.notes.append(f"not learning from earlier runs: {error}")
            return
        self.ticks.add_store(before.store)
        self.notes.append(f"{before.store.transitions} transitions of earlier runs")
        self.notes += before.damages

    def _open(self) -> StateLog:
        """Begin a log in the folder.

        Raises:
            MbmfError: it holds something else.
            OSError: it cannot be written.
        """
        assert self.folder is not None
        self._log = StateLog(self.folder, self._topic, self._max_bytes)
        self._collect_notes()
        self.notes.append(f"logging to {self.folder}")
        return self._log

    def _collect_notes(self) -> None:
        if self._log is not None and self._log.notes:
            self.notes += self._log.notes
            self._log.notes.clear()

    def _fail(self, error: OSError) -> None:
        """The disk has failed: keep what is not on it, and try again later."""
        self._tried_at = time.monotonic()
        self.error = self._explain(error)
        if self._log is None:
            return
        for time_ns, data in reversed(self._log.take_pending()):
            self._backlog.appendleft((time_ns, data))
            self._backlog_bytes += len(data)
        if error.errno not in _PASSING:
            log, self._log = self._log, None
            self._logged += log.messages
            log.abandon()

    def _explain(self, error: OSError) -> str:
        what = f"{error.strerror or error} ({error.filename or self.folder})"
        return f"not logging: {what}; trying again, learning goes on; free the disk or choose another log_dir"

    def _put_by(self, time_ns: int, data: bytes) -> None:
        self._backlog.append((time_ns, data))
        self._backlog_bytes += len(data)
        while self._backlog_bytes > BACKLOG_BYTES:
            self._backlog_bytes -= len(self._backlog.popleft()[1])
            self.given_up += 1

    def _retry_if_due(self) -> None:
        if time.monotonic() - self._tried_at >= RETRY_PERIOD_S:
            self._retry()

    def _retry(self) -> None:
        """Log what has been waiting, in the same file or, if that is gone, in a new one."""
        try:
            log = self._log or self._open()
            while self._backlog:
                for _ in range(min(len(self._backlog), _PORTION)):  # little space is better than none
                    time_ns, data = self._backlog.popleft()
                    self._backlog_bytes -= len(data)
                    log.add(data, time_ns)
                log.flush()
        except MbmfError as error:
            self.error = f"not logging: {error}"
            self._tried_at = time.monotonic()
        except OSError as error:
            self._fail(error)
        else:
            lost = f"; {self.given_up} messages were given up" if self.given_up else ""
            self.error = ""
            self.notes.append(f"logging again to {self.folder}{lost}")
