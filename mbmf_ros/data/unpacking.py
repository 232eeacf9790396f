"""Compressed data of bags: chunks, messages and files, by zstd or lz4."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path
from typing import IO, Any

import lz4.frame  # with zstd a requirement of rosbags

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from mbmf_ros.errors import MbmfError, unknown

SUFFIXES = (".zstd", ".lz4")
"""Of files that are compressed as a whole."""
_MAGIC = {"zstd": b"\x28\xb5\x2f\xfd", "lz4": b"\x04\x22\x4d\x18"}
_FAULTS = (zstd.ZstdError, RuntimeError, ValueError, EOFError, OSError, MemoryError)


def unpack(data: bytes, name: str) -> bytes:
    """The data that was compressed by ``zstd`` or ``lz4``, or not at all (an empty name).

    Raises:
        MbmfError: another compression, or damaged data.
    """
    if not name:
        return data
    if name not in _MAGIC:
        raise unknown("compression", name, _MAGIC)
    try:
        return bytes(zstd.decompress(data) if name == "zstd" else lz4.frame.decompress(data))
    except _FAULTS as error:
        raise MbmfError(f"{name} data is damaged: {error}") from error


def unpack_message(data: bytes) -> bytes:
    """A serialised message, which some bags compress one by one: CDR never begins like compressed data.

    Raises:
        MbmfError: damaged data.
    """
    for name, magic in _MAGIC.items():
        if data.startswith(magic):
            return unpack(data, name)
    return data


def unpack_file(path: Path, folder: Path) -> Path:
    """Unpack a file into a folder, as far as it is whole; its name loses the suffix.

    Raises:
        OSError: the folder is full.
    """
    target = folder / path.stem
    opened: Any = zstd.open(path, "rb") if path.suffix == ".zstd" else lz4.frame.open(path, "rb")
    source: IO[bytes] = opened
    with source, target.open("wb") as out, contextlib.suppress(zstd.ZstdError, RuntimeError, EOFError):
        shutil.copyfileobj(source, out)
    return target
