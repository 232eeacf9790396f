"""Disturbances of the simulated robot as ROS parameters that may be set at any time."""

from __future__ import annotations

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from mbmf_ros.config import override
from mbmf_ros.errors import MbmfError
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
        node.add_on_set_parameters_callback(self._on_set)

    @property
    def config(self) -> DisturbanceConfig:
        """What is in force."""
        return self._disturbance.config

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        prefix = f"{GROUP}."
        values = {p.name.removeprefix(prefix): p.value for p in parameters if p.name.startswith(prefix)}
        values = {name: list(value) if hasattr(value, "typecode") else value for name, value in values.items()}
        if not values:
            return SetParametersResult(successful=True)
        try:
            self._disturbance.apply(override(self.config, values, GROUP))
        except MbmfError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._node.get_logger().warning(f"the robot is disturbed from now on: {self.config}")
        return SetParametersResult(successful=True)
