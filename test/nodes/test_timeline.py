"""Which states are out of order."""

from __future__ import annotations

from mbmf_ros.nodes.timeline import CONVINCING, Timeline


def outdated(*stamps_s: float) -> list[bool]:
    timeline = Timeline()
    return [timeline.outdated(stamp_s) for stamp_s in stamps_s]


def test_what_comes_in_order_or_again_is_not_outdated():
    assert not any(outdated(1.0, 1.05, 1.05, 1.1, 900.0, 900.05))


def test_stragglers_and_a_recording_beside_the_robot_are_outdated():
    assert outdated(5.0, 4.9, 5.05, 4.95, 4.96, 5.1, 4.97, 4.98, 5.15) == [0, 1, 0, 1, 1, 0, 1, 1, 0]


def test_several_in_a_row_from_before_are_a_robot_that_begins_anew():
    anew = [1.0 + 0.05 * tick for tick in range(6)]
    assert outdated(50.0, *anew) == [False] + [True] * (CONVINCING - 1) + [False] * (7 - CONVINCING)
    assert outdated(50.0, 1.0, 1.0, 1.0, 1.05) == [
        False,
        True,
        True,
        False,
        False,
    ]  # in lock-step it waits, and repeats


def test_a_row_that_goes_backwards_itself_convinces_nobody():
    assert outdated(50.0, 9.0, 8.0, 7.0, 6.0) == [False, True, True, True, True]
