"""Which of the states that arrive belong to a run along a path."""

from __future__ import annotations

from mbmf_ros.control.follow import PathRun
from mbmf_ros.msg import RobotState
from mbmf_ros.ticks import Tick


class Outing:
    """The part of a run that counts: from when the controller sets out, which takes it a moment after the goal.

    Args:
        run: what measures it.
        start: the newest state when the goal was sent.
    """

    def __init__(self, run: PathRun, start: Tick):
        self.run = run
        self.walking = False
        self._began = self._last = start

    @property
    def sim_s(self) -> float:
        """Simulated time [s] since the controller set out."""
        return self._last.stamp_s - self._began.stamp_s

    def tick(self, tick: Tick, plan_time_s: float | None, idle: bool | None, over: bool) -> None:
        """Take in a state, what :class:`mbmf_ros.ticks.TickMatcher` knows about it, and whether the goal has ended."""
        self.walking = self.walking or idle is False
        if not self.walking:
            self._began = self._last = tick
        elif not self.run.finished and not (idle and over):
            self._last = tick
            late = tick.source in (RobotState.SOURCE_PLAN, RobotState.SOURCE_SAFE)
            self.run.tick(tick.m, plan_time_s, late and not idle)
