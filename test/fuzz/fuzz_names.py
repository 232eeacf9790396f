"""Names of all node modules, without importing one: tests are collected where ROS is not."""

from __future__ import annotations

from pathlib import Path

import mbmf_ros

NODES = sorted(
    file.stem for file in (Path(mbmf_ros.__file__).parent / "nodes").glob("*.py") if "(Node):" in file.read_text()
)
