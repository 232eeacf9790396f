"""Disturbances of the simulated robot as ROS parameters that may be set at any time."""

from __future__ import annotations

from rclpy.node import Node

from mbmf_ros.nodes.parameter_groups import settable
from mbmf_ros.robots.disturbance import Disturbance, DisturbanceConfig
from mbmf_ros.robots.sim import Simulation

GROUP = "disturbance"


class DisturbanceParameters:
    """Applies the parameters ``disturbance.*`` of a node to its simulation, now and whenever they are set.

    Args:
        node: has declared them, see :func:`mbmf_ros.nodes.runtime.declare`.
        simulation: what is disturbed.
        config: their values.

    Raises:
        MbmfError: values that do not fit the robot.
    """

    def __init__(self, node: Node, simulation: Simulation, config: DisturbanceConfig):
        self._node = node
        self._disturbance = Disturbance(simulation)
        self._disturbance.apply(config)
        settable(node, GROUP, lambda: self.config, self._apply)

    @property
    def config(self) -> DisturbanceConfig:
        """What is in force."""
        return self._disturbance.config

    def _apply(self, config: DisturbanceConfig) -> None:
        self._disturbance.apply(config)
        self._node.get_logger().warning(f"the robot is disturbed from now on: {self.config}")
