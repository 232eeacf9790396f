"""The controller node's parameters, and the controller that they ask for. No ROS messages in here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from mbmf_ros.arguments import CONTROLLERS
from mbmf_ros.control.mpc import MpcConfig, MpcController
from mbmf_ros.control.path import Path
from mbmf_ros.control.planners import IcemConfig, MppiConfig, RandomShootingConfig, make_planner, planner_defaults
from mbmf_ros.control.steering import FollowVelocityConfig, HoldPositionConfig
from mbmf_ros.control.tasks import FollowPathConfig, ForwardConfig
from mbmf_ros.data.exploration import ExplorationConfig
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.nodes.runtime import option
from mbmf_ros.policy.driver import PolicyDriver, PolicyDriverConfig, load_driver
from mbmf_ros.robots import RobotSpec

UNASKED = ("idle", "forward")


@dataclass(frozen=True)
class MpcControllerConfig:
    """Parameters of the node. Each planner has a section of its own, in force while that planner is chosen."""

    robot: str = option("ant", "name of the robot")
    planner: str = option("icem", "random_shooting, icem or mppi")
    controller: str = option("mpc", "mpc, or policy: moves forward while there is no other order, wherever it may")
    policy_path: str = option("", "policy file, or a folder with policy.safetensors; in force with controller policy")
    model_path: str = option("default", "model file; default: the shipped one; empty: wait for the topic model")
    explore: bool = option(False, "move at random while there is no model, for a learner to begin with")
    task: str = option("idle", "while there is no path and no command: idle, or forward: as fast as possible along x")
    hold_at_goal: bool = option(False, "where a path ends, hold the position; else the safe action is applied")
    cmd_vel_timeout: float = option(0.5, "robot time after which an unrepeated cmd_vel ends in hold [s]; 0: never", 0.0)
    enable_stamped_cmd_vel: bool = option(False, "cmd_vel is geometry_msgs/TwistStamped, as Nav2 sends it; else Twist")
    seed: int = option(0, "seed of the planner's noise and of the exploration", 0)
    threads: int = option(1, "PyTorch threads", 1, 64)
    odom_frame: str = option("odom", "odometry frame; paths must be in it")
    state_timeout: float = option(1.0, "after that long without a state diagnostics warn [s]; 0: never", 0.0)
    visualize: bool = option(True, "publish optimal_path and candidates while somebody listens")
    replan_every: int = option(1, "control steps between plans; in between, the last plan is executed", 1, 100)
    plan_rows: int = option(4, "following rows of the plan handed to the bridge for late answers", 0, 100)
    shown_candidates: int = option(24, "candidates published for display", 1, 1000)
    policy: PolicyDriverConfig = field(default_factory=PolicyDriverConfig)
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)
    follow_path: FollowPathConfig = field(default_factory=FollowPathConfig)
    velocity: FollowVelocityConfig = field(default_factory=FollowVelocityConfig)
    hold: HoldPositionConfig = field(default_factory=HoldPositionConfig)
    forward: ForwardConfig = field(default_factory=ForwardConfig)
    random_shooting: RandomShootingConfig = field(default_factory=RandomShootingConfig)
    icem: IcemConfig = field(default_factory=IcemConfig)
    mppi: MppiConfig = field(default_factory=MppiConfig)


def make_controller(spec: RobotSpec, config: MpcControllerConfig) -> MpcController:
    """The controller that the parameters ask for.

    Raises:
        MbmfError: no such planner or task.
    """
    planner_defaults(config.planner)
    if config.task not in UNASKED:
        raise unknown("task", config.task, UNASKED)
    planner = make_planner(config.planner, dataclasses.asdict(getattr(config, config.planner)))
    names = ("follow_path", "velocity", "hold", "replan_every", "plan_rows", "shown_candidates")
    return MpcController(spec, planner, MpcConfig(**{name: getattr(config, name) for name in names}), config.seed)


def make_policy(spec: RobotSpec, config: MpcControllerConfig) -> tuple[PolicyDriver | None, str]:
    """The policy that the parameters ask for, if they do, and a line about it.

    Raises:
        MbmfError: no such controller, or a policy that cannot be used.
    """
    if config.controller not in CONTROLLERS:
        raise unknown("controller", config.controller, CONTROLLERS)
    if config.controller != "policy":
        return None, ""
    if not config.policy_path:
        raise MbmfError("policy_path: controller policy needs a file; make one with `mbmf imitate`, or take mpc")
    driver, info = load_driver(spec, config.policy_path, config.policy, config.plan_rows)
    return driver, f"policy {config.policy_path}: {info.task}, {info.steps} steps of experience"


def try_out(spec: RobotSpec, model: Dynamics, config: MpcControllerConfig) -> None:
    """Plan once with ``model`` from the start pose; also warms everything up.

    Raises:
        MbmfError: the model does not fit the robot, or no prediction of it is finite.
    """
    m = np.zeros(spec.measurement.size)
    m[2], m[3] = spec.start_height_m, 1.0
    m[spec.measurement.joint_position] = spec.start_joint_position
    trial = make_controller(spec, config)
    trial.swap(model, 1)
    trial.set_path(Path.from_waypoints(np.zeros(2), np.array([[1.0, 0.0]])))
    trial.act(m)
