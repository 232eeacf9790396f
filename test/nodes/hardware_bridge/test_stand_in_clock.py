"""The clock of the stand-in, whose stamps tell a bridge how old its messages are."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from nav_msgs.msg import Odometry

from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import time_seconds
from mbmf_ros.nodes.hardware_stand_in import HardwareStandIn
from mbmf_ros.shared_files import shared_file

pytestmark = pytest.mark.ros


def test_it_goes_on_while_a_busy_computer_leaves_out_physics(rig):
    file = shared_file("config", "hardware", "ant_stand_in.yaml")
    robot = rig.add(HardwareStandIn, config=str(file), noise="clean")
    odom = rig.hear(Odometry, "odom", qos.STATE_ALL)
    rig.until(lambda: odom, "a message")
    clock_s = time_seconds(odom[-1].header.stamp) - time.monotonic()
    physics_s = robot.robot.now_s - time.monotonic()
    robot._started_s -= 0.5  # as if the computer had been busy for that long
    rig.until(lambda: robot.left_out_s >= 0.35, "physics that was left out")

    def gone_on(what_s: float, before_s: float) -> float:
        return what_s - time.monotonic() - before_s

    rig.until(lambda: abs(gone_on(time_seconds(odom[-1].header.stamp), clock_s) - 0.5) < 0.1, "a clock that went on")
    rig.until(lambda: gone_on(robot.robot.now_s, physics_s) < 0.2, "physics that did not")
