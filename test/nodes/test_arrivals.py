"""Rates and ages of what comes in, and how punctual answers are."""

from __future__ import annotations

import time

import pytest

from mbmf_ros.nodes.arrivals import Arrivals
from mbmf_ros.nodes.punctuality import Punctuality


def test_rates_are_those_since_the_last_report_and_ages_go_on():
    now = [10.0]
    arrivals = Arrivals(lambda: now[0])
    for now[0] in (10.5, 11.0, 11.5, 12.0):
        arrivals.add("state")
    arrivals.add("path")
    assert arrivals.report() == {"state rate [Hz]": 2, "state age [s]": 0, "path rate [Hz]": 0.5, "path age [s]": 0}
    now[0] = 16.0
    arrivals.add("path")
    assert arrivals.report() == {"state rate [Hz]": 0, "state age [s]": 4, "path rate [Hz]": 0.25, "path age [s]": 0}


def test_states_that_were_never_answered_are_counted_within_an_episode():
    punctuality = Punctuality()
    for episode, tick in ((1, 5), (1, 6), (1, 9), (2, 0), (2, 2), (2, 1), (2, 2)):
        punctuality.add(episode, tick, time.time_ns(), None)
    assert punctuality.skipped == 2 + 1  # ticks 7 and 8 of the first, tick 1 of the second; before tick 5: unknown
    assert "plan time p50 [ms]" not in punctuality.values()


def test_plan_times_and_ages_are_told_in_milliseconds():
    punctuality = Punctuality()
    for plan_time_s in (0.01, 0.02, 0.03):
        punctuality.add(1, 0, time.time_ns() - 50_000_000, plan_time_s)
    values = punctuality.values()
    assert values["plan time p50 [ms]"] == pytest.approx(20)
    assert values["plan time p99 [ms]"] == pytest.approx(30, abs=0.5)
    assert 50 <= values["state age when answered p50 [ms]"] < 1000
