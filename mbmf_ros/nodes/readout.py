"""What the cockpit's panel says about the robot, the controller and the learner."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from mbmf_ros.msg import ControllerStats, LearnerStatus, RobotState

Level = Literal["ok", "warn", "error"]
_NOTHING = "-"


@dataclass
class Reports:
    """The newest message of each kind and when it came (steady clock [s]); None and -inf: none yet."""

    state: RobotState | None = None
    state_at_s: float = -math.inf
    stats: ControllerStats | None = None
    stats_at_s: float = -math.inf
    learner: LearnerStatus | None = None


@dataclass(frozen=True)
class Readout:
    """What the panel shows.

    Attributes:
        level: urgency of the headline.
        headline: one line.
        rows: names and values.
        training: share of a training that is done; None: none under way.
        paused: whether time stands still.
        stopped: whether the emergency stop is on.
    """

    level: Level
    headline: str
    rows: list[tuple[str, str]] = field(default_factory=list)
    training: float | None = None
    paused: bool = False
    stopped: bool = False


def read_out(reports: Reports, now_s: float, timeout_s: float) -> Readout:
    """What to tell people at ``now_s`` (steady clock [s]); reports older than ``timeout_s`` [s] are called lost."""
    state, stats, learner = reports.state, reports.stats, reports.learner
    age_s = now_s - reports.state_at_s
    steering = stats if stats is not None and now_s - reports.stats_at_s <= timeout_s else None
    level, headline = _headline(state, age_s, timeout_s, steering)
    speed = math.nan if state is None else math.hypot(state.twist.linear.x, state.twist.linear.y)
    error = math.nan if steering is None or steering.task == "idle" else steering.cross_track_error
    plan_time = math.nan if steering is None else 1e3 * steering.plan_time
    training = None
    if learner is not None and learner.state == LearnerStatus.STATE_TRAINING:
        training = float(learner.progress)
    rows = [
        ("speed", _number(speed, "m/s", 2)),
        ("cross-track error", _number(error, "m", 2)),
        ("plan time", _number(plan_time, "ms", 0)),
        ("model", _model(steering, learner)),
        ("learner", _learner(learner)),
        ("age of state", _number(age_s, "s", 2 if age_s < 10 else 0)),
    ]
    status = None if state is None else state.status
    paused, stopped = status == RobotState.STATUS_PAUSED, status == RobotState.STATUS_ESTOP
    return Readout(level, headline, rows, training, paused, stopped)


def _headline(
    state: RobotState | None, age_s: float, timeout_s: float, steering: ControllerStats | None
) -> tuple[Level, str]:
    if state is None:
        return "warn", "waiting for the robot's state"
    if state.status == RobotState.STATUS_ESTOP:
        return "error", "EMERGENCY STOP" if age_s <= timeout_s else "state lost during EMERGENCY STOP"
    if age_s > timeout_s:
        return "error", "state lost"
    if state.status == RobotState.STATUS_FALLEN:
        return "error", "fallen: reset the robot"
    if state.status == RobotState.STATUS_PAUSED:
        return "warn", "paused"
    if steering is None:
        return "warn", "no controller"
    return "ok", "standing still" if steering.task == "idle" else steering.task.replace("_", " ")


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
