"""Tasks: what a planner should bring about, as rewards of predicted transitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.control.path import Path
from mbmf_ros.control.survival import Survival
from mbmf_ros.robots import StateProfile
from mbmf_ros.robots.spec import ForwardReward

WINDOW_M = 2.5  # how far ahead of the robot a path counts [m]
_EARLIER = 0.001  # a point so many metres nearer [m] is preferred although 1 m farther along


class Task(Protocol):
    """A reward. Pure: what changes from step to step is given when the task is made for that step."""

    def terms(self, x: Tensor, u: Tensor) -> dict[str, Tensor]:
        """Rewards (K, H) of rollouts ``x`` (K, H + 1, nx) under ``u`` (K, H, nu), by name; their sum counts."""
        ...


@dataclass(frozen=True)
class PostureConfig(Ranged):
    """Weights of how a robot shall move, whatever it does.

    Attributes:
        tilt: cost per unit of ``min_up`` minus the cosine of the tilt.
        min_up: see ``tilt``.
        height: cost per metre above ``max_height_m``: jumping.
        max_height_m: see ``height``.
        joint_speed: cost of a mean squared joint velocity of 1 rad^2/s^2: violent motion ends in falls.
        effort: cost per squared norm of the action.
        death_cost: of a fall; from then on nothing is earned.
    """

    tilt: float = ranged(20.0, 0.0)
    min_up: float = ranged(0.93, -1.0, 1.0)
    height: float = ranged(10.0, 0.0)
    max_height_m: float = ranged(0.68)
    joint_speed: float = ranged(0.01, 0.0)
    effort: float = ranged(0.02, 0.0)
    death_cost: float = ranged(10.0, 0.0)

    def terms(self, profile: StateProfile, x: Tensor, u: Tensor) -> dict[str, Tensor]:
        """Rewards (K, H) of rollouts ``x`` (K, H + 1, nx) under ``u`` (K, H, nu), by name."""
        after = x[:, 1:]
        return {
            "tilt": -self.tilt * (self.min_up - profile.up(after)).relu(),
            "height": -self.height * (profile.height(after) - self.max_height_m).relu(),
            "joint_speed": -self.joint_speed * profile.joint_velocity(after).square().mean(-1),
            "effort": -self.effort * u.square().sum(-1),
        }


@dataclass(frozen=True)
class FollowPathConfig(PostureConfig):
    """Weights of path following: one set for every path.

    Attributes:
        speed_cap_mps: progress faster than this earns nothing more.
        progress: reward for a speed of 1 m/s along the path.
        cross_track: cost of being 1 m off the path.
        across: cost of the base's axis being at a right angle to the path, for robots that are slow sideways; which
            end is in front does not matter.
    """

    speed_cap_mps: float = ranged(1.0, 0.0)
    progress: float = ranged(1.0, 0.0)
    cross_track: float = ranged(3.0, 0.0)
    across: float = ranged(0.0, 0.0)


class FollowPath:
    """Follow a path from where the robot is on it (paper, Alg. 2, in metres and with progress capped).

    Args:
        path: the path.
        progress_m: measured progress along it; only the stretch from just behind it to ``window_m`` ahead counts.
        profile: reads positions and posture from states.
        config: the weights.
        dt_s: control period [s].
        window_m: see ``progress_m``.
        survival: when the robot has fallen; by default it cannot.
    """

    def __init__(
        self,
        path: Path,
        progress_m: float,
        profile: StateProfile,
        config: FollowPathConfig,
        dt_s: float,
        window_m: float = WINDOW_M,
        survival: Survival = Survival(),  # noqa: B008  # frozen
    ):
        self.profile = profile
        self.survival = survival
        self.config = config
        self.dt_s = dt_s
        arc = path.arc_m
        near = (arc[1:] >= progress_m - 0.1) & (arc[:-1] <= progress_m + window_m)
        start, end = path.points[:-1][near], path.points[1:][near]
        along = end - start
        length = arc[1:][near] - arc[:-1][near]
        self.start = torch.from_numpy(start.astype("float32"))  # (S, 2)
        self.direction = torch.from_numpy((along / length[:, None]).astype("float32"))  # (S, 2)
        self.length = torch.from_numpy(length.astype("float32"))  # (S,)
        self.arc = torch.from_numpy(arc[:-1][near].astype("float32"))  # (S,)
        # Nothing behind the measured progress can be made good again.
        self.low = (progress_m - 0.1 - self.arc).clamp_min(0.0).minimum(self.length)
        self.high = (progress_m + window_m - self.arc).clamp_min(0.0).minimum(self.length)

    def project(self, xy: Tensor) -> tuple[Tensor, Tensor]:
        """Arc length and distance [m], (...,) each, of the nearest point of the stretch to ``xy`` (..., 2)."""
        return self._nearest(xy)[:2]

    def _nearest(self, xy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same, and the direction of the path there, (..., 2)."""
        offset = xy[..., None, :] - self.start  # (..., S, 2)
        t = (offset * self.direction).sum(-1)
        t = torch.minimum(torch.maximum(t, self.low), self.high)
        distance = (offset - t[..., None] * self.direction).norm(dim=-1)
        arc = self.arc + t
        # Where a path comes back over itself, the earlier of two equally near points.
        segment = (distance + _EARLIER * arc).argmin(dim=-1, keepdim=True)
        arc, distance = arc.gather(-1, segment)[..., 0], distance.gather(-1, segment)[..., 0]
        return arc, distance, self.direction[segment[..., 0]]

    def terms(self, x: Tensor, u: Tensor) -> dict[str, Tensor]:
        config, profile = self.config, self.profile
        arc, distance, direction = self._nearest(profile.xy(x))
        speed = (arc.diff(dim=1) / self.dt_s).clamp_max(config.speed_cap_mps)
        terms = {"progress": config.progress * speed, "cross_track": -config.cross_track * distance[:, 1:]}
        if config.across:
            yaw = profile.yaw(x[:, 1:])
            sine = yaw.cos() * direction[:, 1:, 1] - yaw.sin() * direction[:, 1:, 0]
            terms["across"] = -config.across * sine.square()
        terms |= config.terms(profile, x, u)
        return self.survival.nothing_to_gain(terms, profile, x[:, 1:], config.death_cost)


@dataclass(frozen=True)
class ForwardConfig(Ranged):
    """What only the planner sees of moving forward, besides the reward that counts.

    Attributes:
        speed_cap_mps: moving faster than this earns nothing more.
        overspeed: cost per m/s beyond it.
        death_cost: of a step after which the robot is not alive; nothing is earned from then on.
        tilt: cost per radian of tilt beyond ``max_tilt_rad``.
        max_tilt_rad: see ``tilt``.
        low: cost per metre below ``min_height_m``.
        min_height_m: see ``low``.
        high: cost per metre above ``max_height_m``.
        max_height_m: see ``high``.
        joint_speed: cost of a mean squared joint velocity of 1 rad^2/s^2.
    """

    speed_cap_mps: float = ranged(1e3, 0.0)
    overspeed: float = ranged(0.0, 0.0)
    death_cost: float = ranged(0.0, 0.0)
    tilt: float = ranged(0.0, 0.0)
    max_tilt_rad: float = ranged(1.0, 0.0)
    low: float = ranged(0.0, 0.0)
    min_height_m: float = ranged(0.0)
    high: float = ranged(0.0, 0.0)
    max_height_m: float = ranged(10.0)
    joint_speed: float = ranged(0.0, 0.0)


_STEEPEST = 1.0 - 1e-7  # beyond it the gradient of the arc cosine is not finite


class Forward:
    """Move along the odometry frame's x axis; a fall ends all further reward (the alive mask is analytic).

    Args:
        reward: what counts.
        profile: reads positions and posture from states.
        config: what only the planner sees.
        dt_s: control period [s].
    """

    def __init__(self, reward: ForwardReward, profile: StateProfile, config: ForwardConfig, dt_s: float):
        self.reward = reward
        self.survival = Survival(reward.alive_height_m, reward.min_up)
        self.profile = profile
        self.config = config
        self.dt_s = dt_s

    def terms(self, x: Tensor, u: Tensor) -> dict[str, Tensor]:
        reward, config, profile = self.reward, self.config, self.profile
        after = x[:, 1:]
        speed = profile.xy(x)[..., 0].diff(dim=1) / self.dt_s
        speed = speed - (1.0 + config.overspeed) * (speed - config.speed_cap_mps).relu()
        terms = {"speed": speed, "effort": -reward.effort * u.square().sum(-1)}
        if config.tilt:
            tilt = profile.up(after).clamp(-_STEEPEST, _STEEPEST).acos()
            terms["tilt"] = -config.tilt * (tilt - config.max_tilt_rad).relu()
        if config.low:
            terms["low"] = -config.low * (config.min_height_m - profile.height(after)).relu()
        if config.high:
            terms["high"] = -config.high * (profile.height(after) - config.max_height_m).relu()
        if config.joint_speed:
            terms["joint_speed"] = -config.joint_speed * profile.joint_velocity(after).square().mean(-1)
        if reward.bonus:
            terms["bonus"] = torch.full_like(speed, reward.bonus)
        if self.survival.certain:
            return terms
        before, died = self.survival.masks(profile, after)
        return {**{name: value * before for name, value in terms.items()}, "death": -config.death_cost * died}
