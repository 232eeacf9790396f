"""A safety layer, and the time that passes for it."""

from __future__ import annotations

import numpy as np

from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement
from mbmf_ros.safety import Mode, Safety, SafetyConfig

SPEC = robot("ant")
DT = SPEC.dt_s
START = start_measurement(SPEC)
ROBOT = SafetyConfig(ramp=1.0)
SIMULATION = SafetyConfig(auto_enable=True, ramp=0.0)
PUSH = np.ones(SPEC.nu)


class Clock:
    """A layer and the time that it lives in."""

    def __init__(self, config: SafetyConfig):
        self.safety, self.now_s = Safety(SPEC, config), 0.0

    def step(self, periods: int = 1, m: np.ndarray | None = START, **moment) -> Mode:
        for _ in range(periods):
            self.now_s += DT
            self.safety.update(self.now_s, m, **moment)
        return self.safety.mode

    def applied(self) -> float:
        return float(self.safety.limit(PUSH, START, self.now_s)[0])


def tilted(angle: float, height: float = SPEC.start_height_m) -> np.ndarray:
    """The start pose, rolled by ``angle`` [rad], with its base ``height`` [m] high."""
    m = START.copy()
    m[SPEC.measurement.orientation] = (np.cos(angle / 2), np.sin(angle / 2), 0, 0)
    m[2] = height
    return m


def enabled(config: SafetyConfig = ROBOT) -> Clock:
    clock = Clock(config)
    clock.step()
    assert clock.safety.enable(clock.now_s) == (True, "enabled")
    return clock
