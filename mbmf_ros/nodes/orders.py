"""What the controller is told to do, and which order holds. No ROS in here.

The latest order holds: a path ends a velocity, a velocity that is not zero ends a path. A velocity of zero, or one that
is not repeated in time, ends in holding the position; it never ends a path, for joysticks at rest go on sending zeros.
"""

from __future__ import annotations

import numpy as np

from mbmf_ros.control.goals import FollowPathGoal, ForwardGoal, HoldGoal, VelocityGoal
from mbmf_ros.control.mpc import MpcController
from mbmf_ros.control.path import Path
from mbmf_ros.control.tasks import ForwardConfig
from mbmf_ros.errors import MbmfError


class Orders:
    """Turns orders into the controller's goal.

    Args:
        mpc: the controller.
        timeout_s: robot time for which a velocity holds; 0: for ever.
        hold_at_goal: hold the position where a path ends.
        forward: move forward while there is no other order.
    """

    def __init__(
        self, mpc: MpcController, timeout_s: float, hold_at_goal: bool = False, forward: ForwardConfig | None = None
    ):
        self.mpc = mpc
        self.timeout_s = timeout_s
        self.hold_at_goal = hold_at_goal
        self._forward = forward
        self._told_s = float("-inf")
        if forward is not None and mpc.spec.forward is None:
            raise MbmfError(f"robot {mpc.spec.name!r} has no reward for moving forward; choose task idle")

    def follow(self, path: Path | None) -> None:
        """Follow ``path``; None: no path any more."""
        if path is not None or not isinstance(self.mpc.goal, (VelocityGoal, HoldGoal)):
            self.mpc.set_path(path)

    def drive(self, command: np.ndarray, now_s: float) -> None:
        """Move at ``command`` (3,), given at ``now_s`` in the robot's time."""
        goal, config = self.mpc.goal, self.mpc.config
        if command.any():
            self._told_s = now_s
            if not isinstance(goal, VelocityGoal):
                goal = VelocityGoal(config.velocity, self.mpc.spec)
                self.mpc.set_goal(goal)
            goal.set_command(command)
        elif isinstance(goal, VelocityGoal):
            self.mpc.set_goal(HoldGoal(config.hold))

    def update(self, now_s: float) -> None:
        """What time and arrival bring about; once per control step, before it."""
        goal, config = self.mpc.goal, self.mpc.config
        if isinstance(goal, VelocityGoal) and 0 < self.timeout_s < now_s - self._told_s:
            self.mpc.set_goal(HoldGoal(config.hold))
        elif isinstance(goal, FollowPathGoal) and goal.tracker.done and self.hold_at_goal:
            self.mpc.set_goal(HoldGoal(config.hold, goal.tracker.path.waypoints[-1]))
        elif goal is None and self._forward is not None and self.mpc.spec.forward is not None:
            self.mpc.set_goal(ForwardGoal(self.mpc.spec.forward, self._forward))
