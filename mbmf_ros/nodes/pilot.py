"""Who answers a state: a policy, the MPC, exploration, or nobody. No ROS in here.

A policy was trained to move forward, so it answers where that is the goal and it may act; else whoever would answer
without it does, from the same state.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mbmf_ros.control.explore import Explorer
from mbmf_ros.control.goals import ForwardGoal
from mbmf_ros.control.mpc import MpcController, Step
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.driver import PolicyDriver

NO_MODEL = "no model: train one (`mbmf train`, dynamics_learner/train) or set model_path"


class Pilot:
    """Chooses.

    Args:
        mpc: the controller; its goal says what to do.
        explorer: moves the robot while there is no model, if anything does.
        policy: moves it forward, if anything does.

    Attributes:
        doing: what the robot was told to do at the last control step, in a word or two.
        error: why that was the safe action although there was something to do; empty: it was not.
        by_policy: the policy answered.
        planning_errors: control steps at which planning failed.
    """

    def __init__(self, mpc: MpcController, explorer: Explorer | None = None, policy: PolicyDriver | None = None):
        self.mpc, self.explorer, self.policy = mpc, explorer, policy
        self.doing, self.error, self.by_policy, self.planning_errors = "idle", "", False, 0

    @property
    def fallback(self) -> str:
        """Why the policy leaves moving forward to others just now, and to whom; empty: it does not."""
        if self.policy is None or not self.policy.why:
            return ""
        others = "the MPC does" if self.mpc.model is not None else "there is no model for the MPC"
        return f"the policy does not act, {others}: {self.policy.why}"

    def reset(self) -> None:
        """A new episode."""
        self.mpc.reset()
        if self.policy is not None:
            self.policy.reset()

    def answer(self, m: np.ndarray, tick: int, pending: np.ndarray, active: bool) -> Step:
        """The answer to measurement ``m`` (nm,) of control step ``tick``; the safe action where there is no other.

        Args:
            m: the measurement.
            tick: the control step.
            pending: actions (rows, nu) that come first.
            active: whether actions are taken.
        """
        safe = Step(np.array(self.mpc.spec.safe_action), np.empty((0, self.mpc.spec.nu)), idle=True, plan_time_s=0.0)
        self.error, self.by_policy = "", False
        step = None
        try:
            step = self._policys(m, tick, pending, active)
            if step is None and active:
                step = self._others(m, pending, safe)
        except (MbmfError, RuntimeError) as error:
            self.planning_errors += 1
            self.error = f"planning failed: {error}"
        step = step or safe
        self.doing = self._doing(step.idle, active)
        return step

    def _policys(self, m: np.ndarray, tick: int, pending: np.ndarray, active: bool) -> Step | None:
        """The policy's answer; None: it has none, or has nothing to do with it."""
        if self.policy is None:
            return None
        if not (active and isinstance(self.mpc.goal, ForwardGoal)):
            self.policy.rest()
            return None
        step = self.policy.act(m, tick, pending, self.mpc.model)
        if step is not None:
            self.by_policy = True
            self.mpc.forget_plan()
        return step

    def _others(self, m: np.ndarray, pending: np.ndarray, safe: Step) -> Step:
        """What is answered without a policy."""
        refused = bool(self.fallback)  # a robot that a policy does not dare to drive does not move at random either
        if self.mpc.model is None and self.explorer is not None and not refused:
            rows = self.explorer.next(self.mpc.config.plan_rows)
            return dataclasses.replace(safe, action=rows[0], plan=rows[1:])
        if self.mpc.model is None and self.mpc.goal is not None:
            self.error = self.fallback or NO_MODEL
        return self.mpc.act(m, pending)

    def _doing(self, idle: bool, active: bool) -> str:
        goal = self.mpc.goal
        if self.by_policy:
            return "forward (policy)"
        if self.mpc.model is None and self.explorer is not None and not self.fallback:
            return "explore" if active else "idle"
        holding = goal is not None and goal.name == "hold" and active
        return goal.name if goal is not None and (holding or not idle) else "idle"
