"""The learned dynamics: one network, or an ensemble evaluated as one batched product."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.errors import unknown
from mbmf_ros.robots import RobotSpec, StateProfile, profile

_ACTIVATIONS = {"silu": functional.silu, "relu": functional.relu, "tanh": torch.tanh}


@dataclass(frozen=True)
class DynamicsConfig(Ranged):
    """Architecture.

    Attributes:
        profile: state profile, ``body`` or ``paper``.
        members: networks in the ensemble; 1 is the paper's single network.
        hidden: width of both hidden layers.
        activation: ``silu``, ``relu`` (the paper) or ``tanh``.
        probabilistic: predict a variance as well and train on the Gaussian likelihood.
    """

    profile: str = "body"
    members: int = ranged(4, 1, 64)
    hidden: int = ranged(256, 1, 4096)
    activation: str = "silu"
    probabilistic: bool = False


class Dynamics(nn.Module):
    """f(x, u) -> x_next over one control period (paper, section IV-A, generalised to an ensemble).

    The normaliser's statistics are buffers: a model file is complete. Hidden layers are stacked over members, so
    training and prediction are batched matrix products whatever the size of the ensemble.

    Args:
        spec: the robot.
        config: the architecture.
        seed: of the initial weights.
    """

    input_mean: Tensor
    input_std: Tensor
    output_mean: Tensor
    output_std: Tensor
    output_low: Tensor
    output_high: Tensor

    def __init__(self, spec: RobotSpec, config: DynamicsConfig | None = None, seed: int = 0):
        super().__init__()
        self.spec = spec
        self.config = config or DynamicsConfig()
        self.profile: StateProfile = profile(spec, self.config.profile)
        if self.config.activation not in _ACTIVATIONS:
            raise unknown("activation", self.config.activation, _ACTIVATIONS)
        self._activation = _ACTIVATIONS[self.config.activation]
        inputs, outputs = self.profile.n_inner + spec.nu, self.profile.n_outputs
        sizes = [inputs, self.config.hidden, self.config.hidden, outputs * (2 if self.config.probabilistic else 1)]
        generator = torch.Generator().manual_seed(seed)
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for fan_in, fan_out in itertools.pairwise(sizes):
            bound = 1 / math.sqrt(fan_in)
            shape = (self.config.members, fan_in, fan_out)
            self.weights.append(nn.Parameter((torch.rand(shape, generator=generator) * 2 - 1) * bound))
            self.biases.append(nn.Parameter(torch.zeros(self.config.members, 1, fan_out)))
        for name, size, value in (
            ("input_mean", inputs, 0.0),
            ("input_std", inputs, 1.0),
            ("output_mean", outputs, 0.0),
            ("output_std", outputs, 1.0),
            ("output_low", outputs, -math.inf),
            ("output_high", outputs, math.inf),
        ):
            self.register_buffer(name, torch.full((size,), value))

    @property
    def members(self) -> int:
        """Networks in the ensemble."""
        return self.config.members

    def set_statistics(self, inputs: Tensor, outputs: Tensor) -> None:
        """Standardise to raw training ``inputs`` (N, n_inner + nu) and ``outputs`` (N, n_outputs).

        Predictions are confined to the range of the outputs seen: no plan can profit from a change that never occurred.
        """
        self.input_mean.copy_(inputs.mean(0))
        self.input_std.copy_(inputs.std(0).clamp_min(1e-6))
        self.output_mean.copy_(outputs.mean(0))
        self.output_std.copy_(outputs.std(0).clamp_min(1e-6))
        self.output_low.copy_(outputs.amin(0))
        self.output_high.copy_(outputs.amax(0))

    @torch.no_grad()
    def renormalise(self, inputs: Tensor, outputs: Tensor) -> None:
        """Standardise to new training data without changing what the model predicts (but for the range of outputs).

        A warm start then keeps what was learnt although the normaliser follows the data.
        """
        old = self._folded()
        self.set_statistics(inputs, outputs)
        (w1, b1), _, (w3, b3) = old
        n = self.profile.n_outputs
        self.weights[0].copy_(w1 * self.input_std[:, None])
        self.biases[0].copy_(b1 + (self.input_mean @ w1)[:, None])
        self.weights[2][..., :n] = w3 / self.output_std
        self.biases[2][..., :n] = (b3 - self.output_mean) / self.output_std

    def network(self, z: Tensor) -> Tensor:
        """Standardised outputs (E, B, n_outputs, doubled if probabilistic) of standardised inputs (E, B, inputs)."""
        h = z
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, h, weight)
            if layer < len(self.weights) - 1:
                h = self._activation(h)
        return h

    def loss(self, z: Tensor, y: Tensor) -> Tensor:
        """Training loss per member (E,) at standardised inputs and targets (E, B, ·): half the squared error (paper,
        eq. 1) or the Gaussian negative log-likelihood."""
        out = self.network(z)
        if not self.config.probabilistic:
            return 0.5 * (out - y).square().mean((1, 2))
        mean, raw = out.chunk(2, dim=-1)
        log_variance = -8 + functional.softplus(raw + 8) - functional.softplus(raw - 1)  # softly within [-8, 1]
        return 0.5 * ((mean - y).square() * torch.exp(-log_variance) + log_variance).mean((1, 2))

    @torch.no_grad()
    def imagine(self, x0: Tensor, u: Tensor) -> Tensor:
        """Open-loop rollouts: states (K, H + 1, nx) from ``x0`` (K, nx) under actions ``u`` (K, H, nu).

        Candidate ``k`` is rolled out by member ``k % E`` from start to end, so the spread over candidates shows what
        the ensemble does not know. The normaliser is folded into the first and last layer for the call.
        """
        members, (candidates, horizon, _) = self.members, u.shape
        if candidates % members:  # fill the last group
            extra = members - candidates % members
            x0 = torch.cat([x0, x0[-1:].expand(extra, -1)])
            u = torch.cat([u, u[-1:].expand(extra, -1, -1)])
        groups, n_inner, n_outputs = len(u) // members, self.profile.n_inner, self.profile.n_outputs
        first, hidden, last = self._folded()
        activation = self._activation
        low, high = self.output_low, self.output_high
        # (K, ...) -> (E, K / E, ...), member fastest
        actions = u.reshape(groups, members, horizon, -1).permute(2, 1, 0, 3).contiguous()  # (H, E, K / E, nu)
        start = x0[:, self.profile.n_carried :].reshape(groups, members, n_inner).transpose(0, 1)
        inner = torch.empty(horizon + 1, members, groups, n_inner)
        outputs = torch.empty(horizon, members, groups, n_outputs)
        inner[0] = start
        z = torch.empty(members, groups, n_inner + actions.shape[-1])
        for step in range(horizon):
            z[..., :n_inner] = inner[step]
            z[..., n_inner:] = actions[step]
            h = activation(torch.baddbmm(first[1], z, first[0]))
            h = activation(torch.baddbmm(hidden[1], h, hidden[0]))
            y = torch.baddbmm(last[1], h, last[0], out=outputs[step])
            torch.minimum(torch.maximum(y, low, out=y), high, out=y)
            torch.add(inner[step], y[..., :n_inner], out=inner[step + 1])
        flat = (groups * members,)
        inner = inner.permute(2, 1, 0, 3).reshape(*flat, horizon + 1, n_inner)[:candidates]
        displacement = outputs[..., n_inner:].permute(2, 1, 0, 3).reshape(*flat, horizon, -1)[:candidates]
        return self.profile.unroll(x0[:candidates], inner, displacement)

    def advance(self, x: Tensor, u: Tensor) -> Tensor:
        """Next states (B, nx) from ``x`` (B, nx) under ``u`` (B, nu), through which gradients flow.

        Row ``b`` is predicted by member ``b % E``; E divides B.
        """
        n_carried, n_inner = self.profile.n_carried, self.profile.n_inner
        inner = x[:, n_carried:]
        h = torch.cat([inner, u], dim=-1).reshape(-1, self.members, n_inner + u.shape[-1]).transpose(0, 1)
        layers = self._folded()
        for weight, bias in layers[:-1]:
            h = self._activation(torch.baddbmm(bias, h, weight))
        y = torch.baddbmm(layers[-1][1], h, layers[-1][0]).clamp(self.output_low, self.output_high)
        y = y.transpose(0, 1).reshape(len(x), -1)
        following = torch.stack([inner, inner + y[:, :n_inner]], dim=1)
        return self.profile.unroll(x, following, y[:, None, n_inner:])[:, 1]

    def _folded(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and biases per layer that take raw inputs and give raw mean outputs."""
        n_outputs = self.profile.n_outputs
        (w1, w2, w3), (b1, b2, b3) = self.weights, self.biases
        w1 = w1 / self.input_std[:, None]
        b1 = b1 - (self.input_mean @ w1)[:, None]
        w3 = w3[..., :n_outputs] * self.output_std
        b3 = b3[..., :n_outputs] * self.output_std + self.output_mean
        return [(w1, b1.contiguous()), (w2, b2), (w3.contiguous(), b3.contiguous())]

    @torch.no_grad()
    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        """The ensemble's mean next state (B, nx) from ``x`` (B, nx) and ``u`` (B, nu)."""
        repeated = self.imagine(x.repeat_interleave(self.members, 0), u.repeat_interleave(self.members, 0)[:, None])
        return repeated[:, 1].reshape(len(x), self.members, -1).mean(1)
