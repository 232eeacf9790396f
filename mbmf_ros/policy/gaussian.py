"""The Gaussian policy of the paper's hand-over to model-free learning, and its variants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.policy.observation import Observation
from mbmf_ros.robots import RobotSpec

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}
LEAST_SPREAD = 1e-3  # of an observation that hardly varied: nothing is divided by less


@dataclass(frozen=True)
class PolicyConfig(Ranged):
    """Architecture of a policy.

    Attributes:
        hidden: width of each of the two hidden layers (paper, appendix A: 64).
        activation: ``tanh`` or ``relu``.
        squash: whether a tanh bounds the mean; else it is linear, and clipped where it is applied.
    """

    hidden: int = ranged(64, 1)
    activation: str = "tanh"
    squash: bool = False


class GaussianPolicy(nn.Module):
    """Means of actions from observations, and a standard deviation that is the same everywhere.

    Observations go in as they are. What they are normalised by while learning is part of the first layer afterwards
    (:meth:`fold`), so that nothing has to be kept in step with the weights.

    Args:
        observations: size of an observation.
        actions: size of an action.
        config: architecture.

    Attributes:
        log_std: logarithm of the standard deviation, (nu,).
        center, spread: mean and standard deviation of the observations it was trained on, (no,).
        low, high: their range, (no,).
    """

    center: Tensor
    spread: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, observations: int, actions: int, config: PolicyConfig | None = None):
        super().__init__()
        self.config = config = config or PolicyConfig()
        if config.activation not in ACTIVATIONS:
            raise unknown("activation", config.activation, ACTIVATIONS)
        activation = ACTIVATIONS[config.activation]
        self.first = nn.Linear(observations, config.hidden)
        self.second = nn.Linear(config.hidden, config.hidden)
        self.mean = nn.Linear(config.hidden, actions)
        self.activation = activation()
        self.log_std = nn.Parameter(torch.zeros(actions))
        for name, value in (("center", 0.0), ("spread", 1.0), ("low", -torch.inf), ("high", torch.inf)):
            self.register_buffer(name, torch.full((observations,), value))

    def forward(self, o: Tensor) -> Tensor:
        """Mean actions (..., nu) for observations (..., no)."""
        hidden = self.activation(self.second(self.activation(self.first(o))))
        mean = self.mean(hidden)
        return mean.tanh() if self.config.squash else mean

    def outside(self, o: Tensor) -> Tensor:
        """How far observations (..., no) are outside of the range trained on, in standard deviations; negative: not."""
        return torch.maximum(o - self.high, self.low - o) / self.spread

    @torch.no_grad()
    def set_range(self, o: Tensor) -> None:
        """Remember mean, spread and range of the observations (N, no) that it is trained on."""
        self.center, self.spread = o.mean(0), o.std(0).clamp_min(LEAST_SPREAD)
        self.low, self.high = o.amin(0), o.amax(0)

    @torch.no_grad()
    def fold(self) -> None:
        """From weights for normalised observations, ``(o - center) / spread``, to weights for observations."""
        self.first.weight.div_(self.spread)
        self.first.bias.sub_(self.first.weight @ self.center)

    @torch.no_grad()
    def begin(self, o: Tensor) -> None:
        """Make weights that were just drawn, for normalised observations, those of a policy for observations like ``o``
        (N, no)."""
        self.set_range(o)
        self.fold()

    @torch.no_grad()
    def unfold(self) -> None:
        """The reverse of :meth:`fold`, to train on: there all inputs are of the same size.

        Center and spread may have changed since, by :meth:`set_range`: the answers to observations are the same.
        """
        self.first.bias.add_(self.first.weight @ self.center)
        self.first.weight.mul_(self.spread)


class PolicyActor:
    """Answers measurements with a policy's actions.

    Args:
        spec: the robot.
        policy: with its normalisation folded in.
        seed: of the actions' noise; None: mean actions, no noise.

    Raises:
        MbmfError: the policy is for something of another size.
    """

    def __init__(self, spec: RobotSpec, policy: GaussianPolicy, seed: int | None = None):
        self.spec, self.policy = spec, policy
        self.observe = Observation(spec)
        sizes = (policy.first.in_features, policy.mean.out_features)
        if sizes != (self.observe.size, spec.nu):
            raise MbmfError(
                f"the policy maps {sizes[0]} observations to {sizes[1]} actions, robot {spec.name!r} needs "
                f"{self.observe.size} and {spec.nu}"
            )
        self._rng = None if seed is None else np.random.default_rng(seed)

    def __call__(self, m: np.ndarray) -> np.ndarray:
        """The action (nu,), in [-1, 1], for measurement ``m`` (nm,)."""
        with torch.inference_mode():
            action = self.policy(torch.from_numpy(self.observe(m))).double().numpy()
            if self._rng is not None:
                action = action + self.policy.log_std.exp().double().numpy() * self._rng.standard_normal(action.shape)
        return np.clip(action, -1.0, 1.0)
