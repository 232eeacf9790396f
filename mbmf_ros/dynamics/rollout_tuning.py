"""Tuning a fitted model on its own open-loop rollouts.

A model that is fitted step by step may be good at each step and still run away when it feeds on its own predictions.
Here what counts is where they lead: the error of whole rollouts, through which the gradient flows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.dataset import windows
from mbmf_ros.dynamics.device import computed_on
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots.symmetry import symmetry_group

_OUTLIER = 3.0  # errors of so many standard deviations of a step's change and more count linearly: chaos teaches little
_LARGEST_GRADIENT = 5.0
_MOST_WINDOWS = 50_000


@dataclass(frozen=True)
class RolloutTuningConfig(Ranged):
    """How a model is tuned on rollouts.

    Attributes:
        steps: length of the rollouts; 0: no tuning.
        updates: gradient steps.
        batch_size: rollouts per member and gradient step.
        learning_rate: of Adam; falls to zero along a cosine.
    """

    steps: int = ranged(0, 0, 200)
    updates: int = ranged(3000, 1)
    batch_size: int = ranged(64, 1)
    learning_rate: float = ranged(3e-4, 0.0, 1.0)


def tune(
    model: Dynamics,
    store: TransitionStore,
    config: RolloutTuningConfig,
    seed: int = 0,
    symmetries: bool = True,
    progress: Callable[[float, float], None] | None = None,
    device: torch.device | None = None,
) -> float:
    """Tune ``model`` in place on stretches of ``store`` without a fall; the normaliser stays.

    Args:
        model: fitted before.
        store: recorded episodes.
        config: how.
        seed: of the stretches and batches.
        symmetries: also learn from the images of the stretches under the robot's symmetries, one for each batch.
        progress: called about once a second with the share done and the current loss.
        device: where it is computed, the processor by default; the model is in the processor's memory afterwards.

    Returns:
        The last loss: mean over steps of half the squared error, in standard deviations of a step's change.

    Raises:
        MbmfError: no stretch is long enough, the loss is not finite, or the device's memory is full.
    """
    device = device or torch.device("cpu")
    stretches, matrices = _stretches(model, store, config.steps, seed), _images(model)
    model.requires_grad_(True)
    with computed_on(device, model):
        images = [[part.to(device) for part in image] for image in matrices] if symmetries else [None]
        loss = _descend(model, [part.to(device) for part in stretches], images, config, seed, progress)
    model.requires_grad_(False)
    if progress:
        progress(1.0, loss)
    return loss


def _descend(
    model: Dynamics,
    stretches: list[Tensor],
    images: Sequence[list[Tensor] | None],
    config: RolloutTuningConfig,
    seed: int,
    progress: Callable[[float, float], None] | None,
) -> float:
    """Take gradient steps on ``stretches``, see :func:`_stretches`, or ``images`` of them; the last loss."""
    device = stretches[0].device
    generator = torch.Generator(device).manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.updates)
    shape, reported, loss = (model.members, config.batch_size), time.monotonic(), torch.zeros(())
    for update in range(config.updates):
        rows = torch.randint(len(stretches[0]), (shape[0] * shape[1],), generator=generator, device=device)
        image = images[int(torch.randint(len(images), (), generator=generator, device=device))]
        parts = [part[rows] for part in stretches]
        if image is not None:
            parts = [part @ matrix for part, matrix in zip(parts, image, strict=True)]
        loss = _loss(model, *(part.view(*shape, *part.shape[1:]) for part in parts))
        optimiser.zero_grad(set_to_none=True)
        (loss * model.members).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _LARGEST_GRADIENT)
        optimiser.step()
        schedule.step()
        if progress and time.monotonic() - reported > 1.0:
            reported = time.monotonic()
            progress((update + 1) / config.updates, loss.item())
    if not torch.isfinite(loss) or not all(torch.isfinite(p).all() for p in model.parameters()):
        raise MbmfError("tuning on rollouts diverged: the loss is not finite; lower its learning_rate or its steps")
    return loss.item()


def _stretches(model: Dynamics, store: TransitionStore, steps: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inner states (W, H + 1, n_inner), actions (W, H, nu) and displacements (W, H, ·) of stretches."""
    profile = model.profile
    x, u = windows(store, profile, steps, _MOST_WINDOWS, seed)
    if not len(x):
        raise MbmfError(f"no recorded stretch without a fall is {steps} steps long; tune on shorter rollouts")
    before, after = (part.reshape(-1, profile.nx).double().numpy() for part in (x[:, :-1], x[:, 1:]))
    targets = torch.from_numpy(profile.targets(before, after).astype(np.float32))
    displacement = targets[:, profile.n_inner :].reshape(len(x), steps, -1)
    return x[..., profile.n_carried :].contiguous(), u, displacement


def _images(model: Dynamics) -> list[tuple[Tensor, Tensor, Tensor]]:
    """What multiplies inner states, actions and displacements from the right, for each symmetry."""
    group, n = symmetry_group(model.spec, model.profile), model.profile.n_inner
    return [
        (torch.from_numpy(inner.T.copy()), torch.from_numpy(u.T.copy()), torch.from_numpy(outputs[n:, n:].T.copy()))
        for inner, u, outputs in zip(group.inner, group.actions, group.outputs, strict=True)
    ]


def _loss(model: Dynamics, inner: Tensor, actions: Tensor, displacement: Tensor) -> Tensor:
    """Mean error of rollouts from the first of ``inner`` (E, B, H + 1, n_inner) under ``actions`` (E, B, H, nu)."""
    n_inner, n_outputs, steps = model.profile.n_inner, model.profile.n_outputs, actions.shape[2]
    state, total = inner[:, :, 0], torch.zeros((), device=inner.device)
    for step in range(steps):
        z = (torch.cat([state, actions[:, :, step]], dim=-1) - model.input_mean) / model.input_std
        change = model.network(z)[..., :n_outputs] * model.output_std + model.output_mean
        state = state + change[..., :n_inner]
        missed = [state - inner[:, :, step + 1], change[..., n_inner:] - displacement[:, :, step]]
        error = torch.cat(missed, dim=-1) / model.output_std
        total = total + functional.huber_loss(error, torch.zeros_like(error), delta=_OUTLIER)
    return total / steps
