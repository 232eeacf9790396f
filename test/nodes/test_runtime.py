"""Parameters, diagnostics, and how a node's process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter

from mbmf_ros.errors import MbmfError
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.rejects import Rejects
from mbmf_ros.nodes.runtime import ERROR, OK, WARN, Diagnostics, declare, option

pytestmark = pytest.mark.ros


@dataclass(frozen=True)
class Inner:
    """Documented in the docstring.

    Attributes:
        gain: of the inner loop [1/s].
    """

    gain: float = 1.0


@dataclass(frozen=True)
class Outer:
    """Described field by field."""

    steps: int = option(3, "how many", 1, 10)
    rate: float = option(2.0, "how often [Hz]", 0.0)
    names: tuple[str, ...] = ("a", "b")
    perhaps: float | None = None
    inner: Inner = field(default_factory=Inner)


class Configured(Node):
    """A node with parameters and diagnostics."""

    def __init__(self, **options):
        super().__init__("configured", **options)
        self.config = declare(self, Outer())
        Diagnostics(self, "thing", lambda: (WARN, "so so", {"speed": 1 / 3, "count": 7}))


def test_parameters_override_defaults_and_are_described(rig):
    node = rig.add(Configured, steps=5, rate=4, names=["c"], inner__gain=0.5)  # a whole number will do for a float
    assert node.config == Outer(steps=5, rate=4.0, names=("c",), inner=Inner(0.5))
    assert node.get_parameter("rate").value == 4.0
    described = node.describe_parameter("steps")
    assert (described.description, described.integer_range[0].to_value) == ("how many", 10)
    assert node.describe_parameter("inner.gain").description == "of the inner loop [1/s]."


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"stebs": 5}, "unknown parameter of configured 'stebs' .did you mean 'steps'"),
        ({"inner__gian": 5.0}, "did you mean 'inner.gain'"),
        ({"steps": 11}, "configured.steps: expected 1 to 10, got 11"),
        ({"rate": -1.0}, "at least 0"),
        ({"steps": "many"}, "expected int, got 'many'"),
        ({"inner__gain": float("nan")}, "finite"),
    ],
)
def test_unknown_or_wrong_parameters_are_refused(rig, parameters, message):
    with pytest.raises(MbmfError, match=message):
        rig.add(Configured, **parameters)


def test_setting_a_parameter_later_is_refused_by_ros(rig):
    rig.add(Configured)
    later = [Parameter("steps", value=4).to_parameter_msg()]
    answer = rig.call(SetParametersAtomically, "configured/set_parameters_atomically", parameters=later)
    assert not answer.result.successful
    assert "read-only" in answer.result.reason


def test_a_parameter_of_no_known_type_is_refused_and_ends_nothing(rig):
    rig.add(Configured)
    bad = Parameter("steps", value=4).to_parameter_msg()
    bad.value.type = 255
    answer = rig.call(SetParametersAtomically, "configured/set_parameters_atomically", parameters=[bad])
    assert (answer.result.successful, "255" in answer.result.reason) == (False, True)
    answer = rig.call(SetParameters, "configured/set_parameters", parameters=[bad, bad])
    assert [result.successful for result in answer.results] == [False, False]


def test_diagnostics_are_published(rig):
    rig.add(Configured)
    heard = rig.hear(DiagnosticArray, "/diagnostics", qos.STATS)
    rig.until(lambda: heard, "diagnostics")
    (status,) = heard[0].status
    assert (status.name, status.hardware_id, status.level, status.message) == ("configured", "thing", WARN, "so so")
    assert {item.key: item.value for item in status.values} == {"speed": "0.333333", "count": "7"}


def test_diagnostics_warn_of_refused_input_only_while_it_is_fresh(rig):
    condition, rejects = [OK, "walking", {}], Rejects()
    diagnostics = Diagnostics(rig.probe, "thing", lambda: tuple(condition), rejects)
    rejects.add("state", "not finite")
    rejects.add("path", "in frame map")
    told = diagnostics.status()
    assert (told.level, told.message) == (WARN, "2 refused, the last one a path: in frame map")
    told = diagnostics.status()
    assert (told.level, told.message) == (OK, "walking")
    counts = {item.key: item.value for item in told.values}
    assert counts == {"refused: path": "1", "refused: state": "1", "last refusal": "path: in frame map"}
    condition[:2] = ERROR, "burning"
    rejects.add("state", "not finite")
    assert diagnostics.status().message == "burning"


@pytest.mark.parametrize(
    "name", ["cockpit", "display", "dynamics_learner", "mpc_controller", "sim_bridge", "waypoints"]
)
def test_every_node_tells_of_its_input_in_the_same_way(rig, name):
    module = pytest.importorskip(f"mbmf_ros.nodes.{name}")
    kinds = {"cockpit": "Cockpit", "display": "Display", "dynamics_learner": "DynamicsLearner"}
    kinds |= {"mpc_controller": "MpcControllerNode", "sim_bridge": "SimBridge", "waypoints": "Waypoints"}
    parameters = {"cockpit": {"port": 0}, "dynamics_learner": {"log_dir": "", "model_path": ""}}
    parameters |= {"mpc_controller": {"model_path": ""}}
    node = rig.add(getattr(module, kinds[name]), **parameters.get(name, {}))
    if name == "sim_bridge":
        rig.speak(module.RobotAction, "action", qos.ACTION).publish(module.RobotAction())
    else:
        if name == "display":
            rig.probe.create_subscription(module.MarkerArray, "display/robot", lambda _: None, qos.DRAWING)
            rig.until(lambda: node.count_subscribers("display/robot"), "somebody who looks")
        rig.speak(module.RobotState, "state", qos.STATE_PUB).publish(module.RobotState(robot="swimmer"))
    heard = rig.hear(DiagnosticArray, "/diagnostics", qos.STATS)
    what = "action" if name == "sim_bridge" else "state"

    def told() -> dict[str, str]:
        return {item.key: item.value for message in heard for item in message.status[0].values}

    rig.until(lambda: told().get(f"refused: {what}") == "1", "the count")
    assert float(told()[f"{what} age [s]"]) < 30
    rig.until(lambda: told()[f"{what} rate [Hz]"] == "0", "silence")


def test_diagnostics_tell_the_rate_and_the_age_of_what_was_heard(rig):
    diagnostics = Diagnostics(rig.probe, "thing", lambda: (OK, "walking", {}))
    assert not diagnostics.status().values
    for _ in range(3):
        diagnostics.heard("state")
    values = {item.key: float(item.value) for item in diagnostics.status().values}
    assert values["state rate [Hz]"] > 0
    assert values["state age [s]"] < 1
    assert {item.key: item.value for item in diagnostics.status().values}["state rate [Hz]"] == "0"


@pytest.mark.parametrize(
    ("node", "parameter", "message"),
    [
        ("sim_bridge", "real_time_fctor:=1.0", "did you mean 'real_time_factor'"),
        ("sim_bridge", "robot:=atn", "did you mean 'ant'"),
        ("mpc_controller", "planner:=icme", "did you mean 'icem'"),
        ("mpc_controller", "model_path:=nowhere.safetensors", "cannot read the model"),
        ("mpc_controller", "controller:=policy", "policy_path: controller policy needs a file"),
    ],
)
def test_bad_input_ends_a_node_with_one_line_and_code_2(node, parameter, message):
    command = [sys.executable, "-m", f"mbmf_ros.nodes.{node}", "--ros-args", "-p", parameter]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(1 + os.getpid() % 100)}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--params-file", "{params}"], "Sequence should be of same type"),
        (["--params-file", "nowhere.yaml"], "nowhere.yaml"),
        (["--log-level", "loud"], "'--log-level loud'"),
    ],
)
def test_what_rcl_cannot_read_is_one_message_and_code_2(tmp_path, arguments, message):
    params = tmp_path / "params.yaml"
    params.write_text("/**:\n  ros__parameters:\n    min_speed: [1, a]\n")
    code = "import sys; from rclpy.node import Node; from mbmf_ros.nodes.runtime import run; sys.exit(run(Node))"
    command = [sys.executable, "-c", code, "--ros-args", *(word.format(params=params) for word in arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert message in line
    assert "Traceback" not in ended.stderr
    assert ".c:" not in line


FAREWELL = """
import sys
from rclpy.node import Node
from mbmf_ros.nodes.runtime import STEADY, run

class Polite(Node):
    def __init__(self):
        super().__init__("polite")
        self.create_timer(0.05, lambda: print("here", flush=True), clock=STEADY)

    def destroy_node(self):
        print("farewell", flush=True)
        super().destroy_node()

sys.exit(run(Polite, farewell=True))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_node_says_its_farewell_however_it_is_told_to_end(number):
    environment = {**os.environ, "ROS_DOMAIN_ID": str(1 + os.getpid() % 100)}
    command = [sys.executable, "-c", FAREWELL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as node:
        assert node.stdout
        assert node.stdout.readline() == "here\n"
        node.send_signal(number)
        out, _ = node.communicate(timeout=30)
    assert (out.splitlines()[-1], node.returncode) == ("farewell", 0)
