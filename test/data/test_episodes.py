"""Ticks become transitions: nothing is ever mispaired, and nothing is lost without need."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tick_messages import SPEC, check_pairs, state

from mbmf_ros.data.episodes import PIECE_STEPS, EpisodeBuilder


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), max_size=60),
    st.lists(st.integers(0, 59), max_size=5),
)
def test_ticks_in_any_order_are_never_mispaired(order: list[tuple[int, int]], bad: list[int]):
    builder = EpisodeBuilder(SPEC)
    for index, (episode, tick) in enumerate(order):
        builder.add(state(episode, tick, x=float("nan") if index in bad else None))
    assert builder.rejected == len({index for index in bad if index < len(order)})
    check_pairs(builder.store())
    assert builder.store().transitions == builder.transitions


def test_gaps_and_repetitions_end_or_do_not_end_an_episode():
    builder = EpisodeBuilder(SPEC)
    sequence = [(0, 0), (0, 1), (0, 1), (0, 2), (0, 4), (0, 5), (1, 6), (1, 7), (1, 0), (1, 1)]
    for episode, tick in sequence:
        assert builder.add(state(episode, tick))
    expected = {(0.0, 1.0), (1.0, 2.0), (4.0, 5.0), (1006.0, 1007.0), (1000.0, 1001.0)}
    assert check_pairs(builder.store()) == expected


def test_a_gap_in_time_ends_an_episode_though_the_ticks_count_on():
    builder = EpisodeBuilder(SPEC)
    for tick in range(6):
        builder.add(state(0, tick, late_s=0.2 if tick >= 3 else 0.0))
    assert check_pairs(builder.store()) == {(0.0, 1.0), (1.0, 2.0), (3.0, 4.0), (4.0, 5.0)}


def test_long_recordings_are_cut_without_losing_a_transition_and_forgotten_from_the_oldest():
    count = 3 * PIECE_STEPS + 11
    builder, bounded = EpisodeBuilder(SPEC), EpisodeBuilder(SPEC, max_transitions=PIECE_STEPS)
    for tick in range(count):
        builder.add(state(0, tick))
        bounded.add(state(0, tick))
    assert check_pairs(builder.store()) == {(float(tick), tick + 1.0) for tick in range(count - 1)}
    assert max(len(episode) for episode in builder.store().episodes) == PIECE_STEPS
    kept = check_pairs(bounded.store())
    assert PIECE_STEPS <= len(kept) <= 2 * PIECE_STEPS
    assert max(kept) == (count - 2.0, count - 1.0)
    assert bounded.transitions == count - 1


def test_after_an_interruption_nothing_follows_whatever_the_numbers_say():
    builder = EpisodeBuilder(SPEC)
    for tick in range(3):
        builder.add(state(0, tick))
    builder.interrupt()
    for tick in range(3, 5):
        builder.add(state(0, tick))
    assert check_pairs(builder.store()) == {(0.0, 1.0), (1.0, 2.0), (3.0, 4.0)}
