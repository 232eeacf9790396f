"""Files that come with the package: configuration, launch files."""

from __future__ import annotations

import os
from pathlib import Path

from mbmf_ros.errors import MbmfError

PACKAGE = "mbmf_ros"
SOURCE = Path(__file__).resolve().parent.parent


def shared_file(*parts: str) -> Path:
    """A file that comes with the package: beside the sources, or below an ament prefix's ``share/mbmf_ros``.

    Raises:
        MbmfError: it is in neither.
    """
    prefixes = [Path(prefix) / "share" / PACKAGE for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(":")]
    for folder in (SOURCE, *prefixes):
        path = folder.joinpath(*parts)
        if path.is_file():
            return path
    raise MbmfError(f"cannot find {'/'.join(parts)} of {PACKAGE}; is the workspace built and sourced?")
