"""Walks paths as :mod:`mbmf_ros.up_client` does, and records where the stand-in really was meanwhile.

``python -m mbmf_ros.stand_in_client CONFIG --ros-args ...``; CONFIG: the fields of ClientConfig as JSON. Each row gets
a ``trace``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry

from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.path_runner import ClientConfig, PathRunner
from mbmf_ros.robots import RobotSpec
from mbmf_ros.ticks import Tick, TickMatcher
from mbmf_ros.up_client import main

TRUTH = "hardware_stand_in/truth"


class RememberingMatcher(TickMatcher):
    """Keeps what it has handed out.

    Attributes:
        taken: since it was cleared.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[Tick, float | None, bool | None]] = []

    def clear(self) -> None:
        """See the base."""
        super().clear()
        self.taken.clear()

    def take(self) -> list[tuple[Tick, float | None, bool | None]]:
        """See the base."""
        due = super().take()
        self.taken += due
        return due

    def walked(self, steps: int) -> list[Tick]:
        """The states of the ``steps`` control steps from when the controller set out, which are those of a run."""
        out = [idle is False for _, _, idle in self.taken]
        first = out.index(True) if any(out) else len(out)
        return [tick for tick, _, _ in self.taken[first : first + steps]]


class TruthRunner(PathRunner):
    """The client node. The truth about a state is the newest when it arrives: a sensor period off at most, usually."""

    def __init__(self, config: ClientConfig, spec: RobotSpec, **options: Any):
        super().__init__(config, spec, **options)
        self.matcher: RememberingMatcher = RememberingMatcher()
        self._start_tick: Tick | None = None
        self._there: list[float] | None = None
        self._truths: dict[tuple[int, int], list[float]] = {}  # by episode and tick
        self.create_subscription(Odometry, TRUTH, self._on_truth, qos.STATE_LATEST)

    def missing(self) -> list[str]:
        """What the graph still lacks, in words."""
        silent = [f"a message on topic {TRUTH}"] if self._there is None else []
        return super().missing() + silent

    def walk(self, name: str, waypoints: np.ndarray, report: Callable[[str], None]) -> dict[str, Any]:
        """See the base; the row has a ``trace`` as well: poses (T + 1, 7) [m], ``measured`` and ``truth``.

        The first is of the start, the others of the end of each control step.
        """
        self._truths.clear()
        row = super().walk(name, waypoints, report)
        return row | {"trace": self.trace(row["deadlines"])}

    def reset_robot(self) -> Tick:
        """See the base."""
        self._start_tick = super().reset_robot()
        return self._start_tick

    def trace(self, steps: int) -> dict[str, list[list[float]]]:
        """Of the last run, which took so many control steps; see :meth:`walk`."""
        assert self._start_tick is not None
        ticks = [self._start_tick, *self.matcher.walked(steps)]
        truth = [self._truths[tick.episode, tick.tick] for tick in ticks]
        return {"measured": [tick.m[:7].tolist() for tick in ticks], "truth": truth}

    def _on_state(self, message: RobotState) -> None:
        super()._on_state(message)
        if self._there is not None:
            self._truths.setdefault((message.episode, message.tick), self._there)

    def _on_truth(self, message: Odometry) -> None:
        at, q = message.pose.pose.position, message.pose.pose.orientation
        self._there = [at.x, at.y, at.z, q.w, q.x, q.y, q.z]


if __name__ == "__main__":
    sys.exit(main(runner=TruthRunner))
