"""`kill -9` of the live learner while a robot moves in real time: its log loses at most one second."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from mbmf_ros.data.bag import StateReader, bag_files
from mbmf_ros.data.read_log import read_log
from mbmf_ros.msg import LearnerStatus, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles, fill_state
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

pytestmark = pytest.mark.ros
SPEC = robot("ant")


class Robot(Node):
    """Publishes a state per control period of the wall clock, and remembers when."""

    def __init__(self, context: rclpy.Context):
        super().__init__("robot", context=context)
        self.published: list[float] = []  # time of each tick [s, monotonic]
        self.statuses: list[LearnerStatus] = []
        self._m = start_measurement(SPEC)
        self._publisher = self.create_publisher(RobotState, "state", qos.STATE_PUB)
        self.create_subscription(LearnerStatus, "dynamics_learner/status", self.statuses.append, qos.LATCHED)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self)

    @property
    def heard(self) -> bool:
        return self._publisher.get_subscription_count() > 0 and bool(self.statuses)

    def spin(self) -> None:
        self._executor.spin_once(timeout_sec=0.005)

    def step(self, episode: int) -> None:
        """Publish the next tick and pass the rest of its control period."""
        tick = len(self.published)
        message = fill_state(RobotState(episode=episode, tick=tick), self._m, SPEC)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(round(tick * SPEC.dt_s * 1e9), 10**9)
        if tick:
            message.applied_action = doubles([tick / 1e6] * SPEC.nu)
        self._publisher.publish(message)
        self.published.append(time.monotonic())
        while time.monotonic() < self.published[-1] + SPEC.dt_s:
            self.spin()


def last_tick(log: Path, episode: int) -> int:
    """Of those logged; -1 if there is none."""
    states = [heard.state for heard in StateReader(bag_files(log))]
    return max((state.tick for state in states if state.episode == episode), default=-1)


def test_the_live_learner_loses_at_most_a_second_and_goes_on(tmp_path: Path):
    domain, draw = 1 + os.getpid() % 100, random.Random(3)
    command = [sys.executable, "-m", "mbmf_ros.nodes.dynamics_learner", "--ros-args", "-p", "model_path:=''"]
    command += ["-p", f"log_dir:={tmp_path / 'log'}"]
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    transitions = 0
    try:
        for episode in (1, 2):
            source = Robot(context)
            with subprocess.Popen(command, env=os.environ | {"ROS_DOMAIN_ID": str(domain)}) as learner:
                try:
                    deadline = time.monotonic() + 60
                    while not source.heard:
                        assert time.monotonic() < deadline, "the learner did not come up"
                        source.spin()
                    for _ in range(draw.randint(25, 60)):
                        source.step(episode)
                finally:
                    died_at = time.monotonic()
                    learner.kill()
                    learner.wait()
            logged = last_tick(tmp_path / "log", episode)
            safe = [tick for tick, at in enumerate(source.published) if at < died_at - 1.0]
            assert logged >= max(safe), f"{len(source.published) - 1 - logged} states were lost"
            contents = read_log(tmp_path / "log", SPEC)
            assert contents.store.transitions == transitions + logged
            transitions = contents.store.transitions
            for recorded in contents.store.episodes:  # each action led to its own tick
                steps = recorded.actions[:, 0] * 1e6
                assert (abs(steps - steps[0] - range(len(steps))) < 1e-6).all()
            source.destroy_node()
    finally:
        rclpy.shutdown(context=context)
    assert len(bag_files(tmp_path / "log")) == 2
