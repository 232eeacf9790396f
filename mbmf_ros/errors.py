"""The exception that this package raises for bad input."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class MbmfError(Exception):
    """Bad input. The message says what was expected, what came, and what to do; programs print it as it is."""


class DivergenceError(MbmfError):
    """A simulation diverged: its state is no number any more, or no robot's."""


def unknown(kind: str, name: str, known: Iterable[str]) -> MbmfError:
    """The error for a name that is not one of ``known``; suggests the nearest one.

    >>> str(unknown("robot", "atn", ["ant", "swimmer"]))
    "unknown robot 'atn' (did you mean 'ant'?); known: ant, swimmer"
    """
    options = sorted(known)
    near = difflib.get_close_matches(name, options, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return MbmfError(f"unknown {kind} {name!r}{hint}; known: {', '.join(options)}")


@contextlib.contextmanager
def naming(place: object) -> Iterator[None]:
    """Errors raised inside say where: ``place``, a file for example; None: they stay as they are.

    Raises:
        MbmfError: in place of the one raised inside, whatever kind of MbmfError it was.
    """
    try:
        yield
    except MbmfError as error:
        if place is None:
            raise
        raise MbmfError(f"{place}: {error}") from error
