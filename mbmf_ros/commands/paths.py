"""``mbmf paths``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbmf_ros.terminal import CONSOLE, at_least, write_json


@dataclass(frozen=True)
class Paths:
    """Write a file of paths to walk: straight, turns, U-turn, figure-eight, slalom, random polyline.

    Examples:
        mbmf paths --seed 7 --out paths.json
    """

    out: Path
    """File to write."""
    seed: int = 0
    """Of sizes, hands and directions."""
    per_shape: int = 1
    """Paths of each shape."""

    def run(self) -> int:
        from mbmf_ros.control.path_shapes import path_set

        at_least("--seed", self.seed, 0)
        at_least("--per-shape", self.per_shape)
        paths = path_set(self.seed, per_shape=self.per_shape)
        write_json(self.out, {name: np.round(points, 4).tolist() for name, points in paths.items()})
        CONSOLE.print(f"{self.out}: {len(paths)} paths")
        return 0
