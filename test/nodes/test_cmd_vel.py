"""Velocity commands: the controller obeys them, and the waypoints node gives its path up."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Path as PathMessage

from mbmf_ros.dynamics.io import ModelInfo, layout_hash, save_model
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import ControllerStats, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import fill_state, path_message, time_message
from mbmf_ros.nodes.mpc_controller import MpcControllerNode
from mbmf_ros.nodes.waypoints import Waypoints
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

pytestmark = pytest.mark.ros
SPEC = robot("ant")


def twist(x: float = 0.0, y: float = 0.0, turn: float = 0.0) -> Twist:
    message = Twist()
    message.linear.x, message.linear.y, message.angular.z = x, y, turn
    return message


def state(tick: int, **changes) -> RobotState:
    message = RobotState(episode=1, tick=tick)
    message.header.frame_id = "odom"
    message.header.stamp = time_message(1_000_000_000 + tick * 50_000_000)
    fill_state(message, start_measurement(SPEC), SPEC)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


class Driven:
    """A controller that is told states and commands, and what it then does."""

    def __init__(self, rig, folder, **parameters):
        model = Dynamics(SPEC, DynamicsConfig(members=1, hidden=16))
        model.output_std.fill_(1e-3)
        file = folder / "model.safetensors"
        save_model(file, model, ModelInfo(SPEC.name, "body", layout_hash(model), 100, 0.5, 0.9, 10))
        options = {"model_path": str(file), "icem__batch_size": 16, "icem__time_steps": 5, **parameters}
        self.rig, self.node = rig, rig.add(MpcControllerNode, **options)
        self.stats = rig.hear(ControllerStats, "mpc_controller/stats", qos.STATS)
        kind = TwistStamped if parameters.get("enable_stamped_cmd_vel") else Twist
        self.commands = rig.speak(kind, "cmd_vel", qos.COMMAND)
        self.paths = rig.speak(PathMessage, "path", qos.LATCHED)
        rig.until(lambda: self.node.count_publishers("cmd_vel"), "the command's publisher")

    def command(self, message: Twist | TwistStamped) -> None:
        """Send it, and wait until the controller has heard it."""
        heard, orders = [], self.node.orders
        real, orders.drive = orders.drive, lambda *args: (heard.append(args), real(*args))
        refused = self.node.rejects["cmd_vel"]
        self.commands.publish(message)
        self.rig.until(lambda: heard or self.node.rejects["cmd_vel"] > refused, "the command")
        orders.drive = real

    def task(self, tick: int, **changes) -> str:
        """What the controller says it does at a tick."""
        before = len(self.stats)
        self.node._on_state(state(tick, **changes))
        self.rig.until(lambda: len(self.stats) > before, "statistics")
        return self.stats[-1].task


def test_it_moves_while_it_is_told_to_and_then_holds(rig, tmp_path):
    ant = Driven(rig, tmp_path, cmd_vel_timeout=0.2)
    assert ant.task(0) == "idle"
    ant.command(twist(0.3, 0.1, 5.0))
    assert ant.task(1) == "velocity"
    assert not ant.node._answer.idle
    assert ant.node.mpc.goal.command.tolist() == [0.3, 0.1, ant.node.config.velocity.max_yaw_rate_radps]
    assert [ant.task(tick) for tick in (2, 3, 4, 5)] == ["velocity", "velocity", "velocity", "hold"]
    ant.command(twist(0.3))
    assert ant.task(6) == "velocity"
    ant.command(twist())
    assert ant.task(7) == "hold"
    assert ant.task(8, status=RobotState.STATUS_ESTOP) == "idle"


def test_a_command_that_is_not_finite_is_refused_and_counted(rig, tmp_path):
    ant = Driven(rig, tmp_path)
    ant.task(0)
    ant.command(twist(0.3))
    for bad in (twist(float("nan")), twist(turn=float("inf"))):
        ant.command(bad)
    assert ant.node.rejects["cmd_vel"] == 2
    assert "finite velocities" in ant.node.rejects.last
    assert ant.task(1) == "velocity"
    assert ant.node.mpc.goal.command.tolist() == [0.3, 0, 0]


def test_stamped_commands_are_taken_where_they_are_asked_for(rig, tmp_path):
    ant = Driven(rig, tmp_path, enable_stamped_cmd_vel=True, cmd_vel_timeout=0.12)
    ant.task(0)
    ant.command(TwistStamped(twist=twist(float("nan"))))
    assert ant.node.rejects["cmd_vel"] == 1
    ant.command(TwistStamped(twist=twist(0.3)))  # by a clock of its own: what counts is when it comes
    assert ant.task(1) == "velocity"
    assert ant.node.mpc.goal.command.tolist() == [0.3, 0, 0]
    assert [ant.task(tick) for tick in (2, 3)] == ["velocity", "hold"]


@pytest.mark.parametrize("status", [RobotState.STATUS_ESTOP, RobotState.STATUS_TRIPPED, RobotState.STATUS_DISABLED])
def test_a_stopped_robot_takes_no_velocity_and_does_not_set_out_when_it_is_let_go(rig, tmp_path, status):
    ant = Driven(rig, tmp_path, cmd_vel_timeout=0.0)
    assert ant.task(0, status=status) == "idle"
    ant.command(twist(0.3))
    assert ant.node.rejects["cmd_vel"] == 1
    ant.command(twist())  # a joystick at rest is no offence
    assert ant.node.rejects["cmd_vel"] == 1
    assert ant.task(1) == "idle"
    ant.command(twist(0.3))
    assert ant.task(2) == "velocity"


def test_the_latest_of_path_and_command_holds(rig, tmp_path):
    ant = Driven(rig, tmp_path)
    ant.task(0)
    ant.paths.publish(path_message(np.array([[0.0, 0.0], [3.0, 0.0]]), "odom", time_message(1_000_000_000)))
    rig.until(lambda: ant.node.mpc.tracker is not None, "the path")
    ant.command(twist())
    assert ant.task(1) == "follow_path"
    ant.command(twist(0.2))
    assert ant.task(2) == "velocity"
    assert ant.node._condition()[1] == "velocity"


def test_it_moves_forward_when_that_is_its_task(rig, tmp_path):
    ant = Driven(rig, tmp_path, task="forward")
    assert ant.task(0) == "forward"
    ant.command(twist(0.2))
    assert ant.task(1) == "velocity"
    with pytest.raises(MbmfError, match="did you mean 'forward'"):
        rig.add(MpcControllerNode, task="foward")


@pytest.mark.parametrize("stamped", [False, True])
def test_waypoints_gives_its_path_up_to_a_command_but_not_to_a_joystick_at_rest(rig, stamped):
    wrapped = lambda message: TwistStamped(twist=message) if stamped else message  # noqa: E731
    node = rig.add(Waypoints, enable_stamped_cmd_vel=stamped)
    paths = rig.hear(PathMessage, "path", qos.LATCHED)
    node._on_state(state(1))
    node._on_follow_path(path_message(np.array([[2.0, 0.0]]), "odom", time_message(0)))
    node._on_cmd_vel(wrapped(twist()))
    node._on_cmd_vel(wrapped(twist(float("nan"))))
    assert node.route.tracker is not None
    assert node.rejects["cmd_vel"] == 1
    rig.until(lambda: paths and len(paths[-1].poses) == 2, "the path")
    publisher = rig.speak(TwistStamped if stamped else Twist, "cmd_vel", qos.COMMAND)
    publisher.publish(wrapped(twist(turn=0.4)))
    rig.until(lambda: not paths[-1].poses, "an empty path")
    assert node.route.tracker is None


def test_a_robot_in_the_x_z_plane_is_sent_along_x(rig):
    node = rig.add(Waypoints, robot="half_cheetah", demo=True)
    cheetah = robot("half_cheetah")
    node._on_state(fill_state(state(1), start_measurement(cheetah), cheetah))
    assert node.route.waypoints[:, 1].tolist() == [0, 0]
    node._on_follow_path(path_message(np.array([[2.0, 1.0]]), "odom", time_message(0)))
    assert node.route.waypoints.tolist() == [[2, 0]]
    node._on_follow_path(path_message(np.array([[2.0, 1.0], [2.0, 3.0]]), "odom", time_message(0)))
    assert node.rejects["follow_path"] == 1
