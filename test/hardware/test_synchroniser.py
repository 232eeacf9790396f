"""Messages of one instant are found among late, lost and repeated ones, whatever the robot's clock shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbmf_ros.hardware.settings import SyncConfig
from mbmf_ros.hardware.synchroniser import Input, Stamped, Synchroniser

NAMES = ("joint_states", "imu", "pose")


def hear(one: Input, stamp_s: float, arrival_s: float) -> str:
    verdict = one.admit(stamp_s, arrival_s)
    if verdict != "old":
        one.add(Stamped(stamp_s, arrival_s, stamp_s))
    return verdict


@given(
    st.floats(-1e6, 1e6),
    st.lists(st.tuples(*[st.booleans()] * 3), min_size=5, max_size=40),
    st.tuples(*[st.floats(0.0, 0.03)] * 3),
)
def test_what_is_found_is_of_one_instant_and_the_newest_such(
    offset_s: float, kept: list[tuple[bool, ...]], delays_s: tuple[float, ...]
):
    """Three inputs at 100 Hz with losses, each with a delay of its own, on a clock that is ``offset_s`` off."""
    inputs = {name: Input(0.25, 0.1) for name in NAMES}
    stamps: dict[str, list[float]] = {name: [] for name in NAMES}
    for step, arrived in enumerate(kept):
        for name, there, delay_s in zip(NAMES, arrived, delays_s, strict=True):
            if there:
                stamps[name].append(0.01 * step + offset_s)
                assert hear(inputs[name], stamps[name][-1], 0.01 * step + delay_s) == "ok"
    synchroniser = Synchroniser(inputs, SyncConfig(tolerance=0.005))
    common = set.intersection(*(set(one) for one in stamps.values()))
    newest = min((one[-1] for one in stamps.values() if one), default=None)
    found = synchroniser.newest()
    if found is None:
        assert newest not in common  # the instant of the input that lags most is not there in the others
    else:
        assert {message.stamp_s for message in found.values()} == {newest}
        assert -offset_s <= synchroniser.offset_s + 1e-6
        assert synchroniser.offset_spread_s <= 0.03 + 1e-6


def test_stamps_farther_apart_than_the_tolerance_are_not_of_one_instant():
    inputs = {name: Input(0.25, 0.1) for name in NAMES}
    synchroniser = Synchroniser(inputs, SyncConfig(tolerance=0.02))
    assert synchroniser.newest() is None
    for name, stamp_s in zip(NAMES, (5.0, 5.015, 5.03), strict=True):
        hear(inputs[name], stamp_s, 1.0)
    assert synchroniser.newest() is None
    hear(inputs["joint_states"], 5.02, 1.01)
    found = synchroniser.newest()
    assert found is not None
    assert [found[name].stamp_s for name in NAMES] == [5.02, 5.015, 5.03]


def test_a_clock_that_jumps_makes_an_input_forget_and_go_on():
    one = Input(0.25, 0.1)
    for step in range(5):
        assert hear(one, 50.0 + 0.01 * step, 0.01 * step) == "ok"
    assert hear(one, 150.05, 0.05) == "jump"
    assert [message.stamp_s for message in one.messages] == [150.05]
    assert hear(one, 150.06, 0.06) == "ok"
    assert one.clock.offset_s == pytest.approx(-150.0)
    assert one.counts["clock jumps"] == 1


def test_repeated_and_overtaken_messages_are_counted_not_used():
    one = Input(0.25, 0.1)
    assert [hear(one, stamp_s, 1.0) for stamp_s in (5.00, 5.02, 5.02, 5.01, 5.03)] == ["ok", "ok", "old", "old", "ok"]
    assert [message.stamp_s for message in one.messages] == [5.00, 5.02, 5.03]
    assert one.counts["repeated or out of order"] == 2


def test_rates_and_ages():
    one = Input(0.25, 0.1)
    assert one.age_s(0.0) == float("inf")
    for step in range(100):
        hear(one, 0.02 * step, 0.02 * step)
    assert one.rate(1.98, 1.0) == pytest.approx(50, abs=1)
    assert one.age_s(2.5) == pytest.approx(0.52)
    assert one.admit(1.98, 1.99) == "old"  # arrived, and was of no use
    assert one.age_s(2.5) == pytest.approx(0.52)
