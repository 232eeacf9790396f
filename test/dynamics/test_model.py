"""The dynamics model: imagination against a plain loop, and what the normaliser does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot

SPEC = robot("ant")
ACTIVATIONS = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
}
torch.set_num_threads(1)


def a_model(profile: str = "body", members: int = 3, seed: int = 0, **options) -> Dynamics:
    """Random weights and biases, and a normaliser with nothing at 0 or 1."""
    config = DynamicsConfig(profile=profile, members=members, hidden=8, **options)
    model = Dynamics(SPEC, config, seed)
    generator = torch.Generator().manual_seed(seed)
    n_inputs, n_outputs = len(model.input_mean), len(model.output_mean)
    inputs = 0.5 + 2 * torch.randn(200, n_inputs, generator=generator)
    outputs = -0.02 + 0.1 * torch.randn(200, n_outputs, generator=generator)
    model.set_statistics(inputs, outputs)
    for bias in model.biases:
        bias.data = 0.3 * torch.randn(bias.shape, generator=generator)
    return model.requires_grad_(False)


def plain_rollout(model: Dynamics, x0: Tensor, u: Tensor) -> np.ndarray:
    """States (K, H + 1, nx): candidate by candidate, step by step, in float64."""

    def numbers(tensor: Tensor) -> np.ndarray:
        return tensor.detach().double().numpy()

    statistics = {name: numbers(buffer) for name, buffer in model.named_buffers()}
    activation, n_inner = ACTIVATIONS[model.config.activation], model.profile.n_inner
    out = np.empty((len(u), u.shape[1] + 1, model.profile.nx))
    for k, (x, actions) in enumerate(zip(numbers(x0), numbers(u), strict=True)):
        out[k, 0] = x
        for step, action in enumerate(actions):
            z = np.concatenate([x[model.profile.n_carried :], action])
            h = (z - statistics["input_mean"]) / statistics["input_std"]
            for layer, (weight, bias) in enumerate(zip(model.weights, model.biases, strict=True)):
                h = h @ numbers(weight[k % model.members]) + numbers(bias[k % model.members])[0]
                h = activation(h) if layer < 2 else h
            y = h[: model.profile.n_outputs] * statistics["output_std"] + statistics["output_mean"]
            y = np.clip(y, statistics["output_low"], statistics["output_high"])
            x = x.copy()
            if model.profile.n_carried:
                cos, sin = np.cos(x[2]), np.sin(x[2])
                forward, left, turn = y[n_inner:]
                x[:3] += (cos * forward - sin * left, sin * forward + cos * left, turn)
            x[model.profile.n_carried :] += y[:n_inner]
            out[k, step + 1] = x
    return out


@settings(max_examples=40, deadline=None)
@given(
    profile=st.sampled_from(["body", "paper"]),
    members=st.integers(1, 5),
    candidates=st.integers(1, 11),
    horizon=st.integers(1, 6),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    probabilistic=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_imagination_is_a_plain_loop_with_member_k_mod_e(
    profile: str, members: int, candidates: int, horizon: int, activation: str, probabilistic: bool, seed: int
):
    model = a_model(profile, members, seed, activation=activation, probabilistic=probabilistic)
    generator = torch.Generator().manual_seed(seed + 1)
    x0 = torch.randn(candidates, model.profile.nx, generator=generator)
    u = torch.rand(candidates, horizon, SPEC.nu, generator=generator) * 2 - 1
    states = model.imagine(x0, u)
    assert states.shape == (candidates, horizon + 1, model.profile.nx)
    assert states.dtype == torch.float32
    np.testing.assert_allclose(states.numpy(), plain_rollout(model, x0, u), atol=2e-4)


@pytest.mark.parametrize("profile", ["body", "paper"])
def test_forward_is_the_mean_over_the_members(profile: str):
    model = a_model(profile, members=3)
    x, u = torch.randn(4, model.profile.nx), torch.rand(4, SPEC.nu) * 2 - 1
    each = [plain_rollout(model, x.repeat_interleave(3, 0), u.repeat_interleave(3, 0)[:, None])[:, 1]]
    expected = np.reshape(each, (4, 3, -1)).mean(1)
    np.testing.assert_allclose(model(x, u).numpy(), expected, atol=1e-4)


def test_a_shared_start_may_be_expanded_without_a_copy():
    model = a_model()
    x, u = torch.randn(model.profile.nx), torch.rand(7, 4, SPEC.nu)
    before = x.clone()
    states = model.imagine(x.expand(7, -1), u)
    torch.testing.assert_close(states, model.imagine(x.repeat(7, 1), u))
    torch.testing.assert_close(x, before, rtol=0, atol=0)
    torch.testing.assert_close(states[:, 0], before.repeat(7, 1), rtol=0, atol=0)


def test_changes_stay_within_what_was_seen():
    model = a_model()
    model.biases[-1].data += 1000.0  # it wants to leap
    states = model.imagine(torch.zeros(6, model.profile.nx), torch.zeros(6, 5, SPEC.nu))
    change = states.diff(dim=1)[..., 3:]
    torch.testing.assert_close(change, model.output_high[:-3].expand_as(change), rtol=1e-4, atol=1e-4)


def test_without_statistics_the_numbers_pass_unchanged():
    model = Dynamics(SPEC, DynamicsConfig(members=1, hidden=4))
    x0, u = torch.randn(3, model.profile.nx), torch.rand(3, 2, SPEC.nu)
    np.testing.assert_allclose(model.imagine(x0, u).numpy(), plain_rollout(model, x0, u), atol=1e-4)


def test_statistics_are_those_of_the_data_and_survive_constant_columns():
    model = Dynamics(SPEC, DynamicsConfig(members=1, hidden=4))
    inputs, outputs = torch.randn(50, len(model.input_mean)), torch.randn(50, len(model.output_mean))
    inputs[:, 3], outputs[:, 5] = 2.0, 0.0
    model.set_statistics(inputs, outputs)
    torch.testing.assert_close(model.input_mean, inputs.mean(0))
    torch.testing.assert_close(model.output_low, outputs.min(0).values)
    assert (model.input_std > 0).all()
    assert (model.output_std > 0).all()


def test_the_initial_weights_follow_the_seed_and_members_differ():
    one, same, other = (Dynamics(SPEC, DynamicsConfig(hidden=8), seed) for seed in (1, 1, 2))
    for a, b, c in zip(one.weights, same.weights, other.weights, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
        assert not torch.equal(a, c)
        assert not torch.equal(a[0], a[1])


def test_a_member_that_sees_nan_answers_nan_and_the_others_do_not():
    model = a_model(members=2)
    x0 = torch.zeros(4, model.profile.nx)
    x0[1, 5] = torch.nan
    finite = model.imagine(x0, torch.zeros(4, 3, SPEC.nu)).isfinite().all(-1).all(-1)
    assert finite.tolist() == [True, False, True, True]


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"activation": "rellu"}, "unknown activation 'rellu' .*did you mean 'relu'"),
        ({"profile": "bodi"}, "unknown state profile"),
        ({"members": 0}, "members: expected a number from 1"),
        ({"hidden": 0}, "hidden: expected a number from 1"),
    ],
)
def test_impossible_architectures_are_refused(wrong: dict, match: str):
    with pytest.raises(MbmfError, match=match):
        Dynamics(SPEC, dataclasses.replace(DynamicsConfig(), **wrong))
