"""Child processes that do not outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded before any fork


def die_with(parent: int, number: int = signal.SIGKILL) -> None:
    """In a child: get signal ``number`` when process ``parent`` dies, however it dies; elsewhere than on Linux: never.

    To Linux the parent is the thread that made the child: let it be one that lives as long as the process.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)
