"""The controller's answers, as bridges take them: where an action came from, and why there is none."""

from __future__ import annotations

from rclpy.node import Node

from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import RobotAction, RobotState
from mbmf_ros.nodes.action_slot import Answer
from mbmf_ros.nodes.conversions import action_from
from mbmf_ros.nodes.rejects import Rejects
from mbmf_ros.robots import RobotSpec

NO_CONTROLLER = "no controller: nobody publishes actions"
NO_ANSWER = "the controller does not answer; is it running?"
SOURCES = {
    "controller": RobotState.SOURCE_CONTROLLER,
    "plan": RobotState.SOURCE_PLAN,
    "safe": RobotState.SOURCE_SAFE,
}


def answer_from(message: RobotAction, spec: RobotSpec, node: Node, rejects: Rejects) -> Answer | None:
    """What a message says; None where it is malformed, which is counted and told."""
    try:
        action, plan = action_from(message, spec)
    except MbmfError as error:
        rejects.add("action", error)
        node.get_logger().warning(f"ignored an action: {error}", throttle_duration_sec=5.0)
        return None
    return Answer(message.episode, message.tick, action, plan, message.idle)
