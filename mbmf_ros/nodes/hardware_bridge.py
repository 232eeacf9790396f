"""A real robot behind the topics `state` and `action`, by way of its own sensor and command topics.

Once per control period, on a steady clock, it measures, sends the command that is due, and publishes the state. With
latency compensation that command is the answer to the state before: it is named in `pending_action`, so that the
controller plans from where the robot will be when its answer takes effect. Commands are sent ahead by the known
latencies of the robot. Without compensation an answer is sent the moment it arrives.

Missed control periods are never caught up with. Two states are numbered consecutively only if one action was in force
between them; an input that is silent, or a pose that jumps, makes the robot hold until that is over. Nothing is sent
before the robot was enabled, for which it must be the robot that its YAML describes.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from rclpy.node import Node
from std_srvs.srv import Trigger

from mbmf_ros.hardware.checks import start_problems
from mbmf_ros.hardware.continuity import Continuity, Verdict
from mbmf_ros.hardware.estimator import Estimator
from mbmf_ros.hardware.pairing import Pairing, Sent
from mbmf_ros.msg import RobotAction, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.action_slot import NEVER, ActionSlot, Choice
from mbmf_ros.nodes.answers import NO_ANSWER, NO_CONTROLLER, SOURCES, answer_from
from mbmf_ros.nodes.conversions import doubles, fill_state, time_message
from mbmf_ros.nodes.hardware_config import declare_hardware
from mbmf_ros.nodes.hardware_inputs import HardwareInputs
from mbmf_ros.nodes.hardware_output import HardwareOutput
from mbmf_ros.nodes.rejects import Rejects
from mbmf_ros.nodes.runtime import OK, STEADY, WARN, Diagnostics, run
from mbmf_ros.nodes.safety_interface import SafetyInterface
from mbmf_ros.nodes.services import offer
from mbmf_ros.safety import Mode, Safety

REPEAT_S = 0.5
NO_QUESTION = "without a measurement there is nothing to answer"
WORDS = ("late answers", "missed control periods")


class HardwareBridge(Node):
    """See the module."""

    def __init__(self, **options):
        super().__init__("hardware_bridge", **options)
        self.config, self.hardware = declare_hardware(self)
        spec, latency = self.hardware.spec, self.hardware.latency
        self.spec, self._safe = spec, np.array(spec.safe_action)
        compensate = self.config.latency_compensation
        ahead_s = latency.ahead_s if compensate else 0.0
        self._immediate, self._early = not compensate, ahead_s > 0
        # Where the rest of a period is too short to plan in, decisions are made one period earlier.
        self._turn_s = spec.dt_s - ahead_s if self._early else 0.0  # after a period began
        self._two_ahead = self._early and spec.dt_s - ahead_s < latency.planning
        self.estimator = Estimator(self.hardware)
        self.continuity = Continuity(spec, self.hardware.jump)
        self.pairing = Pairing(spec.dt_s, self._early, RobotState.SOURCE_PLAN)
        self.slot = ActionSlot(spec)
        self.rejects = Rejects()
        self.missed, self.overruns, self._reported = 0, 0, (0, 0)
        self._choice = Choice(self._safe, "safe", False, NEVER)
        self._action, self._decided = self._safe, (False, False)  # what comes of it; was it passing, and sending
        self._no_answer = NO_CONTROLLER
        self._m: np.ndarray | None = None  # the newest measurement ...
        self._m_s = 0.0  # ... and when it was made
        self._state: RobotState | None = None
        self._checked, self._enabled, self._answered = False, False, False
        self._skipped = True  # there was no state in the last control period
        now = time.monotonic()
        self._period_s, self._published_s = now, now
        # Stamps keep to the steady clock, however the system's is set.
        self._epoch_ns = time.time_ns() - round(1e9 * now)

        self._states = self.create_publisher(RobotState, "state", qos.STATE_PUB)
        self.output = HardwareOutput(self, self.estimator, self.pairing)
        self._inputs = HardwareInputs(self, self.estimator, self.rejects, self.output.on_joints)
        self._actions = self.create_subscription(RobotAction, "action", self._on_action, qos.ACTION)
        offer(self, Trigger, "reset", self._on_reset)
        ranges = np.array([(joint.low, joint.high) for joint in self.hardware.in_order()])
        layer = Safety(spec, self.config.safety, ranges, self.hardware.postures)
        self.safety = SafetyInterface(self, layer, time.monotonic, self._after_request, problems=self._refusals)
        self._diagnostics = Diagnostics(self, spec.name, self._condition, self.rejects)
        self.create_timer(REPEAT_S / 5, self._on_watch, clock=STEADY)
        self._turn = None
        if self._early:  # a one-shot that every control period winds up
            self._turn = self.create_timer(self._turn_s, self._on_turn, clock=STEADY)
            self._turn.cancel()
        self.pairing.begin()
        self.create_timer(spec.dt_s, self._on_period, clock=STEADY)
        how = f"sent {1e3 * ahead_s:g} ms ahead" if compensate else "sent on arrival"
        self.get_logger().info(f"{spec.name!r} on {self.output.topic}; commands are {how}; call ~/enable to begin")

    # Control period ---------------------------------------------------------------------------------------------------

    def _on_period(self) -> None:
        now = time.monotonic()
        if self._turn is not None:
            self._turn.reset()
        skipped, self._period_s = round((now - self._period_s) / self.spec.dt_s) - 1, now
        if skipped > 0:
            self.overruns += skipped
            self.get_logger().warning(f"{self.overruns} control periods missed so far", throttle_duration_sec=5.0)
        m, causes = self._look(now)
        past = None
        if m is not None:
            self._m, self._m_s, past = m, now, self.pairing.state(now)
        else:
            self.pairing.skip()
        due = not (self._early or self._immediate) or (self._immediate and not self._answered)
        if due or self._two_ahead:
            self._choose()
        seen = None if causes and m is None else self._m
        self.safety.update(seen, causes, self._choice.unanswered, self._no_answer)
        if due:
            self._send()
        else:
            self._stop_if_asked()
            if self._two_ahead:
                self._decide()
        self.slot.begin(self.pairing.episode, max(self.pairing.tick, 0), 1 + max(skipped, 0))
        self._answered, self._skipped = False, m is None
        if m is not None:
            self._publish_new(m, past, now)

    def _look(self, now: float) -> tuple[np.ndarray | None, list[str]]:
        """The measurement, if there is a credible one, and why control is lost."""
        m, causes = self.estimator.measure(now)
        if m is not None:
            verdict = self.continuity.check(now, m)
            if verdict is Verdict.JUMPED:
                m, causes = None, [self.continuity.reason]
            elif verdict is Verdict.MOVED:
                self.pairing.begin()
                self.get_logger().warning(f"{self.continuity.reason}, and stayed there: a new episode")
        if m is not None and self.spec.fallen(m):
            self.safety.layer.trip(f"{self.spec.name} has fallen")
        causes += self._inputs.temperatures.problems(now)
        if self._enabled:
            causes += self.output.listeners.problems()
        if not self._checked and self.safety.layer.config.auto_enable:
            causes += (problems := self._problems())
            self._checked = not problems
        return m, causes

    def _choose(self) -> None:
        """Decide on the next command: the answer, or what stands in for it."""
        connected = self.count_publishers(self._actions.topic_name) > 0
        self._choice = choice = self.slot.take(self.safety.layer.config.command_timeout_periods, connected)
        self._no_answer = NO_QUESTION if self._skipped else NO_ANSWER if connected else NO_CONTROLLER
        if choice.missed and self.safety.layer.passing and not self._skipped:
            self.missed += 1
            self.get_logger().warning(
                f"{self.missed} late answers so far; bridged with the {choice.source} action. Is the computer busy?",
                throttle_duration_sec=5.0,
            )

    def _on_turn(self) -> None:
        """It is time for the command of the period that begins when the command will have taken effect."""
        assert self._turn is not None
        self._turn.cancel()
        if not self._two_ahead:
            self._choose()
        self._send()

    # Commands ---------------------------------------------------------------------------------------------------------

    def _sending(self) -> bool:
        """Commands go to the robot: from when it was enabled, for which it passed the checks, until it is disabled."""
        layer = self.safety.layer
        if layer.mode is Mode.DISABLED or layer.config.dry_run:
            self._enabled = False
        elif layer.mode in (Mode.RAMPING, Mode.ACTIVE):
            self._enabled = True
        return self._enabled

    def _decide(self) -> None:
        """Bring the choice within every limit."""
        action, passing = self.safety.limit(self._choice.action, self._m), self.safety.layer.passing
        self._decided = passing, self._sending()
        controlled = passing and self._choice.source != "safe"
        self._action = self.output.toward(action, controlled) if self._sending() else self._safe

    def _send(self) -> None:
        """Send the command whose turn it is; decided one period earlier, it is that one unless a stop came between."""
        if not self._two_ahead or self._decided != (self.safety.layer.passing, self._sending()):
            self._decide()
        if not self._sending():
            self.output.release()
            return
        source = SOURCES[self._choice.source] if self.safety.layer.passing else RobotState.SOURCE_SAFE
        self.output.send(self._action, source, time.monotonic() - self._period_s - self._turn_s)

    def _stop_if_asked(self) -> None:
        """Stop the robot out of turn if what was sent may not be in force any more."""
        sending = self._sending()
        if self.safety.layer.passing or self.output.in_force is None:
            return
        if sending:
            self.output.stop(RobotState.SOURCE_SAFE)
        else:
            self.output.release()

    # Messages ---------------------------------------------------------------------------------------------------------

    def _publish_new(self, m: np.ndarray, past: Sent | None, now: float) -> None:
        tick = self.pairing.tick
        message = RobotState(episode=self.pairing.episode, tick=tick, action_source=RobotState.SOURCE_NONE)
        message.header.stamp = time_message(self._epoch_ns + round(1e9 * now))
        message.header.frame_id = self.config.odom_frame
        if tick > 0:
            message.applied_action = doubles(past.action if past else self._safe)
            message.action_source = past.source if past else RobotState.SOURCE_SAFE
        if not self._immediate:
            in_force = self._safe if self.output.in_force is None else self.output.in_force
            # What is decided already, from this state on.
            message.pending_action = doubles(np.stack([in_force, self._action] if self._two_ahead else [in_force]))
        self._state = fill_state(message, m, self.spec)
        self._publish()

    def _publish(self) -> None:
        """Publish the newest state, with the status as it is now."""
        if self._state is not None:
            self._state.status = self.safety.layer.status()
            self._states.publish(self._state)
            self._published_s = time.monotonic()

    def _on_watch(self) -> None:
        told = self._state is not None and self._state.status == self.safety.layer.status()
        if not told or time.monotonic() - self._published_s >= REPEAT_S:
            self._publish()

    def _on_action(self, message: RobotAction) -> None:
        self._diagnostics.heard("action")
        answer = answer_from(message, self.spec, self, self.rejects)
        if answer is None:
            return
        self.slot.offer(answer)
        if self._immediate and self.slot.answered and not self._answered:
            self._answered = True
            self._choose()
            self._send()

    def _after_request(self) -> None:
        self._stop_if_asked()
        self._publish()

    def _on_reset(self, _) -> str:
        self.pairing.begin()
        self.continuity = Continuity(self.spec, self.hardware.jump)
        return f"episode {self.pairing.episode} begins with the next control period"

    def _problems(self) -> list[str]:
        """Why the robot may not be enabled now."""
        now = time.monotonic()
        m = self._m if now - self._m_s <= self.estimator.max_age_s else None
        problems = start_problems(self.estimator, m, now) + self._inputs.temperatures.problems(now)
        return problems + (self.output.listeners.problems() or self.output.listeners.unasked())

    def _refusals(self) -> list[str]:
        """The problems, told to somebody who asks; who then enables it all the same says that the clock was set."""
        problems = self._problems()
        if self.safety.layer.mode is Mode.DISABLED and set(self.estimator.late()) <= set(problems):
            self.estimator.trust_clock()
        return problems

    def _condition(self) -> tuple[bytes, str, dict]:
        now = time.monotonic()
        before, self._reported = self._reported, (self.missed, self.overruns)
        fresh = [f"{b - a} {what}" for a, b, what in zip(before, self._reported, WORDS, strict=True) if b > a]
        values = {"episode": self.pairing.episode, "tick": self.pairing.tick}
        values |= dict(zip(WORDS, self._reported, strict=True)) | {"pose jumps": self.continuity.jumps}
        values |= self.safety.values() | self._inputs.values(now)
        values |= {f"answers {cause}": count for cause, count in sorted(self.slot.counts.items())}
        level, text = self.safety.condition()
        temperature = self._inputs.temperatures.hottest
        if temperature is not None and temperature >= self.hardware.temperature.warn:
            fresh.append(f"{temperature:.0f} C")
        if self.safety.layer.mode is Mode.DISABLED and (problems := self._problems()):
            fresh.append("not ready: " + "; ".join(problems))
        return max(level, WARN if fresh else OK), ", ".join([text or "running", *fresh]), values

    def destroy_node(self) -> None:
        """Leave the robot with the safe command."""
        if hasattr(self, "output"):  # not where the parameters were refused
            self.output.farewell()
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Run the node; the process's exit code."""
    return run(HardwareBridge, args, farewell=True)


if __name__ == "__main__":
    sys.exit(main())
