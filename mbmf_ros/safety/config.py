"""Settings of the safety layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.errors import MbmfError


@dataclass(frozen=True)
class SafetyConfig(Ranged):
    """What a robot may do, and when it is stopped; the section ``safety`` of a bridge's parameters.

    Attributes:
        auto_enable: enabled at the start, and again when a stop or trip is cleared; for simulations
        action_limit: largest size of an action
        action_rate: largest change of an action per second; 0: no limit
        joint_margin: this near to a joint's limit [rad] pushing further out begins to fade, and postures end; 0: off
        max_tilt: tilted more than this [rad] the robot trips; 0: no limit
        min_height: with its base lower than this [m] the robot trips; 0: no limit
        max_height: with its base higher than this [m] the robot trips; 0: no limit
        command_timeout_periods: for so many control periods the last plan stands in for missing answers; then hold
        dead_man: hold unless the topic dead_man says true again and again
        dead_man_timeout: what the topic dead_man says holds for this long [s]
        ramp: actions grow to their full size over this long [s] after enabling and after holding; 0: at once
        max_run_time: in motion for longer than this [s] since it was enabled, the robot trips; 0: no limit
        dry_run: everything is computed, nothing is sent; the robot gets the safe action
    """

    auto_enable: bool = False
    action_limit: float = ranged(1.0, 0.0, 1.0)
    action_rate: float = ranged(0.0, 0.0, 1e6)
    joint_margin: float = ranged(0.0, 0.0, math.pi)
    max_tilt: float = ranged(0.0, 0.0, math.pi)
    min_height: float = ranged(0.0, 0.0, 100.0)
    max_height: float = ranged(0.0, 0.0, 100.0)
    command_timeout_periods: int = ranged(2, 1, 1000)
    dead_man: bool = False
    dead_man_timeout: float = ranged(0.5, 0.01, 10.0)
    ramp: float = ranged(2.0, 0.0, 60.0)
    max_run_time: float = ranged(0.0, 0.0, 1e6)
    dry_run: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_height and self.max_height <= self.min_height:
            raise MbmfError(f"max_height: expected more than min_height, {self.min_height:g} m, got {self.max_height}")
