"""Tasks of being somewhere at a time: moving at a commanded velocity, and staying where one is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mbmf_ros.config import ranged
from mbmf_ros.control.survival import Survival
from mbmf_ros.control.tasks import PostureConfig
from mbmf_ros.robots import StateProfile


@dataclass(frozen=True)
class FollowVelocityConfig(PostureConfig):
    """Weights and limits of moving at a commanded velocity.

    The robot tracks a pose that moves at the command: what it lags behind it makes good, so its mean velocity is the
    commanded one although its gait sways. The pose waits for a robot that is farther behind than the leash.

    Attributes:
        max_vx_mps, max_vy_mps, max_yaw_rate_radps: faster commands are slowed down to these.
        position: cost of being 1 m away from where the command leads.
        heading: cost of facing 1 rad away from it.
        leash_m, leash_rad: see above.
    """

    max_vx_mps: float = ranged(0.8, 0.0)
    max_vy_mps: float = ranged(0.8, 0.0)
    max_yaw_rate_radps: float = ranged(1.0, 0.0)
    position: float = ranged(5.0, 0.0)
    heading: float = ranged(2.0, 0.0)
    leash_m: float = ranged(0.3, 0.0)
    leash_rad: float = ranged(0.5, 0.0)

    @property
    def limits(self) -> np.ndarray:
        """Largest commands (3,) [m/s, m/s, rad/s]."""
        return np.array([self.max_vx_mps, self.max_vy_mps, self.max_yaw_rate_radps])


def moved(pose: np.ndarray, twist: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Planar poses (..., 3) after ``time_s`` (...) at a constant ``twist`` (3,) in the moving frame, from ``pose``."""
    vx, vy, rate = twist
    half = 0.5 * rate * time_s
    chord = np.sinc(half / np.pi) * time_s  # the way is an arc
    direction = pose[2] + half
    x = pose[0] + chord * (np.cos(direction) * vx - np.sin(direction) * vy)
    y = pose[1] + chord * (np.sin(direction) * vx + np.cos(direction) * vy)
    return np.stack([x, y, pose[2] + rate * time_s], axis=-1)


class FollowVelocity:
    """Move at a velocity.

    Args:
        reference: planar pose (3,) where the command has led so far, odometry frame [m, m, rad].
        twist: the command (3,): forward, left, counter-clockwise, in the robot's frame [m/s, m/s, rad/s].
        profile: reads positions and posture from states.
        config: the weights.
        dt_s: control period [s].
        survival: when the robot has fallen.
    """

    def __init__(
        self,
        reference: np.ndarray,
        twist: np.ndarray,
        profile: StateProfile,
        config: FollowVelocityConfig,
        dt_s: float,
        survival: Survival,
    ):
        self.reference, self.twist = reference, twist
        self.profile, self.config, self.dt_s, self.survival = profile, config, dt_s, survival

    def terms(self, x: Tensor, u: Tensor) -> dict[str, Tensor]:
        """See :class:`mbmf_ros.control.tasks.Task`."""
        config, profile, after = self.config, self.profile, x[:, 1:]
        times = self.dt_s * np.arange(1, x.shape[1])
        goal = torch.from_numpy(moved(self.reference, self.twist, times).astype("float32"))  # (H, 3)
        turn = goal[:, 2] - profile.yaw(after)
        terms = {
            "position": -config.position * (profile.xy(after) - goal[:, :2]).norm(dim=-1),
            "heading": -config.heading * torch.atan2(turn.sin(), turn.cos()).abs(),
            **config.terms(profile, x, u),
        }
        return self.survival.nothing_to_gain(terms, profile, after, config.death_cost)


@dataclass(frozen=True)
class HoldPositionConfig(PostureConfig):
    """Weights of staying at a place.

    Attributes:
        radius_m: the robot may be so far from the place.
        position: cost of every metre beyond that.
        speed: cost of moving at 1 m/s.
        rest: within the radius, slower than ``rest_speed_mps``, the safe action is applied: for robots that stand on
            their own.
        rest_speed_mps: see ``rest``.
    """

    radius_m: float = ranged(0.2, 0.0)
    position: float = ranged(5.0, 0.0)
    speed: float = ranged(0.5, 0.0)
    rest: bool = True
    rest_speed_mps: float = ranged(0.3, 0.0)


class HoldPosition:
    """Stay within a small circle, upright and as still as can be.

    Args:
        place: (2,) [m], odometry frame.
        profile: reads positions and posture from states.
        config: the weights.
        dt_s: control period [s].
        survival: when the robot has fallen.
    """

    def __init__(
        self, place: np.ndarray, profile: StateProfile, config: HoldPositionConfig, dt_s: float, survival: Survival
    ):
        self.place = torch.from_numpy(np.asarray(place, dtype="float32"))
        self.profile, self.config, self.dt_s, self.survival = profile, config, dt_s, survival

    def terms(self, x: Tensor, u: Tensor) -> dict[str, Tensor]:
        """See :class:`mbmf_ros.control.tasks.Task`."""
        config, profile = self.config, self.profile
        xy = profile.xy(x)
        away = (xy[:, 1:] - self.place).norm(dim=-1)
        terms = {
            "position": -config.position * (away - config.radius_m).relu(),
            "speed": -config.speed * xy.diff(dim=1).norm(dim=-1) / self.dt_s,
            **config.terms(profile, x, u),
        }
        return self.survival.nothing_to_gain(terms, profile, x[:, 1:], config.death_cost)
