"""The processes that a supervisor runs."""

from __future__ import annotations

import contextlib
import os
import re
import select
import time
from collections.abc import Iterable
from pathlib import Path


def node_processes(supervisor: int) -> dict[str, int]:
    """Name and pid of each node that process ``supervisor`` runs."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            match = re.search(r"mbmf_ros\.nodes\.(\w+)", (stat.parent / "cmdline").read_text())
            if parent == supervisor and match:
                found[match[1]] = int(stat.parent.name)
    return found


def ended(pids: Iterable[int], timeout_s: float = 20.0) -> bool:
    """Whether all of these processes, children of ours or not, end within the time."""
    deadline = time.monotonic() + timeout_s
    for pid in pids:
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([process], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return False
        finally:
            os.close(process)
    return True
