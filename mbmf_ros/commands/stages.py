"""Progress of work in stages."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mbmf_ros.terminal import CONSOLE


class Stages:
    """Two bars on stderr: how far the whole is, and what goes on now.

    Args:
        what: the whole.
        total: when it is done.
    """

    def __init__(self, what: str, total: int):
        columns = (TextColumn("{task.description:>16}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=CONSOLE)
        self._whole = self._bar.add_task(what, total=total)
        self._stage = self._bar.add_task("", total=None, visible=False)
        self._what = ""

    def __enter__(self) -> Stages:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.update(self._stage, visible=False)
        self._bar.stop()

    def whole(self, done: int) -> None:
        """So much of the whole is done."""
        self._bar.update(self._whole, completed=done)

    def stage(self, what: str, done: int, total: int) -> None:
        """``what`` goes on now; so much of it is done, of so much."""
        if what != self._what:
            self._what = what
            self._bar.reset(self._stage, description=what, visible=True)
        self._bar.update(self._stage, completed=done, total=total)
