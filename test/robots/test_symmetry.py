"""Symmetries: a group, and true to the physics."""

from __future__ import annotations

import dataclasses
import math

import mujoco
import numpy as np
import pytest

from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import profile, registry, robot
from mbmf_ros.robots.sim import ParallelSimulation, build_model, start_measurement
from mbmf_ros.robots.spec import Symmetry
from mbmf_ros.robots.symmetry import SymmetryGroup, symmetry_group

SPEC = robot("ant")
BODY = profile(SPEC)
LAYOUT = SPEC.measurement


@pytest.fixture(scope="module")
def group() -> SymmetryGroup:
    return symmetry_group(SPEC, BODY)


def test_the_ant_has_the_eight_symmetries_of_a_square(group: SymmetryGroup):
    assert len(group) == 8
    for matrices in (group.inner, group.actions, group.outputs):
        np.testing.assert_array_equal(matrices[0], np.eye(matrices.shape[1]))
        for matrix in matrices:
            np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-6)
    # Proper rotations and mirror images, four each.
    heading_sign = group.outputs[:, -1, -1]
    assert sorted(heading_sign) == [-1] * 4 + [1] * 4


def test_it_is_closed_and_its_parts_belong_together(group: SymmetryGroup):
    elements = list(zip(group.inner, group.actions, group.outputs, strict=True))
    for one in elements:
        for two in elements:
            product = tuple(a @ b for a, b in zip(one, two, strict=True))
            matches = [all(np.allclose(a, b) for a, b in zip(product, element, strict=True)) for element in elements]
            assert sum(matches) == 1


def image(m: np.ndarray, base: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """A measurement (nm,) under a symmetry, from first principles: ``base`` acts on the odometry frame."""
    out = m.copy()
    mirror = np.linalg.det(base)
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, m[LAYOUT.orientation])
    # The body seen in the moved world, its own axes moved along.
    mujoco.mju_mat2Quat(out[LAYOUT.orientation], (base @ rotation.reshape(3, 3) @ base.T).ravel())
    out[LAYOUT.position] = base @ m[LAYOUT.position]
    out[LAYOUT.linear_velocity] = base @ m[LAYOUT.linear_velocity]
    out[LAYOUT.angular_velocity] = mirror * base @ m[LAYOUT.angular_velocity]
    out[LAYOUT.joint_position] = joints @ m[LAYOUT.joint_position]
    out[LAYOUT.joint_velocity] = joints @ m[LAYOUT.joint_velocity]
    return out


def test_the_image_of_a_motion_is_a_motion(group: SymmetryGroup):
    """A rollout in the simulator, in contact with the ground, and the rollouts of its eight images."""
    rng = np.random.default_rng(1)
    start = start_measurement(SPEC, rng, 0.1, pose=(0.0, 0.0, 0.3))
    actions = rng.uniform(-1, 1, (12, SPEC.nu))
    joints = BODY.slices["joint_position"]
    first = joints.start - BODY.n_carried
    up = BODY.slices["up"].start - BODY.n_carried
    starts = np.stack(
        [
            image(start, on_inner[up : up + 3, up : up + 3], on_inner[first : first + 8, first : first + 8])
            for on_inner in group.inner.astype(float)
        ]
    )
    moves = np.einsum("gij,tj->gti", group.actions.astype(float), actions)
    x = BODY.encode(ParallelSimulation(SPEC).rollout(starts, moves))
    targets = BODY.targets(x[:, :-1], x[:, 1:])
    assert np.abs(np.diff(x[0, :, BODY.slices["linear_velocity"].stop - 1])).max() > 0.1, "nothing happened"
    for inner, target, on_inner, on_outputs in zip(x[..., 3:], targets, group.inner, group.outputs, strict=True):
        np.testing.assert_allclose(inner, x[0, :, 3:] @ on_inner.T, atol=1e-9)
        np.testing.assert_allclose(target, targets[0] @ on_outputs.T, atol=1e-9)


def test_legs_are_numbered_counter_clockwise_from_the_front_left():
    model = build_model(SPEC)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    feet = [data.xpos[model.jnt_bodyid[model.joint(f"ankle_{leg}").id]] for leg in (1, 2, 3, 4)]
    angles = [math.degrees(math.atan2(foot[1], foot[0])) for foot in feet]
    np.testing.assert_allclose(angles, [45, 135, -135, -45], atol=1e-6)


def test_a_world_frame_profile_has_the_identity_only():
    group = symmetry_group(SPEC, profile(SPEC, "paper"))
    assert len(group) == 1
    np.testing.assert_array_equal(group.inner[0], np.eye(41))


def test_the_swimmer_looks_the_same_in_a_mirror_and_from_its_tail():
    """Rollouts of the simulator from the four images of one start under the images of its actions."""
    spec = robot("swimmer")
    body, layout = profile(spec), spec.measurement
    group = symmetry_group(spec, body)
    assert len(group) == 4
    rng = np.random.default_rng(3)
    start = start_measurement(spec, rng, 0.3)
    starts = []
    for on_inner, on_outputs in zip(group.inner.astype(float), group.outputs.astype(float), strict=True):
        base = np.diag([*np.diag(on_outputs)[-3:-1], 1.0])
        m = start.copy()
        m[layout.linear_velocity] = base @ start[layout.linear_velocity]
        m[layout.angular_velocity] = np.linalg.det(base) * base @ start[layout.angular_velocity]
        m[layout.joint_position] = on_inner[:2, :2] @ start[layout.joint_position]
        m[layout.joint_velocity] = on_inner[-2:, -2:] @ start[layout.joint_velocity]
        starts.append(m)
    actions = rng.uniform(-1, 1, (7, spec.nu))
    moves = np.einsum("gij,tj->gti", group.actions.astype(float), actions)
    simulation = ParallelSimulation(spec)
    # Head and tail are alike but for the armature of the root's joints, which belongs to the head.
    simulation.model.dof_armature[:3] = 0.0
    x = body.encode(simulation.rollout(np.stack(starts), moves))
    targets = body.targets(x[:, :-1], x[:, 1:])
    assert np.abs(targets[0, :, -3:]).max() > 0.05, "nothing happened"
    for target, on_outputs in zip(targets, group.outputs, strict=True):
        np.testing.assert_allclose(target, targets[0] @ on_outputs.T, atol=1e-5)


def turned(angle_rad: float, digits: int = 17) -> tuple[tuple[float, float, float], ...]:
    """The matrix of a turn about the vertical, typed with so many digits."""
    c, s = round(math.cos(angle_rad), digits), round(math.sin(angle_rad), digits)
    return ((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0))


GOOD = SPEC.symmetries[0]
ONES = (1.0,) * len(SPEC.joints)


@pytest.mark.parametrize(
    ("symmetry", "said"),
    [
        (1, r"symmetries\[0\]: expected a Symmetry"),
        (dataclasses.replace(GOOD, base=turned(2 * math.pi / 3, 3)), "base: expected an orthogonal matrix"),
        (dataclasses.replace(GOOD, base=((1.0, 0.0), (0.0, 1.0))), "base: expected an orthogonal matrix of 3 x 3"),
        (dataclasses.replace(GOOD, base=((1.0, 0.0), (0.0,))), "expected a 3 x 3 matrix, names of joints"),
        (dataclasses.replace(GOOD, base=None), "base: expected an orthogonal"),
        (
            dataclasses.replace(GOOD, base=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))),
            "vertical to stay vertical",
        ),
        (
            dataclasses.replace(GOOD, joint_source=("hip_5", *GOOD.joint_source[1:])),
            "joint_source: expected each of hip_1",
        ),
        (dataclasses.replace(GOOD, joint_source=GOOD.joint_source[1:]), "joint_source: expected each of"),
        (dataclasses.replace(GOOD, joint_sign=GOOD.joint_sign[1:]), "joint_sign: expected 8 numbers"),
        (dataclasses.replace(GOOD, joint_sign=(0.5, *GOOD.joint_sign[1:])), "each 1 or -1"),
        (Symmetry(turned(1.0), SPEC.joints, ONES), "more than 64"),
        (Symmetry(turned(2 * math.pi / 1000), SPEC.joints, ONES), "more than 64"),
    ],
)
def test_what_is_wrong_with_a_symmetry_is_said(symmetry: Symmetry, said: str):
    spec = dataclasses.replace(SPEC, symmetries=(symmetry,))
    with pytest.raises(MbmfError, match=f"robot 'ant': symmetries.*{said.removeprefix('symmetries')}"):
        symmetry_group(spec, BODY)
    assert registry._problem(spec).startswith("symmetries")


def test_a_motor_that_takes_over_a_joint_without_one_is_said():
    swapped = Symmetry(turned(0.0), (SPEC.joints[1], SPEC.joints[0], *SPEC.joints[2:]), ONES)
    spec = dataclasses.replace(SPEC, actuated_joints=SPEC.joints[1:], safe_action=(0.0,) * 7, symmetries=(swapped,))
    assert "has a motor" in registry._problem(spec)


def test_thirds_of_a_turn_are_a_group():
    spec = dataclasses.replace(SPEC, symmetries=(Symmetry(turned(2 * math.pi / 3), SPEC.joints, ONES),))
    assert len(symmetry_group(spec, BODY)) == 3
    assert registry._problem(spec) == ""
