"""Whether a measurement can be where the one before it led."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from mbmf_ros.hardware.rotations import angle_between, from_vector, product, rotate
from mbmf_ros.hardware.settings import JumpConfig
from mbmf_ros.robots import RobotSpec

GAP_PERIODS = 4  # after a gap no more is believed than after so many control periods: velocities lead no further


class Verdict(enum.Enum):
    """What a measurement is, after those before it."""

    FOLLOWS = "follows"
    JUMPED = "jumped"  # not where the velocity led: hold, until it comes back or stays there
    MOVED = "moved"  # it has stayed at the new place: a new beginning


@dataclass(frozen=True)
class _Seen:
    time_s: float
    m: np.ndarray


class Continuity:
    """Notices jumps of the pose: odometry that is reset, motion capture that takes one robot for another.

    A pose that comes back to where it was expected within ``settle`` was a glitch. After a gap that is longer than that
    nothing is left to wait for: a pose that does not fit is a new beginning at once.

    Args:
        spec: the robot.
        config: what counts as a jump.

    Attributes:
        reason: of the last jump, one line.
        jumps: since the start.
    """

    def __init__(self, spec: RobotSpec, config: JumpConfig):
        self.spec, self.config = spec, config
        self.reason, self.jumps = "", 0
        self._trusted: _Seen | None = None
        self._suspect: _Seen | None = None
        self._suspected_s = 0.0  # since when it stays at the new place

    def check(self, now_s: float, m: np.ndarray) -> Verdict:
        """Judge the measurement ``m`` (nm,) at ``now_s``, later than the one before."""
        seen = _Seen(now_s, m)
        problem = self._problem(self._trusted, seen) if self._trusted else ""
        if not problem or self._trusted is None:
            self._trusted, self._suspect = seen, None
            return Verdict.FOLLOWS
        gap_s = now_s - self._trusted.time_s
        if self._suspect is None or self._problem(self._suspect, seen):
            self.jumps += self._suspect is None
            self.reason, self._suspected_s = problem, now_s
        self._suspect = seen
        settling = now_s - self._suspected_s < self.config.settle
        if settling and gap_s <= max(self.config.settle, GAP_PERIODS * self.spec.dt_s):
            self._expect(seen)
            return Verdict.JUMPED
        self._trusted, self._suspect = seen, None
        return Verdict.MOVED

    def _expect(self, seen: _Seen) -> None:
        """Go on from where the robot was believed to be, as far as its velocities tell, to know it if it comes back."""
        assert self._trusted is not None
        m, layout = seen.m.copy(), self.spec.measurement
        m[layout.position], m[layout.orientation] = self._led_to(self._trusted, seen)
        m[layout.linear_velocity] = self._trusted.m[layout.linear_velocity]  # a derived one has jumped as well
        self._trusted = _Seen(seen.time_s, m)

    def _led_to(self, before: _Seen, seen: _Seen) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) and orientation (4,) that the mean of both velocities leads to.

        Of a change of velocity only so much is believed as explains ``distance``: where velocities are derived from
        positions, a jump would explain itself.
        """
        layout, elapsed_s = self.spec.measurement, seen.time_s - before.time_s
        q, turned = before.m[layout.orientation], seen.m[layout.orientation]
        v = rotate(q, before.m[layout.linear_velocity])
        change = rotate(turned, seen.m[layout.linear_velocity]) - v
        most = 2 * self.config.distance / self.spec.dt_s
        change *= min(1.0, most / max(float(np.linalg.norm(change)), 1e-12))
        w = 0.5 * (before.m[layout.angular_velocity] + seen.m[layout.angular_velocity])
        return before.m[layout.position] + elapsed_s * (v + 0.5 * change), product(q, from_vector(elapsed_s * w))

    def _problem(self, before: _Seen, seen: _Seen) -> str:
        """What does not fit, or nothing; the longer ago, the more fits, up to a gap of some control periods."""
        layout, config = self.spec.measurement, self.config
        grown = float(np.clip((seen.time_s - before.time_s) / self.spec.dt_s, 1.0, GAP_PERIODS))
        position, orientation = self._led_to(before, seen)
        off_m = float(np.linalg.norm(position - seen.m[layout.position]))
        if off_m > grown * config.distance:
            return f"the pose jumped by {off_m:.2f} m from where its velocity leads"
        off_rad = angle_between(orientation, seen.m[layout.orientation])
        if off_rad > grown * config.angle:
            return f"the orientation jumped by {off_rad:.2f} rad from where its velocity leads"
        return ""
