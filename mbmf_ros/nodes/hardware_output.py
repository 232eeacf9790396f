"""A real robot's command topic."""

from __future__ import annotations

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from mbmf_ros.hardware.commands import Commands
from mbmf_ros.hardware.estimator import Estimator
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles

FAREWELL_S = 0.2  # for the last command to reach the robot


class HardwareOutput:
    """Sends commands, and remembers what the robot was told last.

    Args:
        node: the bridge.
        estimator: knows the robot, and where its joints are.

    Attributes:
        topic: with its namespace.
        in_force: the action that the robot was told last, (nu,); None: nothing is being sent.
    """

    def __init__(self, node: Node, estimator: Estimator):
        config = estimator.config
        self._node, self._estimator, self._commands = node, estimator, Commands(config)
        self._safe = np.array(config.spec.safe_action)
        self._publisher = node.create_publisher(Float64MultiArray, config.command.topic, qos.ACTION)
        self.topic = self._publisher.topic_name
        self.in_force: np.ndarray | None = None

    @property
    def heard(self) -> bool:
        """Somebody listens."""
        return self._publisher.get_subscription_count() > 0

    def command(self, action: np.ndarray) -> None:
        """Tell the robot ``action`` (nu,), which has passed the safety layer."""
        self.in_force = action
        messages = self._estimator.inputs["joint_states"].messages
        if not self._commands.follows_joints:
            self._publisher.publish(Float64MultiArray(data=doubles(self._commands.data(action))))
        elif messages:
            joints = messages[-1].sample
            data = self._commands.data(action, joints.position, joints.velocity)
            self._publisher.publish(Float64MultiArray(data=doubles(data)))

    def on_joints(self) -> None:
        """With PD control the torque follows the joints."""
        if self._commands.follows_joints and self.in_force is not None:
            self.command(self.in_force)

    def release(self) -> None:
        """Send nothing any more; the last command is the safe one."""
        if self.in_force is not None:
            self.command(self._safe)
            self.in_force = None

    def farewell(self) -> None:
        """Release the robot and wait, for a moment, until it knows."""
        if self.in_force is not None and self._node.context.ok():
            self.release()
            self._publisher.wait_for_all_acked(Duration(seconds=FAREWELL_S))
