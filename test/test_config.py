"""Overriding configurations: types are kept, mistakes are named."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mbmf_ros.config import load_yaml, override
from mbmf_ros.errors import MbmfError


@dataclass(frozen=True)
class Inner:
    speed: float = 1.0
    name: str = "a"


@dataclass(frozen=True)
class Outer:
    count: int = 3
    wanted: bool = False
    limit: int | None = None
    sizes: tuple[int, ...] = (1, 2)
    inner: Inner = field(default_factory=Inner)
    derived: int = field(init=False, default=7)


def test_values_are_put_in_and_the_rest_stays():
    start = Outer()
    changed = override(start, {"count": 5, "inner": {"speed": 2}, "sizes": [4, 5, 6], "limit": 9, "wanted": True})
    assert changed == Outer(5, True, 9, (4, 5, 6), Inner(2.0, "a"))
    assert isinstance(changed.inner.speed, float)
    assert start == Outer()
    assert override(changed, {"limit": None}).limit is None
    assert override(start, {}) == start


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"cuont": 1}, r"unknown key in configuration 'cuont' \(did you mean 'count'\?\); known: count"),
        ({"inner": {"sped": 1}}, r"unknown key in configuration\.inner 'sped' \(did you mean 'speed'\?\)"),
        ({"derived": 1}, "unknown key"),
        ({3: 1}, "unknown key in configuration '3'"),
        ({"count": "3"}, r"configuration\.count: expected int, got '3'"),
        ({"count": 3.0}, "expected int, got 3.0"),
        ({"count": True}, "expected int, got True"),
        ({"count": None}, "expected int, got None"),
        ({"limit": "x"}, "expected int or null, got 'x'"),
        ({"wanted": 1}, "expected bool, got 1"),
        ({"inner": 3}, r"configuration\.inner: expected a mapping of keys to values, got int"),
        ({"inner": None}, "expected a mapping"),
        ({"inner": {"speed": float("nan")}}, r"inner\.speed: expected a finite number, got nan"),
        ({"inner": {"speed": float("inf")}}, "expected a finite number, got inf"),
        ({"inner": {"speed": 10**400}}, "expected a finite number"),
        ({"inner": {"speed": True}}, "expected float, got True"),
        ({"inner": {"name": 3}}, "expected str, got 3"),
        ({"sizes": 3}, "expected tuple.*, got 3"),
        ({"sizes": [1, "2"]}, r"configuration\.sizes\[1\]: expected int, got '2'"),
        ([("count", 1)], "expected a mapping of keys to values, got list"),
        ("count", "expected a mapping of keys to values, got str"),
    ],
)
def test_mistakes_are_named(values: Any, match: str):
    with pytest.raises(MbmfError, match=match):
        override(Outer(), values)


def test_the_place_of_the_mistake_can_be_named():
    with pytest.raises(MbmfError, match=r"^planner icem\.count: expected int"):
        override(Outer(), {"count": "x"}, "planner icem")


def test_yaml_files(tmp_path: Path):
    file = tmp_path / "a.yaml"
    file.write_text("count: 4\ninner: {speed: 0.5}\n")
    assert override(Outer(), load_yaml(file)) == Outer(count=4, inner=Inner(0.5))
    file.write_text("# nothing\n")
    assert load_yaml(file) == {}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"- 1\n- 2\n", "expected a mapping of keys to values at the top, got list"),
        (b"a: [1\n", "is not valid YAML"),
        (b"\xff\xfe\x00", "is not valid YAML"),
        (b"a: !!python/object/apply:os.system [ls]\n", "is not valid YAML"),
    ],
)
def test_unusable_yaml_files_are_named(tmp_path: Path, content: bytes, match: str):
    file = tmp_path / "a.yaml"
    file.write_bytes(content)
    with pytest.raises(MbmfError, match=match):
        load_yaml(file)


def test_a_missing_yaml_file_is_named(tmp_path: Path):
    with pytest.raises(MbmfError, match=r"cannot read .*missing\.yaml: No such file"):
        load_yaml(tmp_path / "missing.yaml")
    with pytest.raises(MbmfError, match="cannot read"):
        load_yaml(tmp_path)
