"""The bridge with a robot at rest behind it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "hardware"))  # robot_side.py


@pytest.fixture
def setup(rig, tmp_path):
    """Makes the bridge and the robot: ``setup(section={...}, parameter=...)``, sections as in the YAML."""
    from fake_robot import FakeRobot, write

    from mbmf_ros.nodes.hardware_bridge import HardwareBridge

    def make(parameters=None, **sections):
        file = write(tmp_path / "robot.yaml", **sections)
        bridge = rig.add(HardwareBridge, config=str(file), **(parameters or {}))
        return bridge, FakeRobot(rig, bridge)

    return make
