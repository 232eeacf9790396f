"""Random actions: bounds, holding, and the spectrum of coloured noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbmf_ros.data.exploration import KINDS, ExplorationConfig, coloured_noise, random_actions
from mbmf_ros.errors import MbmfError


@settings(deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    steps=st.integers(1, 300),
    nu=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    beta=st.floats(0.0, 2.0),
)
def test_actions_have_their_shape_stay_in_bounds_and_depend_on_the_seed_alone(
    kind: str, steps: int, nu: int, seed: int, beta: float
):
    config = ExplorationConfig(kind=kind, beta=beta)
    actions = random_actions(config, np.random.default_rng(seed), steps, nu)
    assert actions.shape == (steps, nu)
    assert np.abs(actions).max() <= 1.0
    np.testing.assert_array_equal(actions, random_actions(config, np.random.default_rng(seed), steps, nu))


def test_uniform_actions_fill_the_range_evenly():
    actions = random_actions(ExplorationConfig(kind="uniform"), np.random.default_rng(0), 20_000, 2)
    counts, _ = np.histogram(actions, bins=10, range=(-1, 1))
    np.testing.assert_allclose(counts, 4000, rtol=0.1)


@settings(deadline=None)
@given(max_hold=st.integers(1, 8), seed=st.integers(0, 1000))
def test_held_actions_change_together_after_a_fixed_time(max_hold: int, seed: int):
    actions = random_actions(ExplorationConfig(kind="held", max_hold=max_hold), np.random.default_rng(seed), 100, 3)
    changed = np.any(np.diff(actions, axis=0) != 0, axis=1)
    holds = np.diff(np.flatnonzero(changed))
    assert 1 <= holds.min() == holds.max() <= max_hold
    np.testing.assert_array_equal(changed, np.all(np.diff(actions, axis=0) != 0, axis=1))


def test_every_rollout_of_mixed_actions_has_an_amplitude_of_its_own():
    config = ExplorationConfig(min_amplitude=0.3, max_amplitude=0.6)
    rollouts = [random_actions(config, np.random.default_rng(seed), 400, 4) for seed in range(200)]
    held = [
        float(np.abs(actions).max()) for actions in rollouts if np.any(np.all(np.diff(actions, axis=0) == 0, axis=1))
    ]
    assert len(held) > 80
    assert max(held) <= 0.6
    assert min(held) > 0.27
    assert np.std(held) > 0.05
    assert len(held) < 200, "none was coloured"


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_coloured_noise_has_unit_variance_and_a_power_law_spectrum(beta: float):
    rng = np.random.default_rng(1)
    noise = np.stack([coloured_noise(rng, 512, 4, beta) for _ in range(200)])
    assert noise.shape == (200, 512, 4)
    assert noise.std() == pytest.approx(1.0, rel=0.02)
    assert abs(noise.mean()) < 0.1
    power = np.mean(np.abs(np.fft.rfft(noise, axis=1)) ** 2, axis=(0, 2))[1:-1]
    slope, _ = np.polyfit(np.log(np.fft.rfftfreq(512)[1:-1]), np.log(power), 1)
    assert slope == pytest.approx(-beta, abs=0.03)


def test_channels_of_coloured_noise_are_independent():
    noise = np.concatenate([coloured_noise(np.random.default_rng(seed), 64, 3, 1.0) for seed in range(500)])
    correlation = np.corrcoef(noise.T) - np.eye(3)
    assert np.abs(correlation).max() < 0.06


def test_an_unknown_kind_is_named_with_the_nearest_one():
    with pytest.raises(MbmfError, match="did you mean 'coloured'"):
        random_actions(ExplorationConfig(kind="colored"), np.random.default_rng(0), 3, 2)
