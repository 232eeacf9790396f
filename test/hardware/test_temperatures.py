"""Temperatures: the hottest counts, and one that is not told any more is none."""

from __future__ import annotations

import math

import pytest

from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.settings import TemperatureConfig
from mbmf_ros.hardware.temperatures import MOST, Temperatures

MOTORS = TemperatureConfig(topic="motors", stop=80.0, max_age=2.0)


def test_without_a_topic_nothing_is_expected():
    assert Temperatures(TemperatureConfig()).problems(0.0) == []


def test_before_the_first_one_it_is_not_known_whether_the_robot_is_hot():
    one = Temperatures(MOTORS)
    assert (one.hottest, one.problems(0.0)) == (None, ["temperature: nothing on motors"])


def test_the_hottest_motor_counts_whoever_speaks_last():
    one = Temperatures(MOTORS)
    one.take(0.0, "hip", 81.0)
    one.take(0.1, "knee", 40.0)
    assert (one.hottest, one.problems(0.2)) == (81.0, ["a temperature of 80 C or more on motors"])
    one.take(0.3, "hip", 79.0)
    assert one.problems(0.4) == []


def test_a_sensor_that_falls_silent_is_missed_though_another_goes_on():
    one = Temperatures(MOTORS)
    for second in range(4):
        one.take(float(second), "knee", 40.0)
    one.take(0.0, "hip", 40.0)
    assert one.problems(1.9) == []
    assert one.problems(3.0) == ["temperature: nothing of hip on motors for more than 2 s"]
    one.take(3.1, "hip", 40.0)
    assert one.problems(3.2) == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_refused(value):
    one = Temperatures(MOTORS)
    with pytest.raises(MbmfError, match="expected a finite temperature"):
        one.take(0.0, "hip", value)
    assert one.hottest is None


def test_made_up_frames_fill_no_memory():
    one = Temperatures(MOTORS)
    for frame in range(MOST):
        one.take(0.0, str(frame), 20.0)
    with pytest.raises(MbmfError, match="at most 256 frames"):
        one.take(0.0, "one more", 20.0)
    one.take(1.0, "0", 30.0)
    assert one.hottest == 30.0
