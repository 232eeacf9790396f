"""Clearing a stop or a trip, and enabling without anybody: never blind, never in spite of problems."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from layer_clock import ROBOT, SIMULATION, START, Clock, enabled, tilted

from mbmf_ros.errors import MbmfError
from mbmf_ros.safety import Mode


def test_clearing_enables_nothing_that_has_problems():
    clock = Clock(SIMULATION)
    clock.step()
    clock.safety.estop("test")
    done, text = clock.safety.clear(clock.now_s, ["the IMU is silent"])
    assert (done, clock.safety.mode, "the IMU is silent" in text) == (True, Mode.DISABLED, True)
    assert clock.step(5) is Mode.DISABLED


@pytest.mark.parametrize("blind", [None, np.full_like(START, np.nan)], ids=["silent", "not finite"])
def test_a_trip_is_not_cleared_while_nothing_says_that_the_robot_is_within_the_limit_again(blind):
    clock = enabled(dataclasses.replace(ROBOT, max_tilt=0.5))
    assert clock.step(m=tilted(1.0)) is Mode.TRIPPED
    clock.step(5, m=blind)
    done, text = clock.safety.clear(clock.now_s)
    assert (done, clock.safety.mode, "still tilted by 1.00 rad" in text) == (False, Mode.TRIPPED, True)
    clock.step()
    assert clock.safety.clear(clock.now_s)[0]


def test_it_is_not_made_to_enable_itself_while_it_runs():
    clock = Clock(ROBOT)
    with pytest.raises(MbmfError, match="auto_enable: it may not be switched on"):
        clock.safety.configure(dataclasses.replace(ROBOT, auto_enable=True))
    clock.safety.estop("test")
    assert clock.safety.clear(clock.now_s) == (True, "cleared; disabled until it is enabled")
    clock = Clock(SIMULATION)
    clock.safety.configure(dataclasses.replace(SIMULATION, auto_enable=False))  # off is the careful way
