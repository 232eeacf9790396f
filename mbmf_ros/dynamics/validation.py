"""How well a model predicts: one step, and open loop over a horizon."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.dataset import windows
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.robots import StateProfile

HORIZONS = (1, 5, 10, 20)


@dataclass(frozen=True)
class Validation:
    """Open-loop errors on held-out data.

    Attributes:
        windows: number of stretches tried.
        e_h: the paper's e(H) per horizon (section 2.6 of the method): mean over stretches and steps of half the squared
            error, states standardised to the held-out data so that units do not mix.
        nrmse: per horizon, RMSE of the predicted change over the horizon, as a share of the RMS change; mean over the
            numbers of the inner state and the displacement.
        nrmse_by_group: the same per named part of the state.
    """

    windows: int
    e_h: dict[int, float]
    nrmse: dict[int, float]
    nrmse_by_group: dict[str, dict[int, float]]


@torch.no_grad()
def validate(
    model: Dynamics, store: TransitionStore, horizons: tuple[int, ...] = HORIZONS, count: int = 512, seed: int = 0
) -> Validation:
    """Open-loop prediction of held-out stretches by the ensemble's mean, against what happened.

    Horizons without any long enough stretch are left out.
    """
    profile = model.profile
    e_h, nrmse, groups = {}, {}, {name: {} for name in profile.slices}
    tried = 0
    for horizon in horizons:
        truth, actions = windows(store, profile, horizon, count, seed)
        if not len(truth):
            continue
        tried = max(tried, len(truth))
        predicted = mean_rollout(model, truth[:, 0], actions)
        inner = truth[..., profile.n_carried :]
        scale = inner.reshape(-1, inner.shape[-1]).std(0).clamp_min(1e-6)
        error = (predicted[..., profile.n_carried :] - inner)[:, 1:] / scale
        e_h[horizon] = float(0.5 * error.square().sum(-1).mean())
        per_number = relative_error(profile, predicted, truth)
        nrmse[horizon] = float(per_number.mean())
        for name, part in profile.slices.items():
            groups[name][horizon] = float(per_number[part].mean())
    return Validation(tried, e_h, nrmse, groups)


def mean_rollout(model: Dynamics, x0: Tensor, u: Tensor) -> Tensor:
    """States (W, H + 1, nx): every member rolled out by itself, then the mean over members."""
    return member_rollouts(model, x0, u).mean(0)


@torch.no_grad()
def member_rollouts(model: Dynamics, x0: Tensor, u: Tensor) -> Tensor:
    """States (E, W, H + 1, nx) as every member predicts them from ``x0`` (W, nx) under ``u`` (W, H, nu)."""
    members = model.members
    rollouts = model.imagine(x0.repeat_interleave(members, 0), u.repeat_interleave(members, 0))
    return rollouts.reshape(len(x0), members, *rollouts.shape[1:]).transpose(0, 1)


def relative_error(profile: StateProfile, predicted: Tensor, truth: Tensor) -> Tensor:
    """RMSE of the change from first to last state over its RMS, per number of the state, (nx,)."""
    change = wrapped(profile, truth[:, -1] - truth[:, 0])
    error = wrapped(profile, predicted[:, -1] - truth[:, -1])
    return error.square().mean(0).sqrt() / change.square().mean(0).sqrt().clamp_min(1e-6)


def wrapped(profile: StateProfile, change: Tensor) -> Tensor:
    """Changes of states (..., nx) with the heading's within +-pi."""
    part = profile.slices.get("yaw")
    if part is None:
        return change
    change = change.clone()
    change[..., part] = (change[..., part] + math.pi) % (2 * math.pi) - math.pi
    return change


@torch.no_grad()
def one_step_error(model: Dynamics, inputs: Tensor, outputs: Tensor) -> float:
    """RMSE of the ensemble's mean on raw inputs and outputs (N, ·), standardised; mean over the outputs."""
    if not len(inputs):
        return float(np.nan)
    z = ((inputs - model.input_mean) / model.input_std).expand(model.members, -1, -1)
    mean = model.network(z)[..., : model.profile.n_outputs].mean(0)
    error = mean - (outputs - model.output_mean) / model.output_std
    return float(error.square().mean(0).sqrt().mean())
