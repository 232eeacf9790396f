"""The waypoints node, and the robot that it leads."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def node(rig, tmp_path):
    from mbmf_ros.nodes.waypoints import Waypoints

    return rig.add(Waypoints, waypoints_file=str(tmp_path / "waypoints.yaml"), state_timeout=0.0)


@pytest.fixture
def ant(rig, node):
    from waypoints_robot import Robot

    ant = Robot(rig)
    ant.at(node, 1.0, 1.0, np.pi / 2)
    rig.until(lambda: ant.paths, "the first, empty path")
    return ant
