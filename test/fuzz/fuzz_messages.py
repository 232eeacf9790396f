"""Hostile messages, made from the message definitions themselves: nothing here knows a topic or a node.

A hostile message is a valid one with a few of its fields changed for the worst, or one that is made up altogether. All
of them can arrive over the wire: what cannot be (texts with NUL or lone surrogates, say) is left out.
"""

from __future__ import annotations

import importlib
import math
import re
from array import array
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

import numpy as np
from fuzz_bytes import corrupted
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message

_BITS: dict[str, Literal[32, 64]] = {"float": 32, "double": 64}
_INTEGERS = {f"{sign}int{bits}": (sign, bits) for sign in ("", "u") for bits in (8, 16, 32, 64)}
_LENGTHS = (0, 1, 2, 3, 7, 8, 9, 16, 100, 3000)
_STRANGE = (
    "",
    "/",
    "//",
    "odom",
    "base_link",
    "map",
    "ant",
    "hopper",
    "..",
    "%s%n{}",
    "a" * 5000,
    "\n\r\x1b[2J",
    "🐜ß漢",
    "\u202e",
)
_FLOATS = (math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, -2.2e-308, 1e-30, 1.0, -1.0, 1e6, -1e9, 1e30, 1e38, -1e154)

Path = tuple[str, ...]


@cache
def _class(name: str) -> Any:
    """The message class ``package/Name``."""
    package, kind = name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


def copy_of(message: Any) -> Any:
    """What arrives when ``message`` is sent."""
    return deserialize_message(serialize_message(message), type(message))


@cache
def leaves(kind: Any) -> tuple[tuple[Path, str], ...]:
    """Path and type of every field of a message class that is not itself one message."""
    return tuple(_leaves(kind))


def _leaves(kind: Any) -> Iterator[tuple[Path, str]]:
    for name, field in kind.get_fields_and_field_types().items():
        if re.fullmatch(r"\w+/\w+", field):
            yield from (((name, *path), inner) for path, inner in leaves(_class(field)))
        else:
            yield (name,), field


def value_at(message: Any, path: Path) -> Any:
    """The field at ``path``."""
    for name in path:
        message = getattr(message, name)
    return message


@cache
def _scalars(field: str) -> st.SearchStrategy[Any]:
    """Values of one number, text or message."""
    if field in _BITS:
        return st.sampled_from([x for x in _FLOATS if fits(x, _BITS[field])]) | st.floats(width=_BITS[field])
    if field in _INTEGERS:
        sign, bits = _INTEGERS[field]
        low, high = (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return st.sampled_from([low, high, 0, 1, high // 2]) | st.integers(low, high)
    if field == "boolean":
        return st.booleans()
    if field == "octet":
        return st.binary(min_size=1, max_size=1)
    if field.startswith(("string", "wstring")):
        return st.sampled_from(_STRANGE) | st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20
        )
    return made_up(_class(field))


def fits(value: float, bits: int) -> bool:
    """Whether a number can be a float of so many bits."""
    return not math.isfinite(value) or abs(value) <= (3.4e38 if bits == 32 else 1.7e308)


@st.composite
def _several(draw: st.DrawFn, item: str, length: int | None, before: Any) -> Any:
    """An array of ``length`` (None: any) whose entries are the old ones or all the same, but for one."""
    nested = "/" in item
    if item == "uint8" and before is not None and len(before) > 100:
        return array("B", draw(corrupted(bytes(before))))
    old = [] if before is None else list(before)
    kept = bool(old) and draw(st.integers(0, 3)) > 0
    if kept:
        values = old
    else:
        count = draw(st.sampled_from(_LENGTHS[:6] if nested else _LENGTHS)) if length is None else length
        values = [draw(_scalars(item))] * count if count else []
    if values and (kept or draw(st.booleans())):
        values[draw(st.integers(0, len(values) - 1))] = draw(_scalars(item))
    if kept and length is None:  # one too few, one too many, each one twice, or as many as before
        values = draw(st.sampled_from([values, values, values, values[:-1], [*values, values[-1]], values * 2]))
    return values


def hostile(field: str, before: Any = None) -> st.SearchStrategy[Any]:
    """Values of a field of type ``field`` that has the value ``before``."""
    if found := re.fullmatch(r"sequence<(.+?)(?:, (\d+))?>", field):
        return _several(found[1], None, before)
    if found := re.fullmatch(r"(.+)\[(\d+)\]", field):
        return _several(found[1], int(found[2]), before)
    return _scalars(field)


def _put(message: Any, path: Path, value: Any) -> None:
    """Set a field; arrays of numbers of fixed length are numpy's."""
    owner = value_at(message, path[:-1])
    if isinstance(getattr(owner, path[-1]), np.ndarray):
        value = np.array(value, dtype=getattr(owner, path[-1]).dtype)
    setattr(owner, path[-1], value)


@st.composite
def made_up(draw: st.DrawFn, kind: Any, most: int = 6) -> Any:
    """A message whose fields are hostile or at their defaults."""
    message = kind()
    fields = list(leaves(kind))
    for index in draw(st.lists(st.integers(0, len(fields) - 1), max_size=most)) if fields else []:
        path, field = fields[index]
        _put(message, path, draw(hostile(field)))
    return message


@st.composite
def changed(draw: st.DrawFn, template: Any) -> Any:
    """A copy of ``template`` with one to three fields changed of any of its parts."""
    message = copy_of(template)
    parts: dict[str, list[tuple[Path, str]]] = {}
    for path, field in leaves(type(template)):
        parts.setdefault(path[0], []).append((path, field))
    for _ in range(draw(st.integers(1, 3)) if parts else 0):
        path, field = draw(st.sampled_from(parts[draw(st.sampled_from(sorted(parts)))]))
        _put(message, path, draw(hostile(field, value_at(message, path))))
    return message
