"""The live learner while its disk fails: it says so, goes on learning, and logs again when the disk is back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from mbmf_ros.data.read_log import read_log
from mbmf_ros.msg import LearnerStatus, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles, fill_state
from mbmf_ros.nodes.dynamics_learner import DynamicsLearner
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

pytestmark = pytest.mark.ros
SPEC = robot("ant")


def state(tick: int) -> RobotState:
    message = fill_state(RobotState(episode=1, tick=tick), start_measurement(SPEC), SPEC)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(round(tick * SPEC.dt_s * 1e9), 10**9)
    message.applied_action = doubles([0.5] * SPEC.nu if tick else [])
    return message


def test_a_disk_that_comes_back_is_written_to_again(rig: Any, tmp_path: Path):
    disk = tmp_path / "disk"
    disk.write_text("nothing is mounted here")
    rig.add(DynamicsLearner, log_dir=str(disk / "log"), model_path="")
    statuses = rig.hear(LearnerStatus, "dynamics_learner/status", qos.LATCHED)
    diagnoses = rig.hear(DiagnosticArray, "/diagnostics", 10)
    robot_state = rig.speak(RobotState, "state", qos.STATE_PUB)

    def levels() -> list[bytes]:
        return [status.level for status in diagnoses[-1].status] if diagnoses else []

    for tick in range(10):
        robot_state.publish(state(tick))
    rig.until(lambda: statuses and statuses[-1].logged == 9, "nine transitions in memory")
    assert statuses[-1].state == LearnerStatus.STATE_ERROR
    assert "not logging" in statuses[-1].message
    rig.until(lambda: DiagnosticStatus.ERROR in levels(), "an error in the diagnostics")
    disk.unlink()
    rig.until(lambda: statuses[-1].state != LearnerStatus.STATE_ERROR, "the log to go on")
    for tick in range(10, 15):
        robot_state.publish(state(tick))
    rig.until(lambda: statuses[-1].logged == 14, "14 transitions in memory")
    rig.until(lambda: read_log(disk / "log", SPEC).store.transitions == 14, "all of them in the log, none missing")
    rig.until(lambda: levels() and DiagnosticStatus.ERROR not in levels(), "diagnostics without an error")
