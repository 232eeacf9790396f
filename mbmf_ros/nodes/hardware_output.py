"""A real robot's command topic."""

from __future__ import annotations

import time

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from mbmf_ros.hardware.approach import Approach
from mbmf_ros.hardware.commands import Commands
from mbmf_ros.hardware.estimator import Estimator
from mbmf_ros.hardware.pairing import Pairing
from mbmf_ros.hardware.samples import JointSample
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles
from mbmf_ros.nodes.hardware_listeners import Listeners

FAREWELL_S = 0.2  # for the last command to reach the robot


class HardwareOutput:
    """Sends commands, and remembers what the robot was told last.

    Args:
        node: the bridge.
        estimator: knows the robot, and where its joints are.
        pairing: is told what was sent.

    Attributes:
        topic: with its namespace.
        listeners: who takes the commands.
        in_force: the action that the robot was told last, (nu,); None: nothing is being sent.
    """

    def __init__(self, node: Node, estimator: Estimator, pairing: Pairing):
        config = estimator.config
        self._node, self._estimator, self._commands = node, estimator, Commands(config)
        self._pairing, self._approach = pairing, Approach(config)
        self._safe = np.array(config.spec.safe_action)
        self._publisher = node.create_publisher(Float64MultiArray, config.command.topic, qos.ACTION)
        self.topic = self._publisher.topic_name
        self.listeners = Listeners(node, self._publisher, config.command.order)
        self.in_force: np.ndarray | None = None

    def toward(self, action: np.ndarray, controlled: bool) -> np.ndarray:
        """What to send for ``action`` (nu,), the controller's or the safe one: it, or what leads there slowly."""
        now, before = time.monotonic(), self.in_force
        if before is None:
            joints = self._joints()
            before = self._safe if joints is None else self._approach.begin(joints.position, now)
        return self._approach.step(before, action, controlled, now)

    def send(self, action: np.ndarray, source: int, off_s: float) -> None:
        """Tell the robot ``action`` (nu,), in its turn, ``off_s`` [s] after the time that it should have been.

        While nobody listens nothing is in force, and a posture begins again from where the joints are then.
        """
        if not self.listeners.heard:
            self.in_force = None
            self._pairing.stop()
        elif self._command(action):
            self._pairing.sent(action, source, off_s)
        else:
            self._pairing.stop()

    def stop(self, source: int) -> None:
        """Tell the robot the safe action out of turn. A posture stays as it is until the next turn leads it away."""
        assert self.in_force is not None
        if not self._approach.needed and (self.in_force != self._safe).any():
            self._pairing.interrupt(self._safe, source)
            self._command(self._safe)

    def on_joints(self) -> None:
        """With PD control the torque follows the joints."""
        if self._commands.follows_joints and self.in_force is not None and not self._command(self.in_force):
            self._pairing.stop()

    def release(self) -> None:
        """Send nothing any more. The last command is the safe one; a posture stays as it is.

        Under PD control it is no torque: nobody adapts it any more.
        """
        if self.in_force is not None:
            posture = self.in_force if self._approach.needed else self._safe
            follows = self._commands.follows_joints
            self._send(self._commands.nothing if follows else self._commands.data(posture))
            self.in_force = None
        self._pairing.stop()

    def _command(self, action: np.ndarray) -> bool:
        """Send the command for ``action`` (nu,); returns whether that could be done.

        Under PD control nobody knows what torque it is while the joints are not heard: then there is none.
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

    def _joints(self) -> JointSample | None:
        """The newest, if it is new enough to act on."""
        heard = self._estimator.inputs["joint_states"]
        if heard.clock.late or heard.age_s(time.monotonic()) > self._estimator.config.joint_states.max_age:
            return None
        return heard.messages[-1].sample

    def _send(self, data: np.ndarray) -> None:
        self._publisher.publish(Float64MultiArray(data=doubles(data)))

    def farewell(self) -> None:
        """Release the robot and wait, for a moment, until it knows."""
        if self.in_force is not None and self._node.context.ok():
            self.release()
            self._publisher.wait_for_all_acked(Duration(seconds=FAREWELL_S))
