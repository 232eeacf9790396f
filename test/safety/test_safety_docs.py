"""docs/safety.md tells every limit with its default."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from mbmf_ros.safety import SafetyConfig

TEXT = (Path(__file__).resolve().parents[2] / "docs/safety.md").read_text()


def test_every_limit_is_documented_with_its_defaults():
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S*) *\| .+ \|$", TEXT, re.MULTILINE)
    assert {name: json.loads(default) for name, default, _ in rows} == dataclasses.asdict(SafetyConfig())


def test_the_simulators_defaults_are_documented():
    pytest.importorskip("rclpy")
    from mbmf_ros.nodes.bridge_config import SIMULATED

    rows = re.findall(r"^\| `(\w+)` \| \S+ \| (\S+) +\| .+ \|$", TEXT, re.MULTILINE)
    assert rows
    assert SafetyConfig(**{name: json.loads(value) for name, value in rows}) == SIMULATED
