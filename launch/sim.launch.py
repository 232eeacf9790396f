"""Any robot: ``ros2 launch mbmf_ros sim.launch.py robot:=hopper_v5``; ``--show-args`` lists the arguments."""
# ROS 2's launch is not on PyPI:
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

from launch import LaunchDescription

from mbmf_ros.graphs import graph
from mbmf_ros.launching import description


def generate_launch_description() -> LaunchDescription:
    return description(graph("sim"), __file__)
