"""A stop of a robot whose commands are postures leads it away from where it is slowly, and so does what comes after."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from robot_side import SPEC, values

from mbmf_ros.hardware.approach import Approach
from mbmf_ros.hardware.commands import Commands
from mbmf_ros.hardware.config import parse_hardware

DT, SPEED, SCALE, CENTER = SPEC.dt_s, 0.4, 0.5, 0.2
SAFE = np.array(SPEC.safe_action)


def posed(interface: str = "position"):
    plain = values()
    for entry in plain["joints"].values():
        entry.update(scale=SCALE, center=CENTER, limit=3.0)
    plain["command"].update(interface=interface, stop_speed=SPEED)
    return parse_hardware(plain)


@given(st.integers(0, 2**32 - 1), st.lists(st.booleans(), min_size=1, max_size=40))
def test_no_target_moves_faster_than_the_stop_speed_until_it_was_caught_up_with(seed: int, life: list[bool]):
    rng, config = np.random.default_rng(seed), posed()
    approach, commands = Approach(config), Commands(config)
    start = rng.uniform(CENTER - SCALE, CENTER + SCALE, len(SPEC.joints))
    sent, now, free = approach.begin(start, 0.0), 0.0, np.zeros(SPEC.nu, bool)
    driven = start[[SPEC.joints.index(name) for name in SPEC.actuated_joints]]
    np.testing.assert_allclose(commands.data(sent), driven)  # the joints stay where they are
    for passing in life:
        now += DT
        wanted = rng.uniform(-1, 1, SPEC.nu) if passing else SAFE
        before, sent = sent, approach.step(sent, wanted, passing, now)
        free &= passing
        moved = np.abs(commands.data(sent) - commands.data(before))
        assert (moved[~free] <= SPEED * DT + 1e-9).all()
        np.testing.assert_array_equal(sent[free], wanted[free])
        assert (np.abs(sent - wanted) <= np.abs(before - wanted)).all()
        free |= passing & (sent == wanted)


def test_a_stop_gets_to_the_safe_posture_and_a_long_pause_is_no_leave_to_jump():
    approach = Approach(posed())
    sent, now = np.ones(SPEC.nu), 7.0  # no period is known to have passed before
    for _ in range(round(SCALE / (SPEED * DT))):
        assert sent == pytest.approx(np.full(SPEC.nu, sent[0]))
        before, now = sent, now + 10 * DT
        sent = approach.step(sent, SAFE, False, now)
        assert before - sent == pytest.approx(np.full(SPEC.nu, SPEED * DT / SCALE))
    assert sent == pytest.approx(SAFE, abs=1e-9)


@pytest.mark.parametrize("interface", ["effort", "velocity"])
def test_torques_and_velocities_stop_at_once(interface: str):
    approach = Approach(posed(interface))
    assert not approach.needed
    np.testing.assert_array_equal(approach.step(np.ones(SPEC.nu), SAFE, False, 1.0), SAFE)
    np.testing.assert_array_equal(approach.step(SAFE, np.ones(SPEC.nu), True, 1.0), np.ones(SPEC.nu))
