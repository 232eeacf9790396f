"""The hopper: one leg with three driven joints under a torso, in the x-z plane (Gymnasium's ``hopper.xml``)."""

import math
from dataclasses import replace

from mbmf_ros.robots.spec import ForwardReward, RobotSpec

_JOINTS = ("thigh_joint", "leg_joint", "foot_joint")
_UP = math.cos(0.2)  # a tilt of 0.2 rad ends an episode

HOPPER = RobotSpec(
    name="hopper",
    model_asset="hopper.xml",
    base_body="torso",
    joints=_JOINTS,
    actuated_joints=_JOINTS,
    dt_s=0.02,
    physics_dt_s=0.002,
    start_height_m=1.25,
    start_joint_position=(0.0, 0.0, 0.0),
    safe_action=(0.0, 0.0, 0.0),
    min_up=_UP,
    height_range_m=(0.7, math.inf),
    root="sagittal",
    forward=ForwardReward(effort=0.005, bonus=1.0, alive_height_m=(0.7, math.inf), min_up=_UP),
)
HOPPER_V5 = replace(
    HOPPER,
    name="hopper_v5",
    dt_s=0.008,
    gymnasium_id="Hopper-v5",
    gymnasium_forward=ForwardReward(effort=1e-3, bonus=1.0, alive_height_m=(0.7, math.inf), min_up=_UP),
)

SPECS = (HOPPER, HOPPER_V5)
