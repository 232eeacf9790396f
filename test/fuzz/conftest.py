"""The modules of test/fuzz use the robot of test/hardware, and a ROS context of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "hardware"))  # robot_side.py


@pytest.fixture
def context() -> Iterator[Any]:
    """Nodes in it hear nobody else."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=1 + os.getpid() % 100)
    yield context
    rclpy.try_shutdown(context=context)
