"""The swimmer: three links in a viscous fluid, two driven joints between them (Gymnasium's ``swimmer.xml``)."""

from dataclasses import replace

from mbmf_ros.robots.spec import ForwardReward, PathLimits, RobotSpec, Symmetry

_JOINTS = ("motor1_rot", "motor2_rot")

SWIMMER = RobotSpec(
    name="swimmer",
    model_asset="swimmer.xml",
    base_body="mid",
    joints=_JOINTS,
    actuated_joints=_JOINTS,
    dt_s=0.15,
    physics_dt_s=0.01,
    start_height_m=0.0,
    start_joint_position=(0.0, 0.0),
    safe_action=(0.0, 0.0),
    min_up=-2.0,  # it cannot fall
    height_range_m=(-1.0, 1.0),
    # Left exchanged with right; head exchanged with tail (to about 1 %: the root joints' armature sits at the head).
    symmetries=(
        Symmetry(
            base=((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)), joint_source=_JOINTS, joint_sign=(-1.0, -1.0)
        ),
        Symmetry(
            base=((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)),
            joint_source=("motor2_rot", "motor1_rot"),
            joint_sign=(-1.0, -1.0),
        ),
    ),
    root="horizontal",
    forward=ForwardReward(effort=0.005, steps=333),
    # Three links of 1 m: what is reached is within a link. It swims 0.2 m/s, drifts on, and turns in wide bends.
    paths=PathLimits(reach_m=1.0, goal_reach_m=0.5, slowest_mps=0.1, length_m=24.0),
)
SWIMMER_V5 = replace(
    SWIMMER,
    name="swimmer_v5",
    dt_s=0.04,
    gymnasium_id="Swimmer-v5",
    gymnasium_forward=ForwardReward(effort=1e-4),
)

SPECS = (SWIMMER, SWIMMER_V5)
