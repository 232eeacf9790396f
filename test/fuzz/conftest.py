"""The modules of test/fuzz use the robot of test/hardware."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "hardware"))  # robot_side.py
