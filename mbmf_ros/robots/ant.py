"""The ant: a torso on four legs of two torque-driven joints each (Gymnasium's ``ant.xml``)."""

from dataclasses import replace

from mbmf_ros.robots.spec import ForwardReward, RobotSpec, Symmetry

_JOINTS = ("hip_1", "ankle_1", "hip_2", "ankle_2", "hip_3", "ankle_3", "hip_4", "ankle_4")

ANT = RobotSpec(
    name="ant",
    model_asset="ant.xml",
    base_body="torso",
    joints=_JOINTS,
    actuated_joints=_JOINTS,
    dt_s=0.05,
    physics_dt_s=0.01,
    start_height_m=0.55,
    start_joint_position=(0.0, 1.0, 0.0, -1.0, 0.0, -1.0, 0.0, 1.0),
    safe_action=(0.0,) * 8,
    min_up=0.2,
    height_range_m=(0.2, 1.3),
    # Leg 1 is front left, then counter-clockwise. The two generators: every leg takes the place of the next one
    # (knees of neighbouring legs bend about opposite axes), and left is exchanged with right.
    symmetries=(
        Symmetry(
            base=((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
            joint_source=("hip_4", "ankle_4", "hip_1", "ankle_1", "hip_2", "ankle_2", "hip_3", "ankle_3"),
            joint_sign=(1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, -1.0),
        ),
        Symmetry(
            base=((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)),
            joint_source=("hip_4", "ankle_4", "hip_3", "ankle_3", "hip_2", "ankle_2", "hip_1", "ankle_1"),
            joint_sign=(-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0),
        ),
    ),
    forward=ForwardReward(effort=0.005, bonus=0.05, alive_height_m=(0.2, 1.0)),
    gymnasium_id="Ant-v5",
    gymnasium_forward=ForwardReward(effort=0.5, bonus=1.0, alive_height_m=(0.2, 1.0)),
)
ANT_PAPER = replace(ANT, name="ant_paper", dt_s=0.02, gymnasium_id="", gymnasium_forward=None)

SPECS = (ANT, ANT_PAPER)
