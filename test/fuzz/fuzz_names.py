"""What is fuzzed, without importing a node: tests are collected where ROS is not."""

from __future__ import annotations

from pathlib import Path

import mbmf_ros

NODES = sorted(
    file.stem for file in (Path(mbmf_ros.__file__).parent / "nodes").glob("*.py") if "(Node):" in file.read_text()
)
"""Names of all node modules, which are the nodes'."""

CASES = (*NODES, "hardware_bridge+captured", "mpc_controller+stamped", "waypoints+stamped")
"""The nodes, and again those that listen to other types of messages where a parameter says so."""


def node_of(case: str) -> str:
    """The node that a case is of."""
    return case.partition("+")[0]
