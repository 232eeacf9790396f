"""The node processes that a supervisor runs."""

from __future__ import annotations

import contextlib
import re
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
