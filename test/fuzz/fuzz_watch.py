"""What a robot is told must be safe, whatever a node is told: looked at wherever an action shows."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import numpy as np
from std_msgs.msg import Float64MultiArray

from mbmf_ros.msg import RobotAction, RobotState
from mbmf_ros.robots import RobotSpec

_ROUNDING = 1e-9


class Watch:
    """Looks at everything that a node publishes.

    Args:
        spec: the robot.

    Attributes:
        layer: the node's safety layer; None: it has none.
        hardware: the robot's configuration, for its commands; None: the node commands no hardware.
        problems: what was unsafe since they were looked at.
        state, action: the newest that the node has published.
        counts: actions by where they showed, and those among them that moved the robot.
    """

    def __init__(self, spec: RobotSpec):
        self.spec = spec
        self.layer: Any = None
        self.hardware: Any = None
        self.problems: list[str] = []
        self.counts: Counter[str] = Counter()
        self.state: RobotState | None = None
        self._safe = np.array(spec.safe_action)
        self._limits: deque[float] = deque(maxlen=3)  # in force at the newest ticks

    def see(self, topic: str, message: Any) -> None:
        """Look at a message before it is published."""
        if isinstance(message, RobotAction):
            self._check("action", message.action, 1.0)
            self._check("plan", message.plan, 1.0, rows=None)
        elif isinstance(message, RobotState):
            self._see_state(message)
        elif isinstance(message, Float64MultiArray) and self.hardware is not None:
            self._see_command(message)

    @property
    def limit(self) -> float:
        """The largest action that may show now."""
        now = 1.0 if self.layer is None else self.layer.config.action_limit
        return max([now, *self._limits])

    def _see_state(self, state: RobotState) -> None:
        new = self.state is None or (state.episode, state.tick) != (self.state.episode, self.state.tick)
        self._check("applied_action", state.applied_action, self.limit, rows=1 if state.tick else 0)
        self._check("pending_action", state.pending_action, self.limit, rows=None)
        stopped = self.layer is not None and not self.layer.passing and self.hardware is None
        if new and stopped and len(state.applied_action) and (np.array(state.applied_action) != self._safe).any():
            self.problems.append(f"moved while stopped: {state}")
        if new and self.layer is not None:
            self._limits.append(self.layer.config.action_limit)
        self.state = state

    def _see_command(self, message: Float64MultiArray) -> None:
        told = dict(zip(self.hardware.command.order, message.data, strict=True))
        joints = [self.hardware.joints[name] for name in self.spec.actuated_joints]
        action = np.array([told[joint.name] * joint.sign * joint.gear / joint.scale for joint in joints])
        self._check("command", action, self.limit)
        if not self.layer.passing and not np.allclose(action, self._safe):
            self.problems.append(f"command while stopped: {action}")

    def _check(self, what: str, values: Any, limit: float, rows: int | None = 1) -> None:
        action = np.asarray(values, dtype=np.float64)
        expected = len(action) % self.spec.nu == 0 if rows is None else len(action) == rows * self.spec.nu
        if not expected:
            self.problems.append(f"{what} of a wrong size: {len(action)}")
        if not np.isfinite(action).all():
            self.problems.append(f"{what} not finite: {action}")
        elif len(action) and np.abs(action).max() > limit + _ROUNDING:
            self.problems.append(f"{what} beyond its limit: {limit}: {action}")
        self.counts[what] += 1
        self.counts[f"{what} in motion"] += len(action) > 0 and bool((action != 0).any())
