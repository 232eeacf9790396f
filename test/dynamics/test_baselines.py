"""Baselines: nothing changes, and a linear model finds a linear robot."""

from __future__ import annotations

import torch

from mbmf_ros.dynamics.baselines import LinearModel, Persistence
from mbmf_ros.dynamics.dataset import Dataset
from mbmf_ros.robots import profile, robot

SPEC = robot("ant")
BODY = profile(SPEC)
GENERATOR = torch.Generator().manual_seed(0)


def test_persistence_stays():
    x0 = torch.randn(3, BODY.nx, generator=GENERATOR)
    x = Persistence(BODY).imagine(x0, torch.zeros(3, 5, SPEC.nu))
    assert x.shape == (3, 6, BODY.nx)
    assert (x == x0[:, None]).all()


def test_a_linear_robot_is_predicted_exactly_within_the_range_seen():
    inputs = torch.randn(3000, BODY.n_inner + SPEC.nu, generator=GENERATOR)
    gain = 0.05 * torch.randn(inputs.shape[1], BODY.n_outputs, generator=GENERATOR)
    model = LinearModel(BODY, Dataset(inputs, inputs @ gain + 0.1), ridge=0.0)
    x0 = 0.2 * torch.randn(8, BODY.nx, generator=GENERATOR)
    u = 0.2 * torch.randn(8, 2, SPEC.nu, generator=GENERATOR)
    x = model.imagine(x0, u)
    for step in range(2):
        inner = x[:, step, 3:]
        change = torch.cat([inner, u[:, step]], dim=1) @ gain + 0.1
        torch.testing.assert_close(x[:, step + 1, 3:] - inner, change[:, : BODY.n_inner], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(x[:, step + 1, 2] - x[:, step, 2], change[:, -1], rtol=1e-3, atol=1e-4)
    far = model.imagine(1e3 * x0, u)
    largest = (inputs @ gain + 0.1)[:, : BODY.n_inner].abs().amax(0)
    assert ((far[:, 1, 3:] - far[:, 0, 3:]).abs() <= largest + 1e-2).all()
