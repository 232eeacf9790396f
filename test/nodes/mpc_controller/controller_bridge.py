"""A probe that is a bridge to the MPC controller, and untrained models for it."""

from __future__ import annotations

import time

import numpy as np
from nav_msgs.msg import Path as PathMessage

from mbmf_ros.dynamics.io import ModelInfo, layout_hash, model_to_bytes
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.msg import Model, RobotAction, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import fill_state, path_message, time_message
from mbmf_ros.nodes.mpc_controller import MpcControllerNode
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

SPEC = robot("ant")
AHEAD = np.array([[0.0, 0.0], [3.0, 0.0]])


def untrained(profile: str = "body", seed: int = 0) -> tuple[Dynamics, ModelInfo]:
    model = Dynamics(SPEC, DynamicsConfig(profile=profile, members=1, hidden=16), seed)
    model.output_std.fill_(1e-3)
    return model, ModelInfo(SPEC.name, profile, layout_hash(model), 100, 0.5, 0.9, 10)


def model_message(version: int, **changes) -> Model:
    model, info = untrained(seed=version)
    message = Model(version=version, robot=info.robot, profile=info.profile, layout_hash=info.layout_hash)
    message.weights = model_to_bytes(model, info)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


class Bridge:
    """Publishes states from the probe and hears the answers."""

    def __init__(self, rig):
        self.rig = rig
        self.answers: list[RobotAction] = []
        self.state_publisher = rig.speak(RobotState, "state", qos.STATE_PUB)
        self.path_publisher = rig.speak(PathMessage, "path", qos.LATCHED)
        self.answers = rig.hear(RobotAction, "action", qos.ACTION)

    def state(self, tick: int, episode: int = 1, m: np.ndarray | None = None, **changes) -> RobotState:
        message = RobotState(episode=episode, tick=tick)
        message.header.frame_id = "odom"
        message.header.stamp = time_message((episode * 1000 + tick) * 50_000_000)
        fill_state(message, start_measurement(SPEC) if m is None else m, SPEC)
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    def ask(self, tick: int, episode: int = 1, **changes) -> RobotAction:
        """The answer to a state, which is told until it is heard: the controller takes states best effort."""
        state, heard, told_s = self.state(tick, episode, **changes), len(self.answers), float("-inf")

        def answered() -> bool:
            nonlocal told_s
            if time.monotonic() - told_s > 1.0:
                told_s = time.monotonic()
                self.state_publisher.publish(state)
            return any((a.episode, a.tick) == (episode, tick) for a in self.answers[heard:])

        self.rig.until(answered, f"an answer to tick {tick}")
        return self.answers[-1]

    def path(self, node: MpcControllerNode, points: np.ndarray, frame: str = "odom", stamp_ns: int = 0) -> None:
        before, refused = node.mpc.tracker, node.rejects["path"]
        self.path_publisher.publish(path_message(points, frame, time_message(stamp_ns)))
        self.rig.until(lambda: node.mpc.tracker is not before or node.rejects["path"] > refused, "the path")
