"""Fitting a dynamics model: every member of the ensemble in one batched computation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.dynamics.dataset import Dataset
from mbmf_ros.dynamics.device import computed_on, usable_device
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.dynamics.rollout_tuning import RolloutTuningConfig
from mbmf_ros.dynamics.validation import one_step_error
from mbmf_ros.errors import MbmfError


@dataclass(frozen=True)
class TrainConfig(Ranged):
    """How a model is fitted.

    Attributes:
        epochs: passes over the recorded transitions (their mirror images do not count).
        min_updates: at least this many gradient steps, however little data there is.
        batch_size: transitions per member and gradient step.
        learning_rate: of Adam; falls to zero along a cosine if ``cosine``.
        cosine: see above; the paper's rate is constant.
        input_noise, target_noise: standard deviation of zero-mean Gaussian noise on standardised inputs and targets
            (paper, section IV-A).
        symmetries: also learn from the images of all data under the robot's symmetries.
        holdout: share of the transitions, in whole episodes, that is kept for validation.
        device: where it is computed, as PyTorch names it: ``cpu``, ``cuda``, ``cuda:1``.
        rollouts: what :func:`mbmf_ros.dynamics.learn.train_model` does after that.
    """

    epochs: int = ranged(50, 0)
    min_updates: int = ranged(12000, 0)
    batch_size: int = ranged(256, 1)
    learning_rate: float = ranged(1e-3, 0.0, 1.0)
    cosine: bool = True
    input_noise: float = ranged(0.0, 0.0)
    target_noise: float = ranged(0.0, 0.0)
    symmetries: bool = True
    holdout: float = ranged(0.1, 0.0, 0.9)
    device: str = "cpu"
    rollouts: RolloutTuningConfig = field(default_factory=RolloutTuningConfig)


@dataclass(frozen=True)
class FitReport:
    """What a fit did: gradient steps, final training loss, standardised one-step RMSE on held-out data, time [s]."""

    updates: int
    loss: float
    one_step_error: float
    wall_s: float


def fit(
    model: Dynamics,
    train: Dataset,
    held_out: Dataset | None,
    config: TrainConfig,
    seed: int = 0,
    recorded: int | None = None,
    warm_start: bool = False,
    weights: Tensor | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> FitReport:
    """Fit ``model`` in place; wherever it is computed, model and data are in the processor's memory before and after.

    Args:
        model: the model.
        train: training data, with mirror images if wanted.
        held_out: for the one-step error.
        config: how.
        seed: of batches and noise.
        recorded: transitions in ``train`` not counting mirror images (what an epoch means); all by default.
        warm_start: go on from the weights of a model that has been fitted before; the normaliser follows the data.
        weights: relative probability (N,) with which each row of ``train`` is drawn; all alike by default.
        progress: called about once a second with the share done and the current loss.

    Raises:
        MbmfError: the loss is not finite, or the device cannot be used.
    """
    started, device = time.monotonic(), usable_device(config.device)
    model.requires_grad_(True)  # a model from a file is frozen
    if warm_start:
        model.renormalise(train.inputs, train.outputs)
    else:
        model.set_statistics(train.inputs, train.outputs)
    z = (train.inputs - model.input_mean) / model.input_std
    y = (train.outputs - model.output_mean) / model.output_std
    pairs, n_inputs = torch.cat([z, y], dim=1), z.shape[1]  # side by side: a batch is one gather
    updates = max(config.min_updates, config.epochs * (recorded or len(train)) // config.batch_size)
    with computed_on(device, model):
        final = _descend(model, pairs.to(device), n_inputs, updates, config, seed, weights, progress)
    if progress:
        progress(1.0, final)
    error = one_step_error(model, held_out.inputs, held_out.outputs) if held_out else float("nan")
    return FitReport(updates, final, error, time.monotonic() - started)


def _descend(
    model: Dynamics,
    pairs: Tensor,
    n_inputs: int,
    updates: int,
    config: TrainConfig,
    seed: int,
    weights: Tensor | None,
    progress: Callable[[float, float], None] | None,
) -> float:
    """Take gradient steps on standardised inputs and outputs, side by side in ``pairs`` (N, ·); the last loss."""
    device = pairs.device
    generator = torch.Generator(device).manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, updates) if config.cosine else None
    cumulated = None if weights is None else weights.double().cumsum(0).to(device)
    reported, loss = time.monotonic(), torch.zeros(())
    shape = model.members, config.batch_size
    for update in range(updates):
        if cumulated is None:
            rows = torch.randint(len(pairs), shape, generator=generator, device=device)
        else:
            draws = torch.rand(shape, generator=generator, dtype=torch.float64, device=device)
            rows = torch.searchsorted(cumulated, draws * cumulated[-1], right=True).clamp_max(len(pairs) - 1)
        chosen = pairs.index_select(0, rows.flatten()).view(*rows.shape, -1)  # (E, B, ·)
        batch, target = chosen[..., :n_inputs], chosen[..., n_inputs:]
        if config.input_noise:
            batch = batch + config.input_noise * torch.randn(batch.shape, generator=generator, device=device)
        if config.target_noise:
            target = target + config.target_noise * torch.randn(target.shape, generator=generator, device=device)
        loss = model.loss(batch, target).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if schedule:
            schedule.step()
        if progress and time.monotonic() - reported > 1.0:
            reported = time.monotonic()
            progress((update + 1) / updates, loss.item() / model.members)
    final = loss.item() / model.members
    if not torch.isfinite(loss) or not all(torch.isfinite(p).all() for p in model.parameters()):
        raise MbmfError(
            "training diverged: the loss is not finite; lower learning_rate or look for outliers in the data"
        )
    return final
