"""Whether an ensemble knows what it does not know, and whether a model ranks plans as reality does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mbmf_ros.dynamics.validation import wrapped
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import StateProfile


@dataclass(frozen=True)
class Calibration:
    """Errors of the ensemble's mean against the spread of its members, both as shares of the RMS change.

    Attributes:
        ratio: RMS error over RMS spread (standard deviation of the members); above 1 the ensemble is overconfident.
        coverage_68, coverage_95: share of the true values within 1 and 1.96 spreads of the mean; 0.68 and 0.95 would be
            right for Gaussian errors.
        bin_spread, bin_error: RMS spread and RMS error in bins of equal numbers of predictions, by spread.
    """

    ratio: float
    coverage_68: float
    coverage_95: float
    bin_spread: np.ndarray
    bin_error: np.ndarray


def calibrate(profile: StateProfile, members: Tensor, truth: Tensor, horizon: int, bins: int = 10) -> Calibration:
    """Calibration after ``horizon`` steps.

    Args:
        profile: of the states.
        members: rollout of every member, (E, W, H + 1, nx).
        truth: what happened, (W, H + 1, nx).
        horizon: at most H.
        bins: of :attr:`Calibration.bin_spread`.

    Raises:
        MbmfError: a single network has no spread.
    """
    if len(members) < 2:
        raise MbmfError(f"expected an ensemble, at least 2 members, to calibrate its spread; got {len(members)}")
    scale = wrapped(profile, truth[:, horizon] - truth[:, 0]).square().mean(0).sqrt().clamp_min(1e-6)
    after = members[:, :, horizon]
    error = (wrapped(profile, after.mean(0) - truth[:, horizon]) / scale).abs().flatten()
    spread = (after.std(0) / scale).flatten()
    parts = torch.arange(len(spread)).chunk(bins)
    order = spread.argsort()

    def rms(values: Tensor) -> float:
        return math.sqrt(float(values.square().mean()))

    return Calibration(
        ratio=rms(error) / max(rms(spread), 1e-12),
        coverage_68=float((error <= spread).float().mean()),
        coverage_95=float((error <= 1.96 * spread).float().mean()),
        bin_spread=np.array([rms(spread[order[part]]) for part in parts]),
        bin_error=np.array([rms(error[order[part]]) for part in parts]),
    )


def rank_correlation(predicted: np.ndarray, true: np.ndarray) -> float:
    """Spearman's rank correlation of two vectors (N,); equal values share their mean rank. NaN if one is constant."""
    a, b = _ranks(predicted), _ranks(true)
    a, b = a - a.mean(), b - b.mean()
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / norm if norm > 0 else math.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return (last - (counts - 1) / 2)[group]
