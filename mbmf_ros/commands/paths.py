"""``mbmf paths``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbmf_ros.terminal import CONSOLE, at_least, write_json


@dataclass(frozen=True)
class Paths:
    """Write a file of paths to walk, as long and wide as suits the robot.

    Shapes: straight, left_turn, right_turn, u_turn, figure_eight, slalom and polyline in any direction; forward,
    backward, there_and_back and back_and_there along the robot's own axis.

    Examples:
        mbmf paths --seed 7 --out paths.json
        mbmf paths --robot half_cheetah --out paths.json
        mbmf paths --shapes forward backward there_and_back --out paths.json
    """

    out: Path
    """File to write."""
    robot: str = "ant"
    """Robot that shall walk them."""
    shapes: tuple[str, ...] = ()
    """Only these (default: all in any direction; for robots that live in the x-z plane those along their axis)."""
    seed: int = 0
    """Of sizes, hands and directions."""
    per_shape: int = 1
    """Paths of each shape."""

    def run(self) -> int:
        from mbmf_ros.control.path_shapes import path_set, shapes_of
        from mbmf_ros.robots import robot

        at_least("--seed", self.seed, 0)
        at_least("--per-shape", self.per_shape)
        spec = robot(self.robot)
        paths = path_set(self.seed, self.shapes or shapes_of(spec), self.per_shape, spec.paths.length_m)
        write_json(self.out, {name: np.round(points, 4).tolist() for name, points in paths.items()})
        CONSOLE.print(f"{self.out}: {len(paths)} paths")
        return 0
