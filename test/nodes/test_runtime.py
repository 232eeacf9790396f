"""Parameters, diagnostics, and how a node's process ends."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter

from mbmf_ros.errors import MbmfError
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.runtime import WARN, Diagnostics, declare, option

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


def test_diagnostics_are_published(rig):
    rig.add(Configured)
    heard = rig.hear(DiagnosticArray, "/diagnostics", qos.STATS)
    rig.until(lambda: heard, "diagnostics")
    (status,) = heard[0].status
    assert (status.name, status.hardware_id, status.level, status.message) == ("configured", "thing", WARN, "so so")
    assert {item.key: item.value for item in status.values} == {"speed": "0.333333", "count": "7"}


@pytest.mark.parametrize(
    ("node", "parameter", "message"),
    [
        ("sim_bridge", "real_time_fctor:=1.0", "did you mean 'real_time_factor'"),
        ("sim_bridge", "robot:=atn", "did you mean 'ant'"),
        ("mpc_controller", "planner:=icme", "did you mean 'icem'"),
        ("mpc_controller", "model_path:=nowhere.safetensors", "cannot read the model"),
    ],
)
def test_bad_input_ends_a_node_with_one_line_and_code_2(node, parameter, message):
    command = [sys.executable, "-m", f"mbmf_ros.nodes.{node}", "--ros-args", "-p", parameter]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(1 + os.getpid() % 100)}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1
