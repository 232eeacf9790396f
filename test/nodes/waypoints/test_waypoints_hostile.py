"""What others claim must not end the waypoints node."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from std_msgs.msg import Header
from waypoints_robot import pose

pytestmark = pytest.mark.ros


def test_a_state_with_the_last_possible_stamp_still_gets_its_path(ant, node):
    ant.at(node, 1.0, 1.0, header=Header(stamp=Time(sec=2**31 - 1, nanosec=999_999_999), frame_id="odom"))
    ant.send(PoseStamped, "goal_pose", pose(2.0, 1.0))
    assert ant.paths[-1].header.stamp.sec == 2**31 - 1
