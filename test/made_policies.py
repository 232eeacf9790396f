"""Policies made within a test: they answer something simple, within a range that is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mbmf_ros.policy.gaussian import GaussianPolicy, PolicyConfig
from mbmf_ros.policy.io import PolicyInfo, save_policy
from mbmf_ros.policy.observation import Observation
from mbmf_ros.robots import RobotSpec, robot
from mbmf_ros.robots.sim import start_measurement

ANT = robot("ant")
WIDTH = 0.3  # standard deviation of the observations trained on, about the start pose


def swaying(spec: RobotSpec) -> Callable[[Tensor], Tensor]:
    """Actions (N, nu) for observations (N, no): a sway with the tilt, about a constant."""
    return lambda o: (0.2 + 0.3 * torch.sin(2.0 * o[:, 1:2])).expand(-1, spec.nu)


def trained(
    spec: RobotSpec = ANT, answer: Callable[[Tensor], Tensor] | None = None, steps: int = 300
) -> GaussianPolicy:
    """A policy by regression onto ``answer``, by default :func:`swaying`."""
    generator = torch.Generator().manual_seed(0)
    start = torch.from_numpy(Observation(spec)(start_measurement(spec)))
    o = start + WIDTH * torch.randn(512, len(start), generator=generator)
    wanted = (answer or swaying(spec))(o)
    torch.manual_seed(0)
    policy = GaussianPolicy(len(start), spec.nu, PolicyConfig(hidden=16))
    policy.set_range(o)
    normalised = (o - policy.center) / policy.spread
    optimizer = torch.optim.Adam(policy.parameters(), 0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        (policy(normalised) - wanted).square().mean().backward()
        optimizer.step()
    policy.fold()
    return policy.requires_grad_(False)


def written(place: Path, policy: GaussianPolicy | None = None, spec: RobotSpec = ANT, **changes: Any) -> Path:
    """A policy's file, in ``place``; ``changes`` of what it says about itself."""
    about = {"robot": spec.name, "layout_hash": Observation(spec).layout_hash, "task": "forward", "action_repeat": 1}
    file = place / "policy.safetensors"
    save_policy(file, policy or trained(spec), PolicyInfo(**{**about, "steps": 1000, **changes}))
    return file


def lifted(spec: RobotSpec = ANT, by_m: float = 5.0) -> np.ndarray:
    """The start measurement (nm,), ``by_m`` [m] higher: nobody was trained on that."""
    m = start_measurement(spec)
    m[2] += by_m
    return m
