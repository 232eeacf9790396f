"""Configuration: frozen dataclasses hold the defaults; YAML, ROS parameters and the command line override them."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mbmf_ros.errors import MbmfError, unknown

Config = TypeVar("Config")


def ranged(default: Any, low: float = -math.inf, high: float = math.inf) -> Any:
    """A dataclass field with a number between ``low`` and ``high``; see :class:`Ranged`."""
    limits = {"low": low if math.isfinite(low) else None, "high": high if math.isfinite(high) else None}
    return dataclasses.field(default=default, metadata=limits)


class Ranged:
    """Base of configuration dataclasses: refuses numbers outside their fields' ranges, whoever puts them in.

    Raises:
        MbmfError: a number out of range.
    """

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):  # type: ignore[arg-type]
            value, meta = getattr(self, entry.name), entry.metadata
            if isinstance(value, (int, float)):
                low, high = meta.get("low"), meta.get("high")
                low, high = (-math.inf if low is None else low), (math.inf if high is None else high)
                if not low <= value <= high:
                    raise MbmfError(f"{entry.name}: expected a number from {low:g} to {high:g}, got {value}")


def override(config: Config, values: Mapping[str, Any], where: str = "configuration") -> Config:
    """A copy of the dataclass instance ``config`` with ``values`` put in; nested mappings override nested dataclasses.

    Raises:
        MbmfError: an unknown key (names the nearest known one), or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise MbmfError(f"{where}: expected a mapping of keys to values, got {type(values).__name__}")
    hints = typing.get_type_hints(type(config))
    fields = {field.name for field in dataclasses.fields(config) if field.init}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            raise unknown(f"key in {where}", str(key), fields)
        current = getattr(config, key)
        if dataclasses.is_dataclass(current) and not isinstance(current, type):
            changes[key] = override(current, value, f"{where}.{key}")
        else:
            changes[key] = _checked(value, hints[key], f"{where}.{key}")
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def _checked(value: Any, hint: Any, where: str) -> Any:
    """``value`` as the type that the field declares."""
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    if bool in kinds and isinstance(value, bool):
        return value
    if int in kinds and isinstance(value, int) and not isinstance(value, bool):
        return value
    if float in kinds and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise MbmfError(f"{where}: expected a finite number, got {number}")
        return number
    if str in kinds and isinstance(value, str):
        return value
    if any(typing.get_origin(kind) is tuple for kind in kinds) and isinstance(value, (list, tuple)):
        item = next(typing.get_args(kind)[0] for kind in kinds if typing.get_origin(kind) is tuple)
        return tuple(_checked(entry, item, f"{where}[{index}]") for index, entry in enumerate(value))
    names = " or ".join("null" if kind is type(None) else getattr(kind, "__name__", str(kind)) for kind in kinds)
    raise MbmfError(f"{where}: expected {names}, got {value!r}")


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file (safe loader).

    Raises:
        MbmfError: the file is missing, is not YAML, or holds something other than a mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MbmfError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MbmfError(f"{path} is not valid YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise MbmfError(f"{path}: expected a mapping of keys to values at the top, got {type(values).__name__}")
    return values
