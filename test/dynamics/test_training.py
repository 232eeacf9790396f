"""Fitting on the real ant's data: it learns, it is reproducible, and it says when it does not work."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from mbmf_ros.data.collect import CollectConfig, collect_random
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.dataset import Dataset, make_dataset, split
from mbmf_ros.dynamics.learn import train_model
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.dynamics.training import TrainConfig, fit
from mbmf_ros.dynamics.validation import mean_rollout, validate
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import profile, robot
from mbmf_ros.robots.sim import start_measurement

SPEC = robot("ant")
BODY = profile(SPEC)
SMALL = DynamicsConfig(members=2, hidden=32)
QUICK = TrainConfig(epochs=1, min_updates=400, batch_size=64, symmetries=False)
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def recorded() -> TransitionStore:
    return collect_random(SPEC, 4000, seed=0, config=CollectConfig(episode_steps=60), threads=1)


@pytest.fixture(scope="module")
def parts(recorded: TransitionStore) -> tuple[TransitionStore, TransitionStore]:
    return split(recorded, 0.2, 0)


@pytest.fixture(scope="module")
def data(parts: tuple[TransitionStore, TransitionStore]) -> tuple[Dataset, Dataset]:
    model = Dynamics(SPEC, SMALL)
    return make_dataset(parts[0], model.profile), make_dataset(parts[1], model.profile)


def test_what_is_learnt_beats_standing_still_and_the_mean(
    parts: tuple[TransitionStore, TransitionStore], data: tuple[Dataset, Dataset]
):
    train, held = data
    model, untrained = Dynamics(SPEC, SMALL), Dynamics(SPEC, SMALL)
    untrained.set_statistics(train.inputs, train.outputs)
    for weight in untrained.weights:  # predicts the mean change, always
        weight.data.zero_()
    report = fit(model, train, held, QUICK)
    assert report.updates == 400
    assert report.loss < 0.35  # 0.5 is the loss of the mean
    assert report.one_step_error < 0.85  # the mean has about 1
    learnt, mean = (validate(each, parts[1], (1, 5)) for each in (model, untrained))
    for horizon in (1, 5):
        assert learnt.nrmse[horizon] < 0.9  # 1 is the error of "nothing changes"
        assert learnt.nrmse[horizon] < mean.nrmse[horizon]
        assert learnt.e_h[horizon] < mean.e_h[horizon]
    assert learnt.nrmse_by_group["joint_position"][1] < 0.8


def test_the_seed_decides_everything(data: tuple[Dataset, Dataset]):
    short = dataclasses.replace(QUICK, min_updates=15, epochs=0, input_noise=0.01, target_noise=0.01)
    weights = []
    for seed in (3, 3, 4):
        model = Dynamics(SPEC, SMALL, seed=0)
        fit(model, data[0], None, short, seed)
        weights.append(torch.cat([w.detach().ravel() for w in model.weights]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("settings", "recorded_rows", "updates"),
    [
        ({"epochs": 3, "min_updates": 0}, 640, 30),
        ({"epochs": 3, "min_updates": 40}, 640, 40),
        ({"epochs": 2, "min_updates": 0}, 320, 10),  # mirror images make no epoch longer
    ],
)
def test_epochs_count_recorded_transitions(
    data: tuple[Dataset, Dataset], settings: dict, recorded_rows: int, updates: int
):
    model = Dynamics(SPEC, SMALL)
    report = fit(model, data[0], None, dataclasses.replace(QUICK, **settings), recorded=recorded_rows)
    assert report.updates == updates
    assert np.isnan(report.one_step_error)


def test_a_warm_start_follows_the_data_and_goes_on_from_what_was_learnt(data: tuple[Dataset, Dataset]):
    train, held = data
    model = Dynamics(SPEC, SMALL)
    before = fit(model, train, held, QUICK)
    model.requires_grad_(False)  # as models are when they come from a file
    other = Dataset(train.inputs[:500] * 1.5 + 0.1, train.outputs[:500] * 2)
    report = fit(model, other, held, dataclasses.replace(QUICK, min_updates=1, epochs=0), warm_start=True)
    torch.testing.assert_close(model.input_mean, other.inputs.mean(0))
    torch.testing.assert_close(model.output_high, other.outputs.amax(0))
    # The error is standardised: to outputs that are twice as large now.
    assert report.one_step_error == pytest.approx(before.one_step_error / 2, rel=0.1)


def test_a_new_normaliser_does_not_change_predictions(data: tuple[Dataset, Dataset]):
    train, _ = data
    model = Dynamics(SPEC, SMALL)
    model.set_statistics(train.inputs, train.outputs)
    x = torch.from_numpy(BODY.encode(start_measurement(SPEC, np.random.default_rng(0), 0.1))).float()[None]
    u = torch.full((1, SPEC.nu), 0.3)
    before = model(x, u)
    model.renormalise(train.inputs * 1.5 + 0.1, train.outputs * 2)
    torch.testing.assert_close(model(x, u), before, atol=1e-4, rtol=1e-4)


def test_rows_are_drawn_by_their_weights():
    """Two kinds of rows that contradict each other: the model learns the one with the weight."""
    model = Dynamics(SPEC, dataclasses.replace(SMALL, members=1))
    inputs = torch.randn(400, len(model.input_mean), generator=torch.Generator().manual_seed(0))
    outputs = torch.ones(400, len(model.output_mean))
    outputs[200:] = -1.0
    weights = torch.tensor([1.0, 0.0]).repeat_interleave(200)
    quick = dataclasses.replace(QUICK, learning_rate=1e-2)
    fit(model, Dataset(inputs, outputs), None, quick, weights=weights)
    x = torch.zeros(1, model.profile.nx)
    change = model.imagine(x, torch.zeros(1, 1, SPEC.nu))[0, 1] - x[0]
    assert (change[model.profile.n_carried :] > 0.5).all()


def test_the_likelihood_learns_the_mean_and_tells_noisy_from_quiet_outputs():
    config = DynamicsConfig(members=2, hidden=16, probabilistic=True)
    model = Dynamics(SPEC, config)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2000, len(model.input_mean), generator=generator)
    outputs = inputs[:, :1].repeat(1, len(model.output_mean))
    outputs[:, 1] = torch.randn(2000, generator=generator)  # noise only
    report = fit(model, Dataset(inputs, outputs), None, dataclasses.replace(QUICK, learning_rate=5e-3))
    assert report.loss < -0.3
    _, raw = model.network(torch.zeros(2, 1, len(model.input_mean))).detach().chunk(2, dim=-1)
    assert (raw[:, 0, 0] < raw[:, 0, 1] - 1).all()
    quiet = model(torch.zeros(1, model.profile.nx), torch.zeros(1, SPEC.nu))
    assert abs(float(quiet[0, 3])) < 0.3


def test_training_on_infinite_targets_says_that_it_diverged(data: tuple[Dataset, Dataset]):
    train, _ = data
    outputs = train.outputs.clone()
    outputs[0, 0] = torch.inf
    with pytest.raises(MbmfError, match="training diverged"):
        fit(Dynamics(SPEC, SMALL), Dataset(train.inputs, outputs), None, dataclasses.replace(QUICK, min_updates=5))


@pytest.mark.parametrize("device", ["meta", "nonsense", "cuda:99"])
def test_a_device_that_cannot_compute_here_is_named_before_anything_changes(data: tuple[Dataset, Dataset], device: str):
    model = Dynamics(SPEC, SMALL)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(MbmfError, match=f"device: expected one that PyTorch can use here.*{device}"):
        fit(model, data[0], None, dataclasses.replace(QUICK, device=device))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_progress_ends_at_one(data: tuple[Dataset, Dataset]):
    told: list[tuple[float, float]] = []
    short = dataclasses.replace(QUICK, min_updates=5, epochs=0)
    report = fit(Dynamics(SPEC, SMALL), data[0], None, short, progress=lambda *values: told.append(values))
    assert told[-1] == (1.0, report.loss)


def test_a_trained_model_knows_how_it_was_made(recorded: TransitionStore):
    training = dataclasses.replace(QUICK, min_updates=30, epochs=0)
    model, info, validation, report = train_model(recorded, SMALL, training, seed=5, extra={"note": "x"})
    assert info.transitions == 4000
    assert info.open_loop_error == validation.nrmse[info.open_loop_steps]
    assert info.one_step_error == report.one_step_error
    assert info.extra["note"] == "x"
    assert info.extra["seed"] == 5
    assert info.extra["training"] == dataclasses.asdict(training)
    assert not any(p.requires_grad for p in model.parameters())


def test_too_short_episodes_leave_the_open_loop_error_out():
    store = collect_random(SPEC, 60, seed=0, config=CollectConfig(episode_steps=6), threads=1)
    _, info, validation, _ = train_model(store, SMALL, dataclasses.replace(QUICK, min_updates=5, epochs=0))
    assert sorted(validation.nrmse) == [1, 5]
    assert np.isnan(info.open_loop_error)


def test_errors_are_relative_to_the_change_and_wrap_at_the_seam(parts: tuple[TransitionStore, TransitionStore]):
    """The error measures by hand, for a model that predicts no change at all."""
    model = Dynamics(SPEC, SMALL)
    for parameter in model.parameters():
        parameter.data.zero_()
    turned = TransitionStore(SPEC)
    for episode in parts[1].episodes:  # everything faces about backwards, so that headings cross +-pi
        m = episode.measurements.copy()
        w, x, y, z = m[:, 3:7].T
        m[:, 3:7] = np.stack([-z, -y, x, w], axis=1)
        turned.episodes.append(dataclasses.replace(episode, measurements=m))
    for store in (parts[1], turned):
        validation = validate(model, store, (3,))
        for name, errors in validation.nrmse_by_group.items():
            assert errors[3] == pytest.approx(1.0, abs=1e-4), name
        assert validation.nrmse[3] == pytest.approx(1.0, abs=1e-4)
        assert validation.windows > 100


def test_the_mean_rollout_averages_whole_rollouts_of_single_members(data: tuple[Dataset, Dataset]):
    model = Dynamics(SPEC, DynamicsConfig(members=3, hidden=8)).requires_grad_(False)
    x0, u = torch.randn(5, model.profile.nx), torch.rand(5, 4, SPEC.nu)
    singles = []
    for member in range(3):
        single = Dynamics(SPEC, DynamicsConfig(members=1, hidden=8)).requires_grad_(False)
        for target, source in zip(single.parameters(), model.parameters(), strict=True):
            target.copy_(source[member : member + 1])
        singles.append(single.imagine(x0, u))
    torch.testing.assert_close(mean_rollout(model, x0, u), torch.stack(singles).mean(0), rtol=1e-4, atol=1e-5)
