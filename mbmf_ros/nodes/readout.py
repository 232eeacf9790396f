"""What the cockpit's panel says about the robot, the controller and the learner."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from mbmf_ros.msg import ControllerStats, LearnerStatus, RobotState, SafetyState

Level = Literal["ok", "warn", "error"]
WayOn = Literal["", "clear_estop", "clear_trip", "enable"]
_NOTHING = "-"
_WAYS_ON: dict[int, WayOn] = {
    RobotState.STATUS_ESTOP: "clear_estop",
    RobotState.STATUS_TRIPPED: "clear_trip",
    RobotState.STATUS_DISABLED: "enable",
}
_MODES = {
    SafetyState.MODE_DISABLED: "disabled",
    SafetyState.MODE_RAMPING: "ramping",
    SafetyState.MODE_ACTIVE: "active",
    SafetyState.MODE_HOLDING: "holding",
    SafetyState.MODE_TRIPPED: "tripped",
    SafetyState.MODE_ESTOP: "emergency stop",
}


@dataclass
class Reports:
    """The newest message of each kind and when it came (steady clock [s]); None and -inf: none yet."""

    state: RobotState | None = None
    state_at_s: float = -math.inf
    stats: ControllerStats | None = None
    stats_at_s: float = -math.inf
    learner: LearnerStatus | None = None
    safety: SafetyState | None = None


@dataclass(frozen=True)
class Readout:
    """What the panel shows.

    Attributes:
        level: urgency of the headline.
        headline: one line.
        rows: names and values.
        training: share of a training that is done; None: none under way.
        paused: whether time stands still.
        way_on: what lets a robot move again that a person has to let go on: clearing a stop or a trip, or enabling.
    """

    level: Level
    headline: str
    rows: list[tuple[str, str]] = field(default_factory=list)
    training: float | None = None
    paused: bool = False
    way_on: WayOn = ""


def read_out(reports: Reports, now_s: float, timeout_s: float) -> Readout:
    """What to tell people at ``now_s`` (steady clock [s]); reports older than ``timeout_s`` [s] are called lost."""
    state, stats, learner = reports.state, reports.stats, reports.learner
    age_s = now_s - reports.state_at_s
    steering = stats if stats is not None and now_s - reports.stats_at_s <= timeout_s else None
    level, headline = _headline(state, age_s, timeout_s, steering, reports.safety)
    speed = math.nan if state is None else math.hypot(state.twist.linear.x, state.twist.linear.y)
    error = math.nan if steering is None or steering.task == "idle" else steering.cross_track_error
    plan_time = math.nan if steering is None else 1e3 * steering.plan_time
    training = None
    if learner is not None and learner.state == LearnerStatus.STATE_TRAINING:
        training = float(learner.progress)
    rows = [
        ("safety", _safety(reports.safety)),
        ("speed", _number(speed, "m/s", 2)),
        ("cross-track error", _number(error, "m", 2)),
        ("plan time", _number(plan_time, "ms", 0)),
        ("model", _model(steering, learner)),
        ("learner", _learner(learner)),
        ("age of state", _number(age_s, "s", 2 if age_s < 10 else 0)),
    ]
    status = -1 if state is None else state.status
    return Readout(level, headline, rows, training, status == RobotState.STATUS_PAUSED, _WAYS_ON.get(status, ""))


def _headline(
    state: RobotState | None,
    age_s: float,
    timeout_s: float,
    steering: ControllerStats | None,
    safety: SafetyState | None,
) -> tuple[Level, str]:
    if state is None:
        return "warn", "waiting for the robot's state"
    if state.status == RobotState.STATUS_ESTOP:
        return "error", "EMERGENCY STOP" if age_s <= timeout_s else "state lost during EMERGENCY STOP"
    if age_s > timeout_s:
        return "error", "state lost"
    if state.status == RobotState.STATUS_TRIPPED:
        return "error", f"TRIPPED: {_reason(safety, SafetyState.MODE_TRIPPED, 'a safety limit was crossed')}"
    if state.status == RobotState.STATUS_DISABLED:
        return "warn", f"disabled: {_reason(safety, SafetyState.MODE_DISABLED, 'enable the robot to move it')}"
    if state.status == RobotState.STATUS_HOLDING:
        return "warn", f"holding: {_reason(safety, SafetyState.MODE_HOLDING, 'control is lost')}"
    if state.status == RobotState.STATUS_FALLEN:
        return "error", "fallen: reset the robot"
    if state.status == RobotState.STATUS_PAUSED:
        return "warn", "paused"
    if steering is None:
        return "warn", "no controller"
    return "ok", "standing still" if steering.task == "idle" else steering.task.replace("_", " ")


def _reason(safety: SafetyState | None, mode: int, otherwise: str) -> str:
    """Why the robot is in ``mode``; the topics of state and safety arrive in any order."""
    return safety.reason if safety is not None and safety.mode == mode and safety.reason else otherwise


def _safety(safety: SafetyState | None) -> str:
    if safety is None:
        return _NOTHING
    text = _MODES.get(safety.mode, f"mode {safety.mode}")
    if safety.mode == SafetyState.MODE_RAMPING:
        text += f", {100 * safety.ramp:.0f} %"
    elif safety.mode == SafetyState.MODE_ESTOP and safety.reason:
        text = safety.reason
    return text + (", dry run" if safety.dry_run else "")


def _model(steering: ControllerStats | None, learner: LearnerStatus | None) -> str:
    """The version that plans or, while nothing is planned, the newest one."""
    version = (steering.model_version if steering else 0) or (learner.model_version if learner else 0)
    return f"version {version}" if version else _NOTHING


def _learner(status: LearnerStatus | None) -> str:
    if status is None:
        return _NOTHING
    if status.state == LearnerStatus.STATE_TRAINING:
        return f"training, {100 * status.progress:.0f} %"
    names = {
        LearnerStatus.STATE_IDLE: "idle",
        LearnerStatus.STATE_PAUSED: "paused",
        LearnerStatus.STATE_ERROR: f"error: {status.message}",
    }
    return names.get(status.state, f"state {status.state}")


def _number(value: float, unit: str, digits: int) -> str:
    return f"{value:.{digits}f} {unit}" if math.isfinite(value) else _NOTHING
