"""The controller behind the topics `state` and `action`: it follows `path`, moves at `cmd_vel`, or moves forward.

It plans in the callback of the state message: no timer, no stored latest state, no lock. Only the newest state is
delivered; one that comes again (same episode and tick) gets the same answer again, one from before gets none. The
newest model on `model` is tried out right after a state was answered, when there is time for it, at most once per
MODEL_PERIOD_S, and then used from the next control step on; an earlier version than the one in force is refused. While
there is no model the robot stands still, or explores.
Which order holds is told in :mod:`mbmf_ros.nodes.orders`, who answers in :mod:`mbmf_ros.nodes.pilot`; a stopped or
disabled robot takes no new velocity.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Path as PathMessage
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

from mbmf_ros.control.explore import Explorer
from mbmf_ros.control.mpc import Step
from mbmf_ros.control.path import Path
from mbmf_ros.dynamics.io import default_model_path, fingerprint, load_model, model_from_bytes
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import ControllerStats, Model, RobotAction, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.candidates import candidate_markers
from mbmf_ros.nodes.controller_config import MpcControllerConfig, make_controller, make_policy, try_out
from mbmf_ros.nodes.conversions import (
    command_from,
    doubles,
    measurement_from,
    path_message,
    pending_from,
    points_from,
    time_seconds,
)
from mbmf_ros.nodes.orders import Orders
from mbmf_ros.nodes.pilot import Pilot
from mbmf_ros.nodes.punctuality import Punctuality
from mbmf_ros.nodes.rejects import Rejects
from mbmf_ros.nodes.runtime import ERROR, OK, STEADY, WARN, Diagnostics, declare, run
from mbmf_ros.nodes.stopped import check_takes_orders
from mbmf_ros.nodes.timeline import OUTDATED, Timeline
from mbmf_ros.robots import robot
from mbmf_ros.threads import use_threads

SHOWN_PERIOD_S = 0.1
MODEL_PERIOD_S = 1.0  # trying a model out takes as long as planning: however fast they come, few steps wait for it
UNUSED_S = 0.2  # without a state for that long nothing waits for a control step
CLOCKS_AGREE_S = 1.0  # a path stamped later than this after the newest state is from before the bridge was restarted


def _answers(answer: RobotAction, state: RobotState) -> bool:
    """Whether ``answer`` was given to this very state."""
    given_to = (answer.episode, answer.tick, answer.state_stamp)
    return given_to == (state.episode, state.tick, state.header.stamp)


class MpcControllerNode(Node):
    """See the module."""

    def __init__(self, **options):
        super().__init__("mpc_controller", **options)
        self.config = config = declare(self, MpcControllerConfig())
        use_threads(config.threads)
        self.spec = robot(config.robot)
        self.mpc = make_controller(self.spec, config)
        policy, about_policy = make_policy(self.spec, config)
        forward = config.forward if policy is not None or config.task == "forward" else None
        self.orders = Orders(self.mpc, config.cmd_vel_timeout, config.hold_at_goal, forward)
        explorer = Explorer(self.spec, config.exploration, config.seed) if config.explore else None
        self.pilot = Pilot(self.mpc, explorer, policy)
        self._offered: Model | None = None
        self._tried_s = float("-inf")
        self.rejects = Rejects()
        self.timeline = Timeline()
        self.steps = 0
        self._answer: RobotAction | None = None
        self._episode, self._tick, self._stamp_s, self._path_stamp_s = -1, 0, float("-inf"), float("-inf")
        self._status = RobotState.STATUS_ACTIVE
        self._received_s, self._answered_s, self._shown_s = float("-inf"), float("nan"), float("-inf")
        self._punctuality, self._published_ns = Punctuality(), 0
        if about_policy:
            self.get_logger().info(about_policy)
        self._load_model()

        self._action = self.create_publisher(RobotAction, "action", qos.ACTION)
        self._stats = self.create_publisher(ControllerStats, "~/stats", qos.STATS)
        self._optimal = self.create_publisher(PathMessage, "~/optimal_path", qos.DRAWING)
        self._candidates = self.create_publisher(MarkerArray, "~/candidates", qos.DRAWING)
        self.create_subscription(Model, "model", self._on_model, qos.LATCHED)
        self.create_subscription(PathMessage, "path", self._on_path, qos.LATCHED)
        twist = TwistStamped if config.enable_stamped_cmd_vel else Twist
        self.create_subscription(twist, "cmd_vel", self._on_cmd_vel, qos.COMMAND)
        self.create_subscription(RobotState, "state", self._on_new_state, qos.STATE_LATEST)
        self.create_timer(UNUSED_S, self._on_quiet, clock=STEADY)
        self._diagnostics = Diagnostics(self, self.spec.name, self._condition, self.rejects)

    # Models and orders ------------------------------------------------------------------------------------------------

    def _load_model(self) -> None:
        name = self.config.model_path
        if not name:
            return
        try:
            path = default_model_path(self.spec) if name == "default" else FilePath(name).expanduser()
        except MbmfError as error:
            if self.pilot.policy is None:
                raise
            self.get_logger().warning(f"{error}: where the policy does not act, the safe action is applied")
            return
        model, info = load_model(path, self.spec)
        try_out(self.spec, model, self.config)
        self.mpc.swap(model, 1)
        self.get_logger().info(f"model {path.name}: profile {info.profile}, {info.transitions} transitions")

    def _on_model(self, message: Model) -> None:
        """Take it in now if nobody waits for an answer, else after the next one: no control step waits for it."""
        self._offered = message
        self._on_quiet()

    def _on_quiet(self) -> None:
        if time.perf_counter() - self._received_s > UNUSED_S:
            self._take_model()

    def _take_model(self) -> None:
        message, now_s = self._offered, time.perf_counter()
        if message is None or now_s - self._tried_s < MODEL_PERIOD_S:
            return
        self._offered, self._tried_s = None, now_s
        current = self.mpc.model
        try:
            if message.version < self.mpc.version:
                raise MbmfError(f"version {self.mpc.version} is later; a learner that began anew will go on from there")
            model, info = model_from_bytes(bytes(message.weights), self.spec)
            for name in ("robot", "profile", "layout_hash"):
                said, is_ = getattr(message, name), getattr(info, name)
                if said != is_:
                    raise MbmfError(f"the message says {name} {said!r}, the model in it {is_!r}")
            if current is not None and fingerprint(model) == fingerprint(current):
                self.mpc.swap(current, message.version)
                return
            try_out(self.spec, model, self.config)
        except (MbmfError, RuntimeError) as error:
            self.rejects.add("model", error)
            self.get_logger().warning(f"refused model version {message.version}, keeping the old one: {error}")
            return
        self.mpc.swap(model, message.version)
        self.get_logger().info(f"model version {message.version}: {info.transitions} transitions")

    def _on_path(self, message: PathMessage) -> None:
        frame = message.header.frame_id.lstrip("/")
        if frame not in ("", self.config.odom_frame):
            problem = f"expected it in frame {self.config.odom_frame!r}, got {frame!r}"
            self.rejects.add("path", problem)
            self.get_logger().warning(f"refused a path, keeping the last one: {problem}")
            return
        points = points_from(message)
        try:
            path = Path.from_waypoints(points[0], points[1:]) if len(points) else None
        except MbmfError as error:
            self.rejects.add("path", error)
            self.get_logger().warning(f"refused a path, keeping the last one: {error}")
            return
        self._path_stamp_s = time_seconds(message.header.stamp)
        self.orders.follow(path)

    def _on_cmd_vel(self, message: Twist | TwistStamped) -> None:
        try:
            command = command_from(message.twist if isinstance(message, TwistStamped) else message)
            if command.any():  # joysticks at rest go on sending zeros
                check_takes_orders(self._status)
        except MbmfError as error:
            self.rejects.add("cmd_vel", error)
            self.get_logger().warning(f"ignored a cmd_vel: {error}", throttle_duration_sec=5.0)
            return
        self.orders.drive(command, self._stamp_s)

    # Control step -----------------------------------------------------------------------------------------------------

    def _on_new_state(self, message: RobotState, info: Mapping[str, Any]) -> None:
        self._published_ns = info["source_timestamp"]
        self._diagnostics.heard("state")
        self._on_state(message)

    def _on_state(self, message: RobotState) -> None:
        received_s = time.perf_counter()
        try:
            m, pending = measurement_from(message, self.spec), pending_from(message, self.spec)
        except MbmfError as error:
            self.rejects.add("state", error)
            self.get_logger().warning(f"ignored a state: {error}", throttle_duration_sec=5.0)
            return
        if self.timeline.outdated(time_seconds(message.header.stamp)):
            self.rejects.add("state", OUTDATED)
            return
        self._received_s, self._status = received_s, message.status
        if message.status == RobotState.STATUS_PAUSED:
            return
        if self._answer is not None and _answers(self._answer, message):
            self._action.publish(self._answer)
            return
        self._begin_episode_if_new(message)
        self.orders.update(self._stamp_s)
        step = self.pilot.answer(m, message.tick, pending, message.status == RobotState.STATUS_ACTIVE)
        answer = RobotAction(state_stamp=message.header.stamp, episode=message.episode, tick=message.tick)
        answer.action, answer.plan, answer.idle = doubles(step.action), doubles(step.plan), step.idle
        answer.model_version = 0 if step.idle or self.pilot.by_policy else self.mpc.version
        answer.plan_time = time.perf_counter() - received_s
        self._action.publish(answer)
        self._answer = answer
        self._report(message, answer, step, received_s)
        self._take_model()

    def _begin_episode_if_new(self, message: RobotState) -> None:
        """Forget the old episode; a path that was made for the new one stays, though it came before this state."""
        stamp_s = time_seconds(message.header.stamp)
        restarted = stamp_s < self._stamp_s or message.tick < self._tick  # a bridge, which may count as it did before
        if message.episode != self._episode or restarted:
            start_s = stamp_s - message.tick * self.spec.dt_s
            tracker = self.mpc.tracker
            self.pilot.reset()
            made_since = start_s - 0.5 * self.spec.dt_s <= self._path_stamp_s <= stamp_s + CLOCKS_AGREE_S
            if tracker is not None and made_since:
                self.mpc.set_path(tracker.path)
        self._episode, self._tick, self._stamp_s = message.episode, message.tick, stamp_s

    def _report(self, state: RobotState, answer: RobotAction, step: Step, received_s: float) -> None:
        self.steps += 1
        self._tell()
        stats = ControllerStats(header=state.header, model_version=answer.model_version, plan_time=answer.plan_time)
        stats.period, self._answered_s = received_s - self._answered_s, received_s
        stats.steps, stats.rejected = self.steps, self.rejects["state"]
        stats.task = self.pilot.doing
        stats.progress, stats.cross_track_error = step.progress_m, step.cross_track_m
        stats.planned_return = step.planned_return
        stats.reward_terms, stats.reward_values = list(step.terms), doubles(list(step.terms.values()))
        self._stats.publish(stats)
        plan_time_s = None if step.idle else answer.plan_time
        self._punctuality.add(state.episode, state.tick, self._published_ns, plan_time_s)
        if step.idle:
            return
        if self.config.visualize and received_s - self._shown_s >= SHOWN_PERIOD_S:
            self._shown_s = received_s
            if self._optimal.get_subscription_count():
                optimal = path_message(step.optimal_xy, state.header.frame_id, state.header.stamp)
                self._optimal.publish(optimal)
            if self._candidates.get_subscription_count():
                self._candidates.publish(candidate_markers(state.header, step.candidates_xy, step.candidates_return))

    def _tell(self) -> None:
        """What people should know of the last answer."""
        pilot, log = self.pilot, self.get_logger()
        if pilot.error:
            log.error(f"{pilot.error}; the safe action is applied", throttle_duration_sec=5.0)
        elif pilot.fallback:
            log.warning(pilot.fallback, throttle_duration_sec=5.0)

    def _condition(self) -> tuple[bytes, str, dict]:
        pilot = self.pilot
        values = {"steps": self.steps, "model version": self.mpc.version, "planning errors": pilot.planning_errors}
        values |= self._punctuality.values()
        if pilot.policy is not None:
            values |= pilot.policy.values()
        age_s = time.perf_counter() - self._received_s
        if pilot.error:
            return ERROR, pilot.error, values
        if 0 < self.config.state_timeout < age_s:
            return WARN, "no state is coming in; is the bridge running?", values
        if pilot.fallback:
            return WARN, pilot.fallback, values
        if self.mpc.model is None and not pilot.by_policy:
            return WARN, "no model yet" + (": exploring" if pilot.explorer else ""), values
        return OK, pilot.doing, values


def main(args: list[str] | None = None) -> int:
    """Run the node; the process's exit code."""
    return run(MpcControllerNode, args)


if __name__ == "__main__":
    sys.exit(main())
