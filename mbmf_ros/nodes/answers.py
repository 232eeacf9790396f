"""How bridges tell where an action came from, and why there is none."""

from mbmf_ros.msg import RobotState

NO_CONTROLLER = "no controller: nobody publishes actions"
NO_ANSWER = "the controller does not answer; is it running?"
SOURCES = {
    "controller": RobotState.SOURCE_CONTROLLER,
    "plan": RobotState.SOURCE_PLAN,
    "safe": RobotState.SOURCE_SAFE,
}
