"""The half-cheetah: a planar runner with six driven joints on two legs (Gymnasium's ``half_cheetah.xml``)."""

import math
from dataclasses import replace

from mbmf_ros.robots.spec import ForwardReward, RobotSpec

_JOINTS = ("bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot")

HALF_CHEETAH = RobotSpec(
    name="half_cheetah",
    model_asset="half_cheetah.xml",
    base_body="torso",
    joints=_JOINTS,
    actuated_joints=_JOINTS,
    dt_s=0.01,
    physics_dt_s=0.01,
    start_height_m=0.7,
    start_joint_position=(0.0,) * 6,
    safe_action=(0.0,) * 6,
    min_up=-0.5,  # on its back
    height_range_m=(-math.inf, math.inf),
    root="sagittal",
    forward=ForwardReward(effort=0.05),
)
HALF_CHEETAH_V5 = replace(
    HALF_CHEETAH,
    name="half_cheetah_v5",
    dt_s=0.05,
    gymnasium_id="HalfCheetah-v5",
    gymnasium_forward=ForwardReward(effort=0.1),
)

SPECS = (HALF_CHEETAH, HALF_CHEETAH_V5)
