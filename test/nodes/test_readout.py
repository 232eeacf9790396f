"""What the cockpit's panel says."""

import math

import pytest

pytest.importorskip("mbmf_ros.msg")

from mbmf_ros.msg import ControllerStats, LearnerStatus, RobotState, SafetyState
from mbmf_ros.nodes.readout import Reports, read_out

pytestmark = pytest.mark.ros


def reports(status=RobotState.STATUS_ACTIVE, state_at=10.0, stats_at=10.0, task="follow_path"):
    state = RobotState(status=status)
    state.twist.linear.x, state.twist.linear.y = 0.6, 0.8
    stats = ControllerStats(task=task, plan_time=0.0214, cross_track_error=0.07, model_version=3)
    return Reports(state, state_at, stats, stats_at)


def test_read_out_of_a_walking_robot():
    shown = read_out(reports(), 10.1, 1.0)
    assert (shown.level, shown.headline, shown.training) == ("ok", "follow path", None)
    rows = dict(shown.rows)
    assert rows["speed"] == "1.00 m/s"
    assert rows["cross-track error"] == "0.07 m"
    assert rows["plan time"] == "21 ms"
    assert rows["model"] == "version 3"
    assert rows["age of state"] == "0.10 s"


@pytest.mark.parametrize(
    ("given_reports", "level", "headline"),
    [
        (Reports(), "warn", "waiting for the robot's state"),
        (reports(state_at=5.0), "error", "state lost"),
        (reports(RobotState.STATUS_ESTOP), "error", "EMERGENCY STOP"),
        (reports(RobotState.STATUS_ESTOP, state_at=5.0), "error", "state lost during EMERGENCY STOP"),
        (reports(RobotState.STATUS_FALLEN), "error", "fallen: reset the robot"),
        (reports(RobotState.STATUS_TRIPPED), "error", "TRIPPED: a safety limit was crossed"),
        (reports(RobotState.STATUS_DISABLED), "warn", "disabled: enable the robot to move it"),
        (reports(RobotState.STATUS_HOLDING), "warn", "holding: control is lost"),
        (reports(RobotState.STATUS_HOLDING, state_at=5.0), "error", "state lost"),
        (reports(RobotState.STATUS_PAUSED), "warn", "paused"),
        (reports(RobotState.STATUS_PAUSED, state_at=5.0), "error", "state lost"),
        (reports(stats_at=5.0), "warn", "no controller"),
        (reports(task="idle"), "ok", "standing still"),
    ],
)
def test_headline(given_reports, level, headline):
    shown = read_out(given_reports, 10.1, 1.0)
    assert (shown.level, shown.headline) == (level, headline)
    assert (shown.way_on == "clear_estop") == ("EMERGENCY" in headline)
    assert (shown.way_on == "clear_trip") == ("TRIPPED" in headline)
    assert (shown.way_on == "enable") == ("disabled" in headline)


def test_read_out_does_not_show_old_numbers_of_a_lost_controller():
    rows = dict(read_out(reports(stats_at=5.0), 10.1, 1.0).rows)
    assert rows["plan time"] == rows["cross-track error"] == rows["model"] == "-"


def test_read_out_of_training():
    learner = LearnerStatus(state=LearnerStatus.STATE_TRAINING, progress=0.43)
    shown = read_out(Reports(learner=learner), 0.0, 1.0)
    assert math.isclose(shown.training or 0, 0.43, rel_tol=1e-6)
    assert dict(shown.rows)["learner"] == "training, 43 %"


def test_read_out_of_a_standing_robot_names_the_newest_model():
    standing = reports(task="idle")
    assert standing.stats is not None
    standing.stats.model_version = 0
    assert dict(read_out(standing, 10.1, 1.0).rows)["model"] == "-"
    standing.learner = LearnerStatus(model_version=4)
    assert dict(read_out(standing, 10.1, 1.0).rows)["model"] == "version 4"


def test_read_out_says_why_the_safety_layer_is_in_its_mode():
    silent = SafetyState(mode=SafetyState.MODE_HOLDING, reason="the IMU is silent")
    held = reports(RobotState.STATUS_HOLDING)
    held.safety = silent
    assert read_out(held, 10.1, 1.0).headline == "holding: the IMU is silent"
    tripped = reports(RobotState.STATUS_TRIPPED)
    tripped.safety = silent  # of the mode before: the reason of this one has not come yet
    assert read_out(tripped, 10.1, 1.0).headline == "TRIPPED: a safety limit was crossed"


@pytest.mark.parametrize(
    ("safety", "text"),
    [
        (None, "-"),
        (SafetyState(mode=SafetyState.MODE_ACTIVE), "active"),
        (SafetyState(mode=SafetyState.MODE_ACTIVE, dry_run=True), "active, dry run"),
        (SafetyState(mode=SafetyState.MODE_RAMPING, ramp=0.4), "ramping, 40 %"),
        (SafetyState(mode=SafetyState.MODE_ESTOP, reason="emergency stop, by hand"), "emergency stop, by hand"),
        (SafetyState(mode=77), "mode 77"),
    ],
)
def test_read_out_of_the_safety_layer(safety, text):
    shown = reports()
    shown.safety = safety
    assert dict(read_out(shown, 10.1, 1.0).rows)["safety"] == text
