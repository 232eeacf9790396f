"""A probe that answers a bridge's states, as a controller does."""

from __future__ import annotations

import numpy as np

from mbmf_ros.msg import RobotAction, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles
from mbmf_ros.robots import robot

SPEC = robot("ant")
LOCK_STEP = {"sync_mode": True, "real_time_factor": 0.0}


class Controller:
    """Answers from the probe; ``act`` may be changed."""

    def __init__(self, rig):
        self.rig = rig
        self.states: list[RobotState] = []
        self.answering = True
        self.rng = np.random.default_rng(0)
        self.publisher = rig.speak(RobotAction, "action", qos.ACTION)
        rig.probe.create_subscription(RobotState, "state", self.on_state, qos.STATE_ALL)
        rig.until(lambda: self.states, "a state")

    @property
    def last(self) -> RobotState:
        return self.states[-1]

    def on_state(self, message: RobotState) -> None:
        self.states.append(message)
        if self.answering:
            self.answer(message, self.rng.uniform(-0.3, 0.3, SPEC.nu))

    def answer(self, state: RobotState, action, plan=(), **changes) -> None:
        message = RobotAction(episode=state.episode, tick=state.tick, action=doubles(action), plan=doubles(plan))
        for name, value in changes.items():
            setattr(message, name, value)
        self.publisher.publish(message)

    def reach(self, tick: int) -> None:
        self.rig.until(lambda: self.last.tick >= tick, f"tick {tick}")
