"""Simulated robot behind the topics `state` and `action`. It owns time.

At tick k it publishes the state and awaits the answer to it. In real time the answer is applied one control period
later; when it is not there by then, the next row of the last plan is, and soon the safe action. In lock-step
(`sync_mode`) the robot waits for the answer, however long it takes. Missed ticks are never caught up with.

A state is published again, with the same episode and tick, when its status changes, and twice a second while time
stands still: so whoever joins late knows where the robot is.

The safety layer (docs/safety.md) decides what is applied. The parameters `safety.*` and `disturbance.*` (weak motors,
payload, slippery floor) may be set at any time; what is set atomically is in force altogether or not at all.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMessage
from std_srvs.srv import SetBool, Trigger

from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import RobotAction, RobotState
from mbmf_ros.nodes import disturbances, qos, safety_interface
from mbmf_ros.nodes.action_slot import NEVER, ActionSlot
from mbmf_ros.nodes.answers import NO_ANSWER, NO_CONTROLLER, SOURCES, answer_from
from mbmf_ros.nodes.bridge_config import SimBridgeConfig
from mbmf_ros.nodes.conversions import doubles, fill_state, planar_pose_of, time_message
from mbmf_ros.nodes.disturbances import DisturbanceParameters
from mbmf_ros.nodes.frames import check_start
from mbmf_ros.nodes.rejects import Rejects
from mbmf_ros.nodes.runtime import OK, STEADY, WARN, Diagnostics, declare, run
from mbmf_ros.nodes.safety_interface import SafetyInterface
from mbmf_ros.nodes.sensors import SimulatedSensors
from mbmf_ros.nodes.services import offer
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import Simulation, joint_range, start_measurement
from mbmf_ros.safety import Mode, Safety

FIRST_STAMP_NS = 1_000_000_000  # ROS takes time 0 for "no time yet"
CLOCK_PERIOD_S = 0.01
REPEAT_S = 0.5
FALL_PAUSE_S = 1.0
PATIENCE_S = 5.0


class SimBridge(Node):
    """See the module."""

    def __init__(self, **options):
        super().__init__("sim_bridge", **options)
        self.config = config = declare(self, SimBridgeConfig(), mutable=(safety_interface.GROUP, disturbances.GROUP))
        if config.real_time_factor == 0 and not config.sync_mode:
            raise MbmfError("real_time_factor 0 (as fast as possible) needs sync_mode: every answer would be late")
        self.spec = robot(config.robot)
        self.simulation = Simulation(self.spec)
        # Before the safety layer: it takes its old settings back where that one refuses what is set along with them.
        self.disturbance = DisturbanceParameters(self, self.simulation, config.disturbance)
        self.slot = ActionSlot(self.spec)
        self.rejects = Rejects()
        self.missed = 0
        self.overruns = 0
        self.episode, self.tick, self._stamp_ns = 0, 0, FIRST_STAMP_NS
        self._dt_ns = round(self.spec.dt_s * 1e9)
        self._rng = np.random.default_rng(config.seed)
        self._paused = self._single = self._fallen = self._due = False
        self._fallen_ns = 0
        self._unanswered = 0 if config.sync_mode else NEVER  # control periods; in lock-step time waits for the answer
        self._applied, self._source = np.empty(0), RobotState.SOURCE_NONE
        self._published_s = self._clock_s = self._waiting_s = time.monotonic()
        self._reported_missed = 0

        self._state = self.create_publisher(RobotState, "state", qos.STATE_PUB)
        clock = config.publish_clock
        self._clock_publisher = self.create_publisher(ClockMessage, "/clock", qos.CLOCK) if clock else None
        self._sensors = SimulatedSensors(self, self.spec, config.base_frame)
        self._actions = self.create_subscription(RobotAction, "action", self._on_action, qos.ACTION)
        self.create_subscription(PoseWithCovarianceStamped, "initialpose", self._on_initial_pose, qos.CLICK)
        offer(self, Trigger, "reset", self._on_reset)
        offer(self, Trigger, "step", self._on_step)
        offer(self, SetBool, "set_paused", self._on_set_paused)
        self.safety = SafetyInterface(
            self,
            Safety(self.spec, config.safety, joint_range(self.spec)),
            now=lambda: 1e-9 * self._stamp_ns,  # the robot's own time
            changed=self._publish,
            stamp=lambda: time_message(self._stamp_ns),
        )
        self._diagnostics = Diagnostics(self, self.spec.name, self._condition, self.rejects)
        self._pace, self._period_s = None, 0.0
        if config.real_time_factor > 0:
            self._period_s = self.spec.dt_s / config.real_time_factor
            self._pace = self.create_timer(self._period_s, self._on_period, clock=STEADY)
        self.create_timer(REPEAT_S / 5, self._on_watch, clock=STEADY)
        self.reset()
        mode = "in lock-step" if config.sync_mode else f"at {config.real_time_factor:g} x real time"
        self.get_logger().info(f"simulating {self.spec.name!r} {mode}, {1 / self.spec.dt_s:g} control steps per second")

    @property
    def status(self) -> int:
        """RobotState.STATUS_*; what only a person can end is told first."""
        layer = self.safety.layer
        if layer.mode in (Mode.ESTOP, Mode.TRIPPED, Mode.DISABLED):
            return layer.status()
        if self._fallen:
            return RobotState.STATUS_FALLEN
        return RobotState.STATUS_PAUSED if self._paused and not self._single else layer.status()

    # Time -------------------------------------------------------------------------------------------------------------

    def reset(self, pose: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
        """Start a new episode at planar ``pose`` (x [m], y [m], yaw [rad])."""
        self.episode, self.tick = self.episode + 1, 0
        self._stamp_ns += self._dt_ns  # so that everything stamped before belongs to an earlier episode
        self.simulation.reset(start_measurement(self.spec, self._rng, self.config.start_noise, pose))
        self._applied, self._source, self._fallen = np.empty(0), RobotState.SOURCE_NONE, False
        self.safety.update(self.simulation.measure(), [], self._unanswered, self._why_no_answer)
        self._restart_period()
        self._await_answer()

    def _restart_period(self) -> None:
        """Whoever answers the state published next gets a whole control period for it."""
        self._due = False
        if self._pace is not None:
            self._pace.reset()

    def _on_period(self) -> None:
        late_s = time.monotonic() - self._published_s - self._period_s
        if late_s > 0.2 * self._period_s and not (self.config.sync_mode or self._paused):
            self.overruns += 1
            self._restart_period()
        self._due = True
        self._advance_if_ready()

    def _advance_if_ready(self) -> None:
        due = self._due or self._pace is None
        if (self._paused and not self._single) or not due or (self.config.sync_mode and not self.slot.answered):
            return
        self._single = False
        self._advance()

    def _advance(self) -> None:
        """Apply what there is for one control period and publish the state after it."""
        choice = self.slot.take(self.safety.layer.config.command_timeout_periods, self._connected)
        self._unanswered = choice.unanswered
        m = self.simulation.measure()
        causes = [f"{self.spec.name} has fallen"] if self._fallen else []
        mode = self.safety.update(m, causes, self._unanswered, self._why_no_answer)
        action = self.safety.limit(choice.action, m)
        source = SOURCES[choice.source] if self.safety.layer.passing else RobotState.SOURCE_SAFE
        self.missed += choice.missed and mode in (Mode.RAMPING, Mode.ACTIVE)
        self._stamp_ns += self._dt_ns
        self.tick += 1
        self._applied, self._source = action, source
        try:
            m = self.simulation.step(action)
        except MbmfError as error:
            self.get_logger().error(f"{error}; starting a new episode")
            self.reset()
            return
        if self.spec.fallen(m) and not self._fallen:
            self._fallen, self._fallen_ns = True, self._stamp_ns
            self.get_logger().warning(f"{self.spec.name} fell in episode {self.episode} at tick {self.tick}")
        if self._fallen and self.config.reset_after_fall and self._stamp_ns - self._fallen_ns >= FALL_PAUSE_S * 1e9:
            self.reset()
            return
        self._await_answer()

    @property
    def _connected(self) -> bool:
        """Somebody could answer; of one who was killed the middleware learns only after some 20 s."""
        return self.count_publishers(self._actions.topic_name) > 0

    @property
    def _why_no_answer(self) -> str:
        return NO_ANSWER if self._connected else NO_CONTROLLER

    def _await_answer(self) -> None:
        self.slot.begin(self.episode, self.tick)
        self._waiting_s = time.monotonic()
        self._due = False
        self._publish()

    def _publish(self) -> None:
        """Publish the state as it is now; not again if only time has passed."""
        message = RobotState(episode=self.episode, tick=self.tick, status=self.status, action_source=self._source)
        message.header.stamp = time_message(self._stamp_ns)
        message.header.frame_id = self.config.odom_frame
        message.applied_action = doubles(self._applied)
        now = time.monotonic()
        if self._clock_publisher is not None and (now - self._clock_s >= CLOCK_PERIOD_S or self._paused):
            self._clock_publisher.publish(ClockMessage(clock=message.header.stamp))
            self._clock_s = now
        self._state.publish(fill_state(message, self.simulation.measure(), self.spec))
        self._sensors.publish(message, self.simulation.joint_torque())
        self._published_s = now

    def _on_watch(self) -> None:
        now = time.monotonic()
        if now - self._published_s >= REPEAT_S:
            self._publish()
        if self.config.sync_mode and not self._paused and now - self._waiting_s > PATIENCE_S:
            self.get_logger().warning(
                f"lock-step: no answer to tick {self.tick} for {now - self._waiting_s:.0f} s; is a controller up?",
                throttle_duration_sec=10.0,
            )

    # Requests ---------------------------------------------------------------------------------------------------------

    def _on_action(self, message: RobotAction) -> None:
        self._diagnostics.heard("action")
        answer = answer_from(message, self.spec, self, self.rejects)
        if answer is None:
            return
        late = self.slot.counts["late"]
        self.slot.offer(answer)
        if self.slot.counts["late"] > late and not message.idle:
            self.get_logger().warning(
                f"answers come late, {self.missed} so far; their plans bridge that. Is the computer busy?",
                throttle_duration_sec=5.0,
            )
        if self.config.sync_mode:
            self._advance_if_ready()

    def _on_initial_pose(self, message: PoseWithCovarianceStamped) -> None:
        pose = planar_pose_of(message.pose.pose)
        try:
            check_start(pose, message.header.frame_id, self.config.odom_frame)
        except MbmfError as error:
            self.rejects.add("initialpose", error)
            self.get_logger().warning(f"ignored initialpose: {error}")
            return
        self.reset(pose)

    def _on_reset(self, _) -> str:
        self.reset()
        return f"episode {self.episode}"

    def _on_set_paused(self, request: SetBool.Request) -> str:
        self._paused, self._single = request.data, False
        self._waiting_s = time.monotonic()
        self._restart_period()
        self._publish()
        self._advance_if_ready()
        return "paused" if self._paused else "running"

    def _on_step(self, _) -> str:
        if not self._paused:
            raise MbmfError("not paused; call set_paused first")
        self._single = True
        self._restart_period()
        tick = self.tick
        self._publish()
        self._advance_if_ready()
        return f"stepping from tick {tick}"

    def _condition(self) -> tuple[bytes, str, dict]:
        missed, self._reported_missed = self.missed - self._reported_missed, self.missed
        values = {"episode": self.episode, "tick": self.tick, "late answers": self.missed, "overruns": self.overruns}
        values |= self.safety.values() | {
            f"answers {cause}": count for cause, count in sorted(self.slot.counts.items())
        }
        level, text = self.safety.condition()
        if level == OK and missed:  # while it holds nobody is late, but nobody there
            level, text = WARN, f"{text or 'running'}, {missed} late answers"
        return level, text or ("paused" if self._paused else "running"), values


def main(args: list[str] | None = None) -> int:
    """Run the node; the process's exit code."""
    return run(SimBridge, args)


if __name__ == "__main__":
    sys.exit(main())
