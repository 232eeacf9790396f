"""Messages as they should be: what keeps a node at work between the hostile ones, and what those are made from."""

from __future__ import annotations

from typing import Any

import numpy as np
from fuzz_bench import Bench
from fuzz_messages import value_at
from fuzz_nodes import SPEC, model_bytes
from geometry_msgs.msg import PointStamped, PoseStamped, PoseWithCovarianceStamped, Twist, TwistStamped, Vector3
from geometry_msgs.msg import Quaternion as QuaternionMessage
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    SetParameters,
    SetParametersAtomically,
)
from robot_side import Robot, standing  # pyright: ignore[reportMissingImports]  # test/hardware
from sensor_msgs.msg import Imu, JointState, Temperature
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from mbmf_ros.msg import Model, RobotAction, RobotState
from mbmf_ros.nodes.conversions import doubles, fill_state, path_message, pose_message, time_message
from mbmf_ros.robots.sim import Simulation, start_measurement

AHEAD = np.array([[0.0, 0.0], [3.0, 0.0]])
VOLATILE = (("header", "stamp"), ("state_stamp",), ("episode",), ("tick",), ("version",))
ONCE_A_PERIOD = (RobotState, RobotAction, Float64MultiArray)
SENSORS = (JointState, Imu, Odometry, PoseStamped, Temperature)
ROBOT_CLOCK_S = 5e4  # the robot's clock is not ours
RECORDED = 300


def _recorded() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Measurements of a moving ant, and the actions that led from each to the next."""
    simulation, rng = Simulation(SPEC), np.random.default_rng(0)
    simulation.reset(start_measurement(SPEC))
    measurements, actions = [simulation.measure()], []
    for _ in range(RECORDED):
        actions.append(rng.uniform(-0.3, 0.3, SPEC.nu))
        measurements.append(simulation.step(actions[-1]))
    return measurements, actions


class Traffic:
    """The rest of the graph, as a node on a bench sees it.

    Args:
        bench: with the node.

    Attributes:
        streams: types of what comes again and again.
    """

    def __init__(self, bench: Bench):
        self.bench = bench
        self._measurements, self._actions = _recorded()
        self._rng = np.random.default_rng(1)
        self._step = self._version = 0
        self._robot = Robot(bench.watch.hardware) if bench.watch.hardware else None
        self._sensors = SENSORS if self._robot else ()  # a pose is a goal for others
        self.streams = (*ONCE_A_PERIOD, *self._sensors)
        self._model = model_bytes()

    def run(self, periods: int) -> None:
        """Control periods of undisturbed traffic."""
        for _ in range(periods):
            self._step += 1
            for part in range(round(SPEC.dt_s / 0.01)):
                for subscription in self.bench.subscriptions():
                    kind = subscription.msg_type
                    if kind in self._sensors or (part == 0 and kind in ONCE_A_PERIOD):
                        message = self.message(subscription.msg_type, subscription.topic_name)
                        self.bench.send(subscription, message)
                self.bench.pass_time(0.01)

    def revive(self) -> None:
        """Undo what hostile messages are entitled to do: stop the robot, pause it, set its limits."""
        self.bench.restore()
        state = self.bench.watch.state
        fallen = state is not None and state.status == RobotState.STATUS_FALLEN
        for name in ("clear_estop", "set_paused", "enable", *(["reset"] if fallen else [])):
            service = self.bench.service(name)
            if service is not None:
                self.bench.call(service, self._request(service.srv_type, name))

    def start(self) -> None:
        """Have the node at work, whatever it was told before."""
        if self._robot is not None:  # a sensor that was heard once has to go on, and one that somebody made up does not
            getattr(self.bench.node, "_inputs").temperatures._newest.clear()  # noqa: B009  # only the hardware bridge's
        self.revive()
        self.run(2)  # it has to know where the robot is
        self.revive()
        for subscription in self.bench.subscriptions():
            if subscription.msg_type is PathMessage:
                self.bench.send(subscription, self.message(PathMessage, subscription.topic_name))
        self.run(2)

    def message(self, kind: Any, topic: str) -> Any:
        """A message that a node could get now."""
        if kind is RobotState:
            return self._state()
        if kind is RobotAction:
            return self._action()
        if kind in self._sensors:
            return self._sensor(kind)
        message: Any = kind()
        if kind is Model:
            self._version = min(max(self._version + 1, self._in_force()), 2**32 - 1)
            message = Model(version=self._version, robot=SPEC.name, profile="body", weights=self._model)
            message.layout_hash = _layout_hash()
        elif kind is PathMessage:
            message = path_message(AHEAD, "odom", time_message(self._stamp_ns))
        elif kind is Twist:
            message.linear.x = 0.5
        elif kind is TwistStamped:
            message.twist.linear.x, message.header.stamp = 0.5, time_message(self._stamp_ns)
        elif kind is Float64MultiArray:
            message.data = doubles(self._rng.uniform(-1, 1, SPEC.nu))
        elif kind is PointStamped:
            message.point.x, message.header.frame_id = 1.5, "base_link"
        elif kind is PoseStamped:
            message.pose, message.header.frame_id = pose_message(1.5, 0.5), "base_link"
        elif kind is PoseWithCovarianceStamped:
            message.pose.pose, message.header.frame_id = pose_message(1.0, 0.5, 0.3), "odom"
        return message

    def requests(self, service: Any) -> list[Any]:
        """Requests that make sense."""
        kind, known = service.srv_type, self.bench.defaults
        if kind in (SetParameters, SetParametersAtomically):
            return [kind.Request(parameters=[parameter.to_parameter_msg()]) for parameter in known]
        if kind in (GetParameters, GetParameterTypes, DescribeParameters):
            return [kind.Request(names=[known[0].name, known[-1].name])]
        return [self._request(kind, service.srv_name.rpartition("/")[2])]

    @staticmethod
    def renewed(message: Any, template: Any, now: Any) -> Any:
        """``message``, made from ``template``, with the numbers of ``now`` where it says when, and to what."""
        for path in VOLATILE:
            if hasattr(message, path[0]) and value_at(message, path) == value_at(template, path):
                setattr(value_at(message, path[:-1]), path[-1], value_at(now, path))
        return message

    # ------------------------------------------------------------------------------------------------------------------

    @property
    def _stamp_ns(self) -> int:
        return 1_000_000_000 + round(self._step * SPEC.dt_s * 1e9)

    def _state(self) -> RobotState:
        episode, tick = divmod(self._step, RECORDED)
        message = RobotState(episode=1 + episode, tick=tick)
        message.header.frame_id, message.header.stamp = "odom", time_message(self._stamp_ns)
        if tick:
            message.applied_action = doubles(self._actions[tick - 1])
            message.action_source = RobotState.SOURCE_CONTROLLER
        return fill_state(message, self._measurements[tick], SPEC)

    def _action(self) -> RobotAction:
        state = self.bench.watch.state or RobotState()
        message = RobotAction(episode=state.episode, tick=state.tick, state_stamp=state.header.stamp)
        message.action = doubles(self._rng.uniform(-0.4, 0.4, SPEC.nu))
        message.plan = doubles(self._rng.uniform(-0.4, 0.4, 3 * SPEC.nu))
        return message

    def _in_force(self) -> int:
        """Version of the model that the controller goes by; it takes no earlier one."""
        return getattr(self.bench.node, "mpc").version  # noqa: B009  # of nodes only the controller has one

    def _sensor(self, kind: Any) -> Any:
        assert self._robot is not None
        m = standing()
        message: Any = kind()
        message.header.stamp = time_message(round(1e9 * (self.bench.clock.now_s + ROBOT_CLOCK_S)))
        if kind is JointState:
            message.name, message.position, message.velocity = self._robot.joints(m)
        elif kind is Imu:
            q, gyro, force = self._robot.imu(m)
            message.orientation = _quaternion(q)
            message.angular_velocity, message.linear_acceleration = _vector(gyro), _vector(force)
        elif kind is Temperature:
            message.header.frame_id, message.temperature = "knee", 40.0
        else:
            message.header.frame_id, position, q, linear, angular = self._robot.pose(m)
            pose = pose_message(*position[:2], z=position[2])
            pose.orientation = _quaternion(q)
            if kind is PoseStamped:
                message.pose = pose
            else:
                message.pose.pose = pose
                message.twist.twist.linear, message.twist.twist.angular = _vector(linear), _vector(angular)
        return message

    @staticmethod
    def _request(kind: Any, name: str) -> Any:
        request = kind.Request()
        if kind is SetBool:
            request.data = name != "set_paused"
        return request


def _layout_hash() -> str:
    from mbmf_ros.dynamics.io import layout_hash, model_from_bytes

    return layout_hash(model_from_bytes(model_bytes(), SPEC)[0])


def _vector(values: np.ndarray) -> Vector3:
    return Vector3(**dict(zip("xyz", values.tolist(), strict=True)))


def _quaternion(values: np.ndarray) -> QuaternionMessage:
    return QuaternionMessage(**dict(zip("wxyz", values.tolist(), strict=True)))
