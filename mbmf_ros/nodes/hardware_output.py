"""A real robot's command topic."""

from __future__ import annotations

import time

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from mbmf_ros.hardware.commands import Commands
from mbmf_ros.hardware.estimator import Estimator
from mbmf_ros.hardware.samples import JointSample
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

    def command(self, action: np.ndarray) -> bool:
        """Tell the robot ``action`` (nu,), which has passed the safety layer.

        Returns:
            Whether it was told so. Under PD control nobody knows what torque that is while the joints are not heard:
            then it is told to do nothing.
        """
        if not self._commands.follows_joints:
            self._send(self._commands.data(action))
        elif (joints := self._joints()) is not None:
            self._send(self._commands.data(action, joints.position, joints.velocity))
        else:
            self._send(self._commands.nothing)
            self.in_force = None
            return False
        self.in_force = action
        return True

    def on_joints(self) -> None:
        """With PD control the torque follows the joints."""
        if self._commands.follows_joints and self.in_force is not None:
            self.command(self.in_force)

    def release(self) -> None:
        """Send nothing any more; the last command is the safe one, under PD control no torque: nobody adapts it."""
        if self.in_force is not None:
            follows = self._commands.follows_joints
            self._send(self._commands.nothing if follows else self._commands.data(self._safe))
            self.in_force = None

    def _joints(self) -> JointSample | None:
        """The newest, if it is new enough to act on."""
        heard = self._estimator.inputs["joint_states"]
        if heard.age_s(time.monotonic()) > self._estimator.config.joint_states.max_age:
            return None
        return heard.messages[-1].sample

    def _send(self, data: np.ndarray) -> None:
        self._publisher.publish(Float64MultiArray(data=doubles(data)))

    def farewell(self) -> None:
        """Release the robot and wait, for a moment, until it knows."""
        if self.in_force is not None and self._node.context.ok():
            self.release()
            self._publisher.wait_for_all_acked(Duration(seconds=FAREWELL_S))
