"""When a robot has fallen, on predicted states: one analytic rule for every task; no plan profits from a fall."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mbmf_ros.robots import RobotSpec, StateProfile


@dataclass(frozen=True)
class Survival:
    """A robot is alive while its height is within ``height_m`` and the cosine of its tilt is at least ``min_up``."""

    height_m: tuple[float, float] = (-math.inf, math.inf)
    min_up: float = -1.0

    @staticmethod
    def of(spec: RobotSpec) -> Survival:
        """The rule of :meth:`mbmf_ros.robots.RobotSpec.fallen`."""
        if spec.root == "horizontal":  # neither its height nor its tilt changes
            return Survival()
        return Survival(spec.height_range_m, spec.min_up)

    @property
    def certain(self) -> bool:
        """Whether nothing can end it."""
        return self.min_up <= -1.0 and not any(map(math.isfinite, self.height_m))

    def alive(self, profile: StateProfile, x: Tensor) -> Tensor:
        """Whether the robot is alive in each state (..., nx) by itself, (...,) float."""
        low, high = self.height_m
        height = profile.height(x)
        return ((height >= low) & (height <= high) & (profile.up(x) >= self.min_up)).float()

    def masks(self, profile: StateProfile, after: Tensor) -> tuple[Tensor, Tensor]:
        """Of states ``after`` each step, (K, H, nx): whether the robot was alive before the step, and whether the step
        was its last, (K, H) each; the dead stay dead."""
        alive = self.alive(profile, after).cumprod(dim=1)
        before = torch.cat([torch.ones_like(alive[:, :1]), alive[:, :-1]], dim=1)
        return before, before - alive

    def nothing_to_gain(
        self, terms: dict[str, Tensor], profile: StateProfile, after: Tensor, death_cost: float
    ) -> dict[str, Tensor]:
        """Reward terms (K, H) of which a fallen robot earns none: from a fall on only what is negative counts, and the
        fall itself costs ``death_cost``."""
        if self.certain:
            return terms
        before, died = self.masks(profile, after)
        kept = {name: value.where(before > 0, value.clamp_max(0.0)) for name, value in terms.items()}
        return {**kept, "death": -death_cost * died}
