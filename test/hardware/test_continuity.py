"""Walking never counts as a jump, a jump always does; a glitch passes, a new place is a new beginning."""

from __future__ import annotations

import numpy as np
import pytest
from robot_side import LAYOUT, SPEC, standing

from mbmf_ros.hardware.continuity import Continuity, Verdict
from mbmf_ros.hardware.settings import JumpConfig
from mbmf_ros.robots.measurement import quaternion_of_yaw
from mbmf_ros.robots.sim import ParallelSimulation

FOLLOWS, JUMPED, MOVED = Verdict.FOLLOWS, Verdict.JUMPED, Verdict.MOVED


def at(x: float, yaw: float = 0.0) -> np.ndarray:
    m = standing()
    m[0], m[LAYOUT.orientation] = x, quaternion_of_yaw(yaw)
    return m


def judge(*places: np.ndarray, settle: float = 0.12) -> list[Verdict]:
    continuity = Continuity(SPEC, JumpConfig(settle=settle))
    return [continuity.check(SPEC.dt_s * step, m) for step, m in enumerate(places)]


def test_violent_motion_is_no_jump():
    """Full torques at random: nothing that walks is wilder."""
    rng = np.random.default_rng(0)
    actions = rng.choice([-1.0, 1.0], size=(4, 200, SPEC.nu))
    for track in ParallelSimulation(SPEC, 1).rollout(np.tile(standing(), (4, 1)), actions):
        assert set(judge(*track)) == {FOLLOWS}


def test_a_glitch_is_held_through_and_forgotten():
    assert judge(at(0), at(0), at(3), at(3), at(0), at(0)) == [FOLLOWS, FOLLOWS, JUMPED, JUMPED, FOLLOWS, FOLLOWS]


def test_a_pose_that_stays_at_its_new_place_is_a_new_beginning():
    assert judge(at(0), at(3), at(3), at(3), at(3), at(3)) == [FOLLOWS, JUMPED, JUMPED, JUMPED, MOVED, FOLLOWS]


def test_a_pose_that_jumps_about_is_never_believed():
    places = [at(0), *(at(3.0 if step % 2 else -3.0) for step in range(20))]
    assert set(judge(*places)[1:]) == {JUMPED}


def test_a_jump_does_not_explain_itself_by_the_velocity_derived_from_it():
    places = [at(0), at(0), at(3), at(3), at(3)]
    places[2][LAYOUT.linear_velocity] = (60.0, 0.0, 0.0)  # of 3 m in one control period
    assert judge(*places) == [FOLLOWS, FOLLOWS, JUMPED, JUMPED, JUMPED]


def test_a_turn_of_the_heading_is_a_jump():
    assert judge(at(0), at(0, 1.0), at(0, 1.0)) == [FOLLOWS, JUMPED, JUMPED]


def test_after_a_gap_more_is_believed():
    continuity = Continuity(SPEC, JumpConfig())
    continuity.check(0.0, at(0))
    assert continuity.check(0.2, at(0.5)) is FOLLOWS
    assert continuity.check(0.25, at(1.5)) is JUMPED
    assert continuity.reason == "the pose jumped by 1.00 m from where its velocity leads"


@pytest.mark.parametrize("gap_s", [1.0, 60.0])
def test_an_odometry_that_starts_anew_after_a_silence_is_a_new_beginning(gap_s: float):
    continuity = Continuity(SPEC, JumpConfig())
    continuity.check(0.0, at(2.5))
    assert continuity.check(gap_s, at(0)) is MOVED
    assert continuity.jumps == 1
    assert continuity.reason.startswith("the pose jumped by 2.50 m")
    assert continuity.check(gap_s + SPEC.dt_s, at(0)) is FOLLOWS


def test_a_robot_that_stood_still_through_a_silence_goes_on():
    continuity = Continuity(SPEC, JumpConfig())
    continuity.check(0.0, at(2.5))
    assert continuity.check(60.0, at(2.6)) is FOLLOWS


@pytest.mark.parametrize("count", [1, 3])
def test_jumps_are_counted_once_each(count: int):
    continuity = Continuity(SPEC, JumpConfig(settle=0.0))
    for step in range(count + 1):
        continuity.check(0.05 * step, at(5.0 * step))
    assert continuity.jumps == count
