"""Symmetries: a group, and true to the physics."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest

from mbmf_ros.robots import profile, robot
from mbmf_ros.robots.sim import ParallelSimulation, build_model, start_measurement
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
