"""The learner that trains by itself, over real ROS: a probe publishes motion as a bridge would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from diagnostic_msgs.msg import DiagnosticArray
from std_srvs.srv import SetBool, Trigger

from mbmf_ros.control.explore import Explorer
from mbmf_ros.msg import LearnerStatus, Model, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles, fill_state, time_message
from mbmf_ros.nodes.dynamics_learner import DynamicsLearner
from mbmf_ros.nodes.runtime import WARN
from mbmf_ros.robots import robot
from mbmf_ros.robots.disturbance import Disturbance, DisturbanceConfig
from mbmf_ros.robots.sim import Simulation, start_measurement

pytestmark = pytest.mark.ros
SPEC = robot("ant")
PATIENCE_S = 300.0  # a training has the lowest priority, and the computer may be busy
SMALL = {
    "model_path": "",
    "continuous": True,
    "continual__first_train": 400,
    "continual__retrain_every": 200,
    "continual__first_updates": 300,
    "continual__updates": 100,
    "dynamics__members": 1,
    "dynamics__hidden": 32,
    "training__batch_size": 64,
    "training__symmetries": False,
}


class Robot:
    """Explores in simulation and tells the learner of it."""

    def __init__(self, rig: Any):
        self.rig = rig
        self.simulation = Simulation(SPEC)
        self.disturbance = Disturbance(self.simulation)
        self.explorer = Explorer(SPEC, seed=0)
        self.models: list[Model] = rig.hear(Model, "model", qos.LATCHED)
        self.statuses: list[LearnerStatus] = rig.hear(LearnerStatus, "dynamics_learner/status", qos.LATCHED)
        self.diagnoses: list[DiagnosticArray] = rig.hear(DiagnosticArray, "/diagnostics", qos.STATS)
        self.publisher = rig.speak(RobotState, "state", qos.STATE_PUB)
        self.episode = self.tick = 0
        self.told = 0
        self.reset()

    @property
    def status(self) -> LearnerStatus:
        return self.statuses[-1] if self.statuses else LearnerStatus()

    def move(self, transitions: int) -> None:
        """Move so much, and wait until the learner has taken it in."""
        for _ in range(transitions):
            u = self.explorer.next()[0]
            m = self.simulation.step(u)
            self.tick += 1
            self.told += 1
            self._tell(m, u)
            if SPEC.fallen(m):
                self.reset()
            self.rig.executor.spin_once(timeout_sec=0)
        self.rig.until(lambda: self.status.logged == self.told, "the states", PATIENCE_S)

    def reset(self) -> None:
        """Begin a new episode."""
        self.episode, self.tick = self.episode + 1, 0
        self._tell(self.simulation.reset(start_measurement(SPEC)), None)

    def _tell(self, m: np.ndarray, u: np.ndarray | None) -> None:
        message = fill_state(RobotState(episode=self.episode, tick=self.tick), m, SPEC)
        message.header.stamp = time_message(round((self.episode * 1e4 + self.tick * SPEC.dt_s) * 1e9))
        message.applied_action = doubles([] if u is None else u)
        self.publisher.publish(message)


def versions(models: list[Model]) -> list[int]:
    return [model.version for model in models]


def test_it_trains_by_itself_again_and_again_and_forgets_on_request(rig, tmp_path: Path):
    rig.add(DynamicsLearner, log_dir=str(tmp_path / "log"), **SMALL)
    robot = Robot(rig)
    robot.move(300)
    assert robot.status.continuous
    assert robot.status.until_training == 100
    assert not robot.models
    robot.move(150)
    rig.until(lambda: robot.models, "the first model", PATIENCE_S)
    rig.until(lambda: robot.status.accepted == 1 and robot.status.state == LearnerStatus.STATE_IDLE, "its status")
    assert 0 < robot.status.recent_error < 2
    assert robot.status.memory_mb > 50
    robot.move(250)
    rig.until(lambda: robot.status.accepted + robot.status.refused == 2, "the second training", PATIENCE_S)
    assert robot.status.refused == 0 or "refused: error over" in robot.status.refusal

    before = robot.status.model_version
    answer = rig.call(Trigger, "dynamics_learner/reset")
    assert answer.success, answer.message
    assert "no model yet" in answer.message
    rig.until(lambda: robot.status.kept == 0 and robot.status.until_training == 400, "an empty memory")
    assert rig.call(SetBool, "dynamics_learner/set_paused", data=True).success
    assert rig.call(SetBool, "dynamics_learner/set_paused", data=False).success
    robot.reset()
    robot.move(450)
    rig.until(lambda: robot.status.model_version > before, "a model of what came after", PATIENCE_S)
    assert versions(robot.models) == sorted(set(versions(robot.models)))


def test_after_forgetting_the_model_asked_for_is_in_force_under_a_new_version(rig, tmp_path: Path):
    rig.add(DynamicsLearner, log_dir="", **SMALL | {"model_path": "default"})
    robot = Robot(rig)
    rig.until(lambda: versions(robot.models) == [1], "the shipped model")
    assert rig.call(Trigger, "dynamics_learner/reset").success
    rig.until(lambda: versions(robot.models) == [1, 2], "it again")
    assert robot.models[0].weights == robot.models[1].weights


def test_a_changed_robot_is_noticed_told_and_learned_anew(rig):
    changes = {"change__window": 100, "change__usual": 250, "change__threshold": 4.0}
    never = {"continual__retrain_every": 100_000, "continual__retrain_changed": 100}
    shipped = {"model_path": "default", "dynamics__members": 4, "dynamics__hidden": 256}
    kinds = ("tolerance", "old_tolerance", "changed_tolerance")
    anything = {f"acceptance__{kind}": 100.0 for kind in kinds}  # so little teaches little
    rig.add(DynamicsLearner, log_dir="", **SMALL | changes | never | shipped | anything)
    robot = Robot(rig)
    robot.move(450)
    rig.until(lambda: 0 < robot.status.surprise < 4.0, "the usual surprise")
    assert (robot.status.changed, robot.status.changes) == (False, 0)
    robot.disturbance.apply(DisturbanceConfig(motor_strength=(0.1,)))
    robot.move(105)
    rig.until(lambda: robot.status.changes == 1, "the change")
    assert robot.status.changed
    rig.until(
        lambda: any(s.level == WARN and "has changed" in s.message for a in robot.diagnoses for s in a.status),
        "a warning",
    )
    robot.move(120)
    rig.until(lambda: robot.status.accepted == 1, "a model of the robot as it is now", PATIENCE_S)
    rig.until(lambda: not robot.status.changed, "the all-clear", PATIENCE_S)
    assert versions(robot.models) == [1, 2]
