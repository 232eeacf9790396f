"""Behaviour cloning: a policy by regression on what an expert would do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.gaussian import GaussianPolicy
from mbmf_ros.robots import RobotSpec, profile
from mbmf_ros.robots.symmetry import symmetry_group


@dataclass(frozen=True)
class CloneConfig(Ranged):
    """One regression.

    Attributes:
        epochs: passes over the labels; at least ``min_updates`` are made.
        min_updates: the fewest updates.
        batch_size: labels per update (paper, appendix A: 500).
        learning_rate: Adam's (paper: 1e-4).
        cosine: let the learning rate fall to zero.
        symmetries: learn from the robot's mirror image too, where its spec has one.
    """

    epochs: int = ranged(0, 0)
    min_updates: int = ranged(6000, 0)
    batch_size: int = ranged(256, 1)
    learning_rate: float = ranged(1e-3, 1e-8, 1.0)
    cosine: bool = True
    symmetries: bool = True


def mirrored(spec: RobotSpec, o: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Observations (N, no) and actions (N, nu) with their mirror images left to right, (G * N, ·).

    Of a robot's symmetries only those count that turn moving along x into moving along x with the same heading, or the
    opposite angle.
    """
    if spec.root == "sagittal":
        return o, u
    group, n_inner = symmetry_group(spec, profile(spec)), o.shape[1] - 2
    observations, actions = [], []
    for inner, action, output in zip(group.inner, group.actions, group.outputs, strict=True):
        forward = output[-3, -3:-1]  # where the robot's own x axis comes from
        if np.allclose(forward, (1.0, 0.0), atol=1e-6):
            heading = o[:, n_inner:] * (1.0, output[-1, -1])
            observations.append(np.concatenate([o[:, :n_inner] @ inner.T, heading], axis=1))
            actions.append(u @ action.T)
    return np.concatenate(observations).astype(np.float32), np.concatenate(actions).astype(np.float32)


def clone(policy: GaussianPolicy, o: np.ndarray, u: np.ndarray, config: CloneConfig, seed: int) -> float:
    """Fit ``policy`` to answer observations ``o`` (N, no) with actions ``u`` (N, nu); it goes on from its weights.

    With a standard deviation that is fixed, the likelihood of the actions is the squared error of the mean. In and out
    goes a policy whose normalisation is folded in. Its range becomes that of ``o``.

    Returns:
        Root mean squared error over ``o``, of actions in [-1, 1].

    Raises:
        MbmfError: the fit diverged.
    """
    inputs, targets = torch.from_numpy(o), torch.from_numpy(u.astype(np.float32))
    policy.requires_grad_(True)
    policy.set_range(inputs)
    policy.unfold()
    inputs = (inputs - policy.center) / policy.spread
    updates = max(config.min_updates, -(-config.epochs * len(o) // config.batch_size))
    optimizer = torch.optim.Adam([*policy.first.parameters(), *policy.second.parameters(), *policy.mean.parameters()])
    generator = torch.Generator().manual_seed(seed)
    for update in range(updates):
        rate = 0.5 * (1 + np.cos(np.pi * update / updates)) if config.cosine else 1.0
        optimizer.param_groups[0]["lr"] = config.learning_rate * rate
        rows = torch.randint(len(inputs), (config.batch_size,), generator=generator)
        loss = _error(policy, inputs[rows], targets[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    policy.requires_grad_(False)
    with torch.inference_mode():
        error = float(_error(policy, inputs, targets).sqrt())
    policy.fold()
    if not np.isfinite(error):
        raise MbmfError("imitation diverged; lower clone.learning_rate")
    return error


def _error(policy: GaussianPolicy, z: Tensor, target: Tensor) -> Tensor:
    return (policy(z) - target).square().mean()
