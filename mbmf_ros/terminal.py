"""What commands are told and what they say: options, progress for people on stderr, JSON for programs."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mbmf_ros.errors import MbmfError

CONSOLE = Console(stderr=True)
_shown: list[Progress] = []  # what is on the screen; the last one says what is under way


class progress:  # noqa: N801 (used like a function)
    """A progress bar on stderr; entering it gives a function that takes how much is done."""

    def __init__(self, what: str, total: int):
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, TimeRemainingColumn(), console=CONSOLE)
        self._task = self._bar.add_task(what, total=total)

    def __enter__(self) -> Callable[[int], None]:
        self._bar.start()
        _shown.append(self._bar)
        return lambda done: self._bar.update(self._task, completed=done)

    def __exit__(self, *_: object) -> None:
        _shown.remove(self._bar)
        self._bar.stop()


@contextlib.contextmanager
def busy(what: str) -> Iterator[None]:
    """Say on stderr what is under way, until it is over: at the bar that is shown, or on a line that disappears."""
    if not CONSOLE.is_interactive:
        yield
    elif _shown:
        task = _shown[-1].tasks[0]
        before = task.description
        _shown[-1].update(task.id, description=what)
        try:
            yield
        finally:
            _shown[-1].update(task.id, description=before)
    else:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=CONSOLE, transient=True) as line:
            line.add_task(what, total=None)
            _shown.append(line)
            try:
                yield
            finally:
                _shown.remove(line)


def writable(option: str, path: Path) -> None:
    """Refuse a file that cannot be written, before the work that it is to hold; makes its folder.

    Raises:
        MbmfError: it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MbmfError(f"{option}: cannot make the folder {path.parent}: {error.strerror}; choose another") from error
    if path.is_dir():
        raise MbmfError(f"{option}: {path} is a folder; give the name of a file")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise MbmfError(f"{option}: {path} cannot be written; choose another place")


def write_json(path: Path | None, content: Any) -> None:
    """Write ``content`` to ``path``; None: nowhere."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def command_line(command: Any) -> str:
    """What to type for ``command``: its options other than the defaults."""
    words = ["mbmf", type(command).__name__.lower()]
    for entry in fields(command):
        value = getattr(command, entry.name)
        if value != entry.default and entry.name != "json":
            values = [] if value is True else value if isinstance(value, tuple) else [value]
            words += [f"--{entry.name.replace('_', '-')}", *map(str, values)]
    return shlex.join(words)


def given(**values: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {key: value for key, value in values.items() if value is not None}


def at_least(option: str, value: int | None, low: int = 1) -> None:
    """Refuse an option's value below ``low``."""
    if value is not None and value < low:
        raise MbmfError(f"{option}: expected at least {low}, got {value}")


def plain(record: Any) -> dict[str, Any]:
    """A record's entries for JSON, which has no NaN."""
    return {key: None if value != value else value for key, value in vars(record).items()}
