"""What processes need, from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Needs:
    """What a process needs at one moment.

    Attributes:
        rss_mb: memory that is resident [MB], with what it shares.
        own_mb: of that, memory of its own, that is no file's [MB].
        threads, files: how many it has.
        cpu_s: processor time so far [s].
    """

    rss_mb: float
    own_mb: float
    threads: int
    files: int
    cpu_s: float


def needs_of(pid: int, proc: Path = PROC) -> Needs | None:
    """What process ``pid`` needs now; None: it is gone."""
    try:
        status = dict(line.split(":", 1) for line in (proc / str(pid) / "status").read_text().splitlines())
        files = len(os.listdir(proc / str(pid) / "fd"))
        # After the name, which stands in brackets and may hold anything: utime and stime are the 12th and 13th.
        times = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return None
    if "VmRSS" not in status:  # it has ended, and nobody has asked how
        return None
    megabytes = {name: int(status[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon")}
    cpu_s = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return Needs(megabytes["VmRSS"], megabytes["RssAnon"], int(status["Threads"]), files, cpu_s)


def children_of(pid: int, proc: Path = PROC) -> list[int]:
    """Processes that ``pid`` has started, and theirs."""
    found: list[int] = []
    try:
        for task in (proc / str(pid) / "task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *children_of(child, proc)]
    except OSError:  # gone in the meantime
        pass
    return found
