"""From episodes to tensors: what is learnt from, what is held out, what is validated on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mbmf_ros.data.collect import CollectConfig, collect_random
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.dynamics.dataset import make_dataset, split, windows
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import profile, robot
from mbmf_ros.robots.sim import start_measurement
from mbmf_ros.robots.symmetry import symmetry_group

SPEC = robot("ant")
BODY = profile(SPEC)
torch.set_num_threads(1)


def episode(standing: list[bool], first: float = 0.0) -> Episode:
    """Row t lies at x = ``first`` + t and is fallen where ``standing`` says no; action t is t / 100 everywhere."""
    m = np.stack([start_measurement(SPEC, pose=(first + t, 0.0, 0.0)) for t in range(len(standing))])
    m[~np.array(standing), 2] = 0.1
    actions = np.repeat(np.arange(len(standing) - 1)[:, None] / 100, SPEC.nu, axis=1)
    return Episode(m, actions)


def a_store(*episodes: Episode) -> TransitionStore:
    return TransitionStore(SPEC, list(episodes))


@pytest.fixture(scope="module")
def recorded() -> TransitionStore:
    return collect_random(SPEC, 300, seed=0, config=CollectConfig(episode_steps=50), threads=1)


def test_inputs_and_outputs_are_the_rows_of_the_recording(recorded: TransitionStore):
    data = make_dataset(recorded, BODY)
    assert len(data) == recorded.transitions
    assert data.inputs.dtype == data.outputs.dtype == torch.float32
    row = 0
    for each in recorded.episodes:
        x = BODY.encode(each.measurements)
        for t in range(len(each)):
            np.testing.assert_allclose(data.inputs[row], np.concatenate([x[t, 3:], each.actions[t]]), atol=1e-5)
            np.testing.assert_allclose(data.outputs[row], BODY.targets(x[t], x[t + 1]), atol=1e-5)
            row += 1


def test_the_fall_is_learnt_and_what_follows_it_is_not():
    data = make_dataset(a_store(episode([True, True, True, False, False, True, True])), BODY)
    # Transitions 0, 1 and 2, the last one into the fall; then the one from standing again.
    assert (data.inputs[:, -1] * 100).round().tolist() == [0, 1, 2, 5]
    assert data.outputs[2, 0] == pytest.approx(0.1 - SPEC.start_height_m)


@pytest.mark.parametrize("store", [a_store(), a_store(episode([False, False, False]))])
def test_nothing_to_learn_from_is_an_error(store: TransitionStore):
    with pytest.raises(MbmfError, match="no transitions to learn from"):
        make_dataset(store, BODY)


def test_images_follow_the_original_and_belong_together(recorded: TransitionStore):
    plain, images = (make_dataset(recorded, BODY, mirrored) for mirrored in (False, True))
    group, count = symmetry_group(SPEC, BODY), len(plain)
    assert len(images) == 8 * count
    torch.testing.assert_close(images.inputs[:count], plain.inputs)
    for index in range(8):
        part = slice(index * count, (index + 1) * count)
        inner, u = plain.inputs[:, : BODY.n_inner].numpy(), plain.inputs[:, BODY.n_inner :].numpy()
        np.testing.assert_allclose(images.inputs[part, : BODY.n_inner], inner @ group.inner[index].T, atol=1e-6)
        np.testing.assert_allclose(images.inputs[part, BODY.n_inner :], u @ group.actions[index].T, atol=1e-6)
        np.testing.assert_allclose(images.outputs[part], plain.outputs.numpy() @ group.outputs[index].T, atol=1e-6)


def test_the_paper_profile_has_no_images(recorded: TransitionStore):
    assert len(make_dataset(recorded, profile(SPEC, "paper"), mirrored=True)) == recorded.transitions


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=2, max_size=15), st.floats(0.05, 0.5), st.integers(0, 99))
def test_whole_episodes_are_held_out_and_none_is_in_both(lengths: list[int], holdout: float, seed: int):
    store = a_store(*(Episode(np.zeros((n + 1, 29)), np.full((n, 8), i)) for i, n in enumerate(lengths)))
    try:
        train, held = split(store, holdout, seed)
    except MbmfError:
        assert max(lengths) > (1 - holdout) * sum(lengths) or len(lengths) == 2  # too few, too uneven
        return
    ids = [sorted(int(e.actions[0, 0]) for e in part.episodes) for part in (train, held)]
    assert sorted(ids[0] + ids[1]) == list(range(len(lengths)))
    assert held.transitions >= holdout * store.transitions
    assert held.transitions < holdout * store.transitions + max(lengths)
    again = split(store, holdout, seed)
    assert [id(e) for e in again[1].episodes] == [id(e) for e in held.episodes]


def test_one_episode_is_trained_on_and_nothing_held_out_if_so_wanted():
    single = a_store(episode([True] * 5))
    train, held = split(single, 0.1, 0)
    assert (len(train.episodes), len(held.episodes)) == (1, 0)
    train, held = split(a_store(*(episode([True] * 5) for _ in range(4))), 0.0, 0)
    assert (len(train.episodes), len(held.episodes)) == (4, 0)


def test_an_empty_store_cannot_be_split():
    with pytest.raises(MbmfError, match="too few"):
        split(a_store(), 0.1, 0)


@pytest.mark.parametrize("horizon", [1, 3, 5, 6])
def test_windows_are_all_stretches_before_the_fall(horizon: int):
    store = a_store(
        episode([True] * 6 + [False, True, True, True, True, True, True, True]), episode([True] * 5, first=100.0)
    )
    x, u = windows(store, BODY, horizon, count=1000, seed=0)
    first = [start for start in range(6) if start + horizon <= 5]
    second = [100 + start for start in range(5) if start + horizon <= 4]
    assert sorted(x[:, 0, 0].tolist()) == first + second
    assert x.shape == (len(x), horizon + 1, BODY.nx)
    assert u.shape == (len(x), horizon, SPEC.nu)
    for states, actions in zip(x, u, strict=True):
        np.testing.assert_allclose(states.diff(dim=0)[:, 0], 1.0)
        start = float(states[0, 0]) % 100
        np.testing.assert_allclose(actions[:, 0] * 100, start + np.arange(horizon), atol=1e-5)


def test_windows_are_limited_and_drawn_from_the_seed(recorded: TransitionStore):
    one, same, other = (windows(recorded, BODY, 5, 20, seed)[0] for seed in (0, 0, 1))
    assert len(one) == 20
    torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert not torch.equal(one, other)
