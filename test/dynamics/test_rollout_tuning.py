"""Tuning on rollouts: predictions that feed on themselves stay nearer to what happened."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from mbmf_ros.config import override
from mbmf_ros.data.collect import CollectConfig, collect_random
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics import rollout_tuning
from mbmf_ros.dynamics.dataset import make_dataset, split, windows
from mbmf_ros.dynamics.learn import train_model
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.dynamics.rollout_tuning import RolloutTuningConfig, tune
from mbmf_ros.dynamics.training import TrainConfig, fit
from mbmf_ros.dynamics.validation import validate
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot

torch.set_num_threads(1)
SPEC = robot("ant")
SMALL = DynamicsConfig(members=2, hidden=32)
QUICK = TrainConfig(epochs=0, min_updates=400, batch_size=64)
TUNING = RolloutTuningConfig(steps=8, updates=150, batch_size=32, learning_rate=1e-3)


@pytest.fixture(scope="module")
def parts() -> tuple[TransitionStore, TransitionStore]:
    recorded = collect_random(SPEC, 4000, seed=0, config=CollectConfig(episode_steps=60), threads=1)
    return split(recorded, 0.2, 0)


@pytest.fixture(scope="module")
def fitted(parts: tuple[TransitionStore, TransitionStore]) -> Dynamics:
    model = Dynamics(SPEC, SMALL)
    fit(model, make_dataset(parts[0], model.profile, True), None, QUICK)
    return model


def test_rollouts_on_held_out_motion_become_more_accurate(parts: tuple, fitted: Dynamics):
    tuned = copy.deepcopy(fitted)
    told: list[tuple[float, float]] = []
    loss = tune(tuned, parts[0], TUNING, progress=lambda *values: told.append(values))
    before, after = validate(fitted, parts[1], (8,)).nrmse[8], validate(tuned, parts[1], (8,)).nrmse[8]
    assert after < 0.97 * before
    assert told[-1] == (1.0, loss)
    assert not any(p.requires_grad for p in tuned.parameters())
    torch.testing.assert_close(tuned.output_std, fitted.output_std)  # the normaliser is not touched


def test_the_loss_is_that_of_the_models_own_rollouts(parts: tuple, fitted: Dynamics):
    model, steps, count = fitted, 5, 12
    profile, n = model.profile, model.profile.n_inner
    inner, u, displacement = rollout_tuning._stretches(model, parts[0], steps, seed=3)
    x, same_u = windows(parts[0], profile, steps, 50_000, 3)
    assert torch.equal(u, same_u)
    rows = torch.arange(model.members * count)
    shaped = [part[rows].view(model.members, count, *part.shape[1:]) for part in (inner, u, displacement)]
    loss = float(rollout_tuning._loss(model, *shaped).detach())
    # Candidate k is imagined by member k % E: put each member's rows where imagine() looks for them.
    order = rows.view(model.members, count).T.flatten()
    imagined = model.imagine(x[order, 0], u[order])
    missed = (imagined - x[order])[:, 1:, profile.n_carried :] / model.output_std[:n]
    turn = [profile.targets(a[:-1].double().numpy(), a[1:].double().numpy())[:, n:] for a in imagined]
    away = (torch.from_numpy(np.stack(turn)).float() - displacement[order]) / model.output_std[n:]
    errors = torch.cat([missed, away], dim=-1)
    expected = torch.nn.functional.huber_loss(errors, torch.zeros_like(errors), delta=rollout_tuning._OUTLIER)
    assert loss == pytest.approx(float(expected), rel=1e-3)


def test_the_seed_decides(parts: tuple, fitted: Dynamics):
    short = dataclasses.replace(TUNING, updates=5)
    models = [copy.deepcopy(fitted) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        tune(model, parts[0], short, seed)
    first, again, other = (model.weights[0] for model in models)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_training_tunes_where_asked_and_says_so(parts: tuple):
    training = override(QUICK, {"min_updates": 20, "rollouts": {"steps": 4, "updates": 3, "batch_size": 8}}, "training")
    shares: list[float] = []
    _, info, _, report = train_model(parts[0], SMALL, training, progress=lambda share, _: shares.append(share))
    assert info.extra["training"]["rollouts"]["steps"] == 4
    assert info.one_step_error == report.one_step_error
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_what_cannot_be_tuned_on_is_named(parts: tuple, fitted: Dynamics):
    with pytest.raises(MbmfError, match="no recorded stretch without a fall is 100 steps long"):
        tune(copy.deepcopy(fitted), parts[0], dataclasses.replace(TUNING, steps=100))
    broken = copy.deepcopy(fitted)
    broken.weights[0].data[:] = torch.inf
    with pytest.raises(MbmfError, match="diverged"):
        tune(broken, parts[0], dataclasses.replace(TUNING, updates=2))
