"""What a robot is, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mbmf_ros.robots.measurement import MeasurementLayout, up_of


@dataclass(frozen=True)
class Symmetry:
    """A change of viewpoint that turns a possible motion of a robot into another possible motion.

    Attributes:
        base: orthogonal matrix that maps vectors in the base frame; determinant -1 for a mirror image. The vertical
            stays vertical.
        joint_source: for each joint, in the spec's order, the joint whose motion it takes over.
        joint_sign: for each joint, the sign with which it takes it over.
    """

    base: tuple[tuple[float, float, float], ...]
    joint_source: tuple[str, ...]
    joint_sign: tuple[float, ...]


@dataclass(frozen=True)
class ForwardReward:
    """The reward of moving forward, per control step: ``v_x + bonus - effort |u|^2``, until the robot is not alive.

    Attributes:
        effort: cost of the squared norm of the action.
        bonus: earned by every step alive.
        alive_height_m: height of the base [m] within which the robot is alive.
        min_up: the smallest cosine of the tilt at which it is alive.
        steps: length of an episode.
    """

    effort: float
    bonus: float = 0.0
    alive_height_m: tuple[float, float] = (-math.inf, math.inf)
    min_up: float = -1.0
    steps: int = 1000


@dataclass(frozen=True)
class PathLimits:
    """What counts as following a path, for a robot of this size and speed.

    Attributes:
        reach_m: a waypoint passed within this distance is reached.
        goal_reach_m: within this distance of the last one the path is done.
        slowest_mps: a run slower than this has failed.
        length_m: of the paths that the robot is tried on; their bends grow with it.
    """

    reach_m: float = 0.5
    goal_reach_m: float = 0.25
    slowest_mps: float = 0.3
    length_m: float = 8.0


@dataclass(frozen=True)
class RobotSpec:
    """Everything the rest of the package may know about a robot.

    Attributes:
        name: as users type it.
        model_asset: MuJoCo model: the name of one of Gymnasium's assets, a path, or the MJCF text itself.
        base_body: the body that is ``base_link``.
        joints: joint names; measurements follow this order.
        actuated_joints: the joint that each actuator drives; actions follow this order.
        dt_s: control period [s]; one action is held that long.
        physics_dt_s: integration step of the simulator [s]; divides ``dt_s``.
        start_height_m: height of the base in the start pose [m].
        start_joint_position: joint positions of the start pose [rad].
        safe_action: applied when there is nothing better, (nu,).
        min_up: below this cosine of the tilt the robot has fallen.
        height_range_m: outside this range of the base's height [m] the robot has fallen.
        symmetries: generators of the group of changes that turn a possible motion into a possible motion.
        root: how the base moves: ``free``, ``sagittal`` (in the x-z plane) or ``horizontal`` (in the x-y plane; the
            base's position is then the robot's centre of mass).
        forward: the paper's reward for moving forward ("paper-style return").
        paths: what counts as following a path.
        gymnasium_id: Gymnasium's environment with this model and control period, or empty.
        gymnasium_forward: what that environment rewards, as far as a planner needs to know.
    """

    name: str
    model_asset: str
    base_body: str
    joints: tuple[str, ...]
    actuated_joints: tuple[str, ...]
    dt_s: float
    physics_dt_s: float
    start_height_m: float
    start_joint_position: tuple[float, ...]
    safe_action: tuple[float, ...]
    min_up: float
    height_range_m: tuple[float, float]
    symmetries: tuple[Symmetry, ...] = ()
    root: str = "free"
    forward: ForwardReward | None = None
    paths: PathLimits = PathLimits()
    gymnasium_id: str = ""
    gymnasium_forward: ForwardReward | None = None

    @property
    def nu(self) -> int:
        """Number of actuators."""
        return len(self.actuated_joints)

    @property
    def measurement(self) -> MeasurementLayout:
        """Layout of a measurement vector of this robot."""
        return MeasurementLayout(len(self.joints))

    @property
    def substeps(self) -> int:
        """Physics steps per control step."""
        return round(self.dt_s / self.physics_dt_s)

    def fallen(self, m: np.ndarray) -> np.ndarray:
        """Whether the robot has fallen, (...,) bool, at measurements ``m`` (..., nm)."""
        up, height = up_of(m[..., self.measurement.orientation]), m[..., 2]
        low, high = self.height_range_m
        return (up < self.min_up) | (height < low) | (height > high)
