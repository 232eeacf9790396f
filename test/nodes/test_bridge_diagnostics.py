"""What operators ask for in /diagnostics of the simulator bridge: deadlines missed, and messages refused per topic."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from bridge_controller import Controller
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped

from mbmf_ros.nodes import qos
from mbmf_ros.nodes.sim_bridge import SimBridge

pytestmark = pytest.mark.ros


def test_missed_deadlines_and_refused_messages_are_counted_per_topic(rig):
    rig.add(SimBridge, real_time_factor=1.0)
    heard = rig.hear(DiagnosticArray, "/diagnostics", qos.STATS)
    controller = Controller(rig)
    controller.reach(5)

    def told(key: str) -> str:
        values = {pair.key: pair.value for message in heard for pair in message.status[0].values}
        return values.get(key, "")

    start = PoseWithCovarianceStamped()
    start.header.frame_id = "map"
    rig.speak(PoseWithCovarianceStamped, "initialpose", qos.CLICK).publish(start)
    rig.until(lambda: told("refused: initialpose") == "1", "a count")
    late = int(told("late answers"))
    controller.answering = False  # nor does a good answer take the place of the bad one
    rig.until(lambda: int(told("late answers")) > late, "late answers")
    controller.answer(controller.last, [math.inf] * 8)
    rig.until(lambda: told("refused: action") == "1", "a count")
    assert "overruns" in {pair.key for pair in heard[-1].status[0].values}
