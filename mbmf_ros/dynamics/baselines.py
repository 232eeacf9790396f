"""What a learnt model must beat: the state that stays as it is, and a linear model."""

from __future__ import annotations

import torch
from torch import Tensor

from mbmf_ros.dynamics.dataset import Dataset
from mbmf_ros.robots import StateProfile


class Persistence:
    """Nothing changes.

    Args:
        profile: of the states.
    """

    def __init__(self, profile: StateProfile):
        self.profile = profile

    def imagine(self, x0: Tensor, u: Tensor) -> Tensor:
        """States (K, H + 1, nx) from ``x0`` (K, nx) under actions ``u`` (K, H, nu)."""
        return x0[:, None].expand(-1, u.shape[1] + 1, -1).clone()


class LinearModel:
    """The same inputs and outputs as the network's, by ridge regression; predictions stay in the range seen, too.

    Args:
        profile: of the states.
        data: to fit to.
        ridge: weight of the squared coefficients, per row of standardised data.
    """

    def __init__(self, profile: StateProfile, data: Dataset, ridge: float = 1e-4):
        self.profile = profile
        self._mean, self._std = data.inputs.mean(0), data.inputs.std(0).clamp_min(1e-6)
        z = ((data.inputs - self._mean) / self._std).double()
        self._offset = data.outputs.mean(0)
        moment = z.T @ z + ridge * len(z) * torch.eye(z.shape[1], dtype=torch.float64)
        self._weight = torch.linalg.solve(moment, z.T @ (data.outputs - self._offset).double()).float()
        self._low, self._high = data.outputs.amin(0), data.outputs.amax(0)

    def imagine(self, x0: Tensor, u: Tensor) -> Tensor:
        """States (K, H + 1, nx) from ``x0`` (K, nx) under actions ``u`` (K, H, nu)."""
        n_inner = self.profile.n_inner
        inner, displacement = [x0[:, self.profile.n_carried :]], []
        for step in range(u.shape[1]):
            z = (torch.cat([inner[-1], u[:, step]], dim=1) - self._mean) / self._std
            y = (z @ self._weight + self._offset).clamp(self._low, self._high)
            inner.append(inner[-1] + y[:, :n_inner])
            displacement.append(y[:, n_inner:])
        return self.profile.unroll(x0, torch.stack(inner, dim=1), torch.stack(displacement, dim=1))
