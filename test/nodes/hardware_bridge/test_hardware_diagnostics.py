"""What operators ask for in /diagnostics of the hardware bridge: deadlines missed, and messages refused per topic."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Vector3
from sensor_msgs.msg import Imu, JointState

from mbmf_ros.msg import RobotAction
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles

pytestmark = pytest.mark.ros


def told(heard: list[DiagnosticArray]) -> dict[str, str]:
    """The newest values."""
    return {pair.key: pair.value for message in heard for status in message.status for pair in status.values}


def test_missed_deadlines_and_refused_messages_are_counted_per_topic(setup, rig):
    _, fake = setup()
    heard = rig.hear(DiagnosticArray, "/diagnostics", qos.STATS)
    rig.until(lambda: "late answers" in told(heard), "the first diagnostics")
    fake.enable()
    late = int(told(heard)["late answers"])
    fake.answering = False  # nor does a good answer take the place of the bad one
    rig.until(lambda: int(told(heard)["late answers"]) > late, "late answers")
    fake.actions.publish(RobotAction(action=doubles([math.nan] * 8)))
    for _ in range(2):
        fake.joints.publish(JointState(name=["r_hip_1"], position=[0.0]))
    fake.imu.publish(Imu(angular_velocity=Vector3(x=math.inf)))
    expected = {"refused: action": "1", "refused: joint_states": "2", "refused: imu": "1"}
    rig.until(lambda: expected.items() <= told(heard).items(), "the counts")
    assert told(heard)["last refusal"].partition(":")[0] in ("action", "joint_states", "imu")
    assert "missed control periods" in told(heard)


def test_the_rate_of_answers_is_told(setup, rig):
    _, fake = setup()
    heard = rig.hear(DiagnosticArray, "/diagnostics", qos.STATS)
    fake.enable()
    rig.until(lambda: float(told(heard).get("action rate [Hz]", 0.0)) > 1.0, "the rate")
    assert float(told(heard)["joint_states late by [ms]"]) < 300.0
