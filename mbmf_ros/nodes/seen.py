"""Where the robot was seen last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbmf_ros.errors import MbmfError


class NoStateError(MbmfError):
    """Nobody knows where the robot is."""


@dataclass(frozen=True)
class Seen:
    """The newest state, as far as it matters to the path.

    Attributes:
        episode: which one.
        tick: of the episode.
        stamp_s: of the state [s].
        pose: planar, in the odometry frame: x [m], y [m], yaw [rad].
        status: RobotState.STATUS_*.
    """

    episode: int
    tick: int
    stamp_s: float
    pose: tuple[float, float, float]
    status: int

    @property
    def xy(self) -> np.ndarray:
        """Position [m] (2,)."""
        return np.array(self.pose[:2])
