"""Ticks become transitions: nothing is ever mispaired, and nothing is lost without need."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tick_messages import SPEC, check_pairs, state, still

from mbmf_ros.data.episodes import PIECE_STEPS, EpisodeBuilder
from mbmf_ros.data.motion import moved
from mbmf_ros.data.store import TransitionStore


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


def test_they_are_cut_at_the_same_ticks_wherever_reading_begins():
    whole, late = EpisodeBuilder(SPEC), EpisodeBuilder(SPEC)
    for tick in range(3 * PIECE_STEPS + 11):
        whole.add(state(1, tick))
        if tick >= 137:
            late.add(state(1, tick))
    starts = [episode.measurements[0, 0] - 1000 for episode in late.store().episodes]
    assert starts == [137, *(PIECE_STEPS * piece for piece in (1, 2, 3))]
    for one, other in zip(late.store().episodes, whole.store().episodes, strict=True):
        assert one.piece == other.piece
        assert (other.skipped, len(other) - len(one)) == (0, one.skipped)
    assert check_pairs(late.store()) == {(1000.0 + tick, 1001.0 + tick) for tick in range(137, 3 * PIECE_STEPS + 10)}


def test_standing_still_pushes_no_motion_out_and_memory_stays_bounded():
    builder, unbounded = EpisodeBuilder(SPEC, max_transitions=2 * PIECE_STEPS), EpisodeBuilder(SPEC)
    for tick in range(10 * PIECE_STEPS + 100):
        message = state(1, tick) if tick <= 2 * PIECE_STEPS else still(1, tick)
        builder.add(message)
        unbounded.add(message)
        assert builder.kept == builder.store().transitions <= 3 * PIECE_STEPS
    assert moved(builder.store()) == moved(unbounded.store()) == 2 * PIECE_STEPS
    assert builder.transitions == unbounded.kept == 10 * PIECE_STEPS + 99
    for tick in range(10 * PIECE_STEPS + 100, 13 * PIECE_STEPS + 1):
        builder.add(state(1, tick))
    assert max(check_pairs(TransitionStore(SPEC, builder.store().episodes[-2:])))[1] == 1000.0 + 13 * PIECE_STEPS
    assert builder.store().episodes[0].piece == "1/10", "motion does push motion out"


def test_episodes_recorded_before_count_as_those_of_the_stream_do():
    recorded, builder = EpisodeBuilder(SPEC), EpisodeBuilder(SPEC, max_transitions=PIECE_STEPS)
    for tick in range(5 * PIECE_STEPS + 1):
        recorded.add(state(1, tick) if tick <= PIECE_STEPS else still(1, tick))
    builder.add_store(recorded.store())
    assert builder.kept == moved(builder.store()) == PIECE_STEPS


def test_a_state_that_no_robot_can_have_is_rejected_and_the_stream_goes_on():
    builder = EpisodeBuilder(SPEC)
    for tick in range(7):
        message = state(1, tick)
        if tick == 3:
            message.joint_velocity[5] = 1e6
        assert builder.add(message) == (tick != 3)
    assert builder.rejected == 1
    assert "tick 3: joint_velocity[5]: expected at most 1000" in builder.problem
    assert check_pairs(builder.store()) == {(1000.0 + tick, 1001.0 + tick) for tick in (0, 1, 4, 5)}
