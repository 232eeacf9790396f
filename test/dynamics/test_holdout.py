"""What is learned from and what is held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mbmf_ros.data.collect import CollectConfig, collect_random
from mbmf_ros.data.motion import moved, moving
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.dynamics.holdout import BLOCK_STEPS, Part, hold_out, recency
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot

SPEC = robot("ant")


@pytest.fixture(scope="module")
def store() -> TransitionStore:
    return collect_random(SPEC, 6000, seed=1, config=CollectConfig(episode_steps=200), threads=1)


def rows(part: Part) -> set[bytes]:
    return {m.tobytes() for episode in part.store.episodes for m in episode.measurements[:-1]}


def test_every_transition_is_in_one_part_and_about_the_share_is_held_out(store: TransitionStore):
    for share in (0.05, 0.1, 0.25):
        train, held = hold_out(store, share)
        assert train.store.transitions + held.store.transitions == store.transitions
        assert 0.5 * share < held.store.transitions / store.transitions < 1.5 * share
        assert not rows(train) & rows(held)
        assert all(len(episode) <= BLOCK_STEPS for episode in held.store.episodes)
        assert any(len(episode) == BLOCK_STEPS for episode in held.store.episodes)


def test_what_is_held_out_stays_held_out_as_data_grows(store: TransitionStore):
    train, held = hold_out(store, 0.1)
    for transitions in (150, 700, 3011):
        train_few, held_few = hold_out(store.head(transitions), 0.1)
        assert rows(held_few) <= rows(held)
        assert rows(train_few) <= rows(train)


def test_long_episodes_are_held_out_in_stretches_too():
    rng = np.random.default_rng(0)
    m = rng.standard_normal((3001, SPEC.measurement.size))
    m[:, 3:7] = (1, 0, 0, 0)
    train, held = hold_out(TransitionStore(SPEC, [Episode(m, rng.uniform(-1, 1, (3000, SPEC.nu)))]), 0.1)
    assert [len(episode) for episode in held.store.episodes] == [BLOCK_STEPS] * 10
    starts = sorted(3000 - age for age in held.ages)
    assert all(300 * index <= start <= 300 * index + 270 for index, start in enumerate(starts))
    np.testing.assert_array_equal(held.store.episodes[0].measurements[0], m[starts[0]])
    assert train.transition_ages.shape == (2700,)


def test_ages_count_what_was_recorded_after(store: TransitionStore):
    train, held = hold_out(store, 0.1)
    both = np.concatenate([train.transition_ages, held.transition_ages])
    np.testing.assert_array_equal(np.sort(both), np.arange(1, store.transitions + 1))
    newest = {m.tobytes() for m in store.episodes[-1].measurements[:-1]}
    ages = dict(zip(held.ages, held.store.episodes, strict=True))
    for age, episode in ages.items():
        assert (episode.measurements[0].tobytes() in newest) == (age <= len(store.episodes[-1]))
    recent, old = held.between(0, 2000), held.between(2000, float("inf"))
    assert recent.transitions + old.transitions == held.store.transitions
    assert recent.transitions == pytest.approx(200, abs=90)


def test_half_of_the_weight_for_every_half_life():
    np.testing.assert_allclose(recency(np.array([0, 100, 200]), 100), [1, 0.5, 0.25])
    np.testing.assert_allclose(recency(np.array([0, 100, 200]), 0), [1, 1, 1])


def test_too_little_is_told(store: TransitionStore):
    for little, share in ((TransitionStore(SPEC), 0.1), (store, 0.0)):
        with pytest.raises(MbmfError, match="some to validate on"):
            hold_out(little, share)


def test_standing_still_is_not_learned_from(store: TransitionStore):
    still = Episode(store.episodes[0].measurements, np.zeros_like(store.episodes[0].actions))
    assert moving(TransitionStore(SPEC, [still, *store.episodes[:2], still])).episodes == store.episodes[:2]


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_a_piece_of_a_recording_is_split_by_its_name_wherever_it_is_cut_off(store: TransitionStore, share: float):
    pieces = [replace(episode, piece=f"{number}/0") for number, episode in enumerate(store.episodes)]
    train, held = hold_out(TransitionStore(SPEC, pieces), share)
    assert 0.5 * share < held.store.transitions / store.transitions < 1.5 * share
    for first, last in ((0, 130), (41, 200), (63, 64)):
        parts = [
            replace(
                episode,
                measurements=episode.measurements[first : last + 1],
                actions=episode.actions[first:last],
                skipped=first,
            )
            for episode in pieces
            if len(episode) >= last
        ]
        train_part, held_part = hold_out(TransitionStore(SPEC, parts), share)
        assert rows(held_part) <= rows(held)
        assert rows(train_part) <= rows(train)
        assert len(rows(held_part) | rows(train_part)) == (last - first) * len(parts)


def test_ages_and_counts_are_of_transitions_in_motion(store: TransitionStore):
    resting = [replace(episode, actions=episode.actions.copy()) for episode in store.episodes[:10]]
    for episode in resting:
        episode.actions[10:] = 0.0
    assert moved(TransitionStore(SPEC, resting)) == 100
    train, held = hold_out(TransitionStore(SPEC, [*resting, store.episodes[10]]), 0.1)
    ages = np.concatenate([train.transition_ages, held.transition_ages])
    newest = len(store.episodes[10])
    assert len(ages) == sum(map(len, resting)) + newest
    np.testing.assert_array_equal(np.sort(ages)[:newest], np.arange(1, newest + 1))
    np.testing.assert_array_equal(np.unique(ages), np.arange(1, newest + 101))
    long_ago = np.array([len(part.between(newest + 100, np.inf).episodes) for part in (train, held)])
    assert long_ago.sum() == 1, "one episode began before all motion"
