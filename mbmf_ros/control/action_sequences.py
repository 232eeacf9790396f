"""Action sequences as tensors: shifted in time, and noise that changes slowly."""

from __future__ import annotations

import torch
from torch import Tensor


def shifted(actions: Tensor, steps: int = 1) -> Tensor:
    """Action sequences (..., H, nu) so many control steps later; the last action is repeated."""
    steps = min(steps, actions.shape[-2])
    last = actions[..., -1:, :].expand(*actions.shape[:-2], steps, -1)
    return torch.cat([actions[..., steps:, :], last], dim=-2)


def coloured(white: Tensor, beta: float) -> Tensor:
    """White noise (N, T, nu) given the power spectrum 1/f^beta, at unit variance (Timmer and Koenig, 1995)."""
    steps = white.shape[1]
    frequency = torch.fft.rfftfreq(steps)
    frequency[0] = 1.0 / steps
    scale = frequency ** (-beta / 2)
    power = 2 * scale.square().sum() - scale[0] ** 2 - (scale[-1] ** 2 if steps % 2 == 0 else 0.0)
    spectrum = torch.fft.rfft(white, dim=1) * (scale * (steps / power).sqrt())[:, None]
    return torch.fft.irfft(spectrum, n=steps, dim=1)
