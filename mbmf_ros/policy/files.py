"""Where a policy is. Nothing here imports PyTorch."""

from __future__ import annotations

from pathlib import Path

POLICY_FILE = "policy.safetensors"
LEARNING_FILE = "learning.safetensors"


def policy_file(place: str | Path) -> Path:
    """The file that users call ``place``: a policy file, or a folder with a ``policy.safetensors`` in it."""
    path = Path(place).expanduser()
    return path / POLICY_FILE if path.is_dir() else path
