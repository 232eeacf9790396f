"""Where a result comes from: recorded beside every committed number."""

from __future__ import annotations

import subprocess
from pathlib import Path


def revision() -> str:
    """The checked-out revision, with ``+`` when tracked files differ from it; ``unknown`` outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=10"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()
