"""State profiles against MuJoCo's own quantities; what is predicted leads back to where the robot was."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mbmf_ros.robots import profile, robot
from mbmf_ros.robots.measurement import quaternion_of_yaw
from mbmf_ros.robots.sim import ParallelSimulation, Simulation, start_measurement

SPEC = robot("ant")
LAYOUT = SPEC.measurement


@pytest.fixture(scope="module")
def rollouts() -> np.ndarray:
    """Measurements (4, 41, nm) of wild motion from noisy starts in several places; the second start faces +-pi."""
    rng = np.random.default_rng(3)
    poses = ((0.0, 0.0, 0.0), (2.0, -1.0, math.pi), (-30.0, 5.0, -2.0), (0.5, 0.5, 1.0))
    start = np.stack([start_measurement(SPEC, rng, 0.1, pose) for pose in poses])
    return ParallelSimulation(SPEC).rollout(start, rng.uniform(-1, 1, (4, 40, SPEC.nu)))


def moved(m: np.ndarray, x: float, y: float, yaw: float) -> np.ndarray:
    """The same measurements (N, nm) with the world turned by ``yaw`` about the origin and then shifted."""
    out = m.copy()
    turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    out[:, :2] = m[:, :2] @ turn.T + (x, y)
    for row, q in zip(out, m[:, LAYOUT.orientation], strict=True):
        mujoco.mju_mulQuat(row[LAYOUT.orientation], quaternion_of_yaw(yaw), q)
    return out


def in_mujoco(simulation: Simulation, m: np.ndarray) -> mujoco.MjData:
    simulation.reset(m)
    return simulation.data


def test_the_measurement_is_what_mujoco_says_of_the_base(rollouts: np.ndarray):
    simulation = Simulation(SPEC)
    base = simulation.model.body(SPEC.base_body).id
    for m in rollouts[:, 13]:
        data = in_mujoco(simulation, m)
        velocity = np.empty(6)  # of the body's frame, in that frame: angular, linear
        mujoco.mj_objectVelocity(simulation.model, data, mujoco.mjtObj.mjOBJ_XBODY, base, velocity, 1)
        np.testing.assert_allclose(m[LAYOUT.angular_velocity], velocity[:3], atol=1e-9)
        np.testing.assert_allclose(m[LAYOUT.linear_velocity], velocity[3:], atol=1e-9)
        np.testing.assert_allclose(m[LAYOUT.position], data.xpos[base], atol=1e-9)
        np.testing.assert_allclose(m[LAYOUT.orientation], data.xquat[base], atol=1e-9)
        for index, name in enumerate(SPEC.joints):
            joint = data.joint(name)
            assert m[LAYOUT.joint_position][index] == pytest.approx(joint.qpos[0], abs=1e-12)
            assert m[LAYOUT.joint_velocity][index] == pytest.approx(joint.qvel[0], abs=1e-12)


def test_the_paper_state_is_what_mujoco_says(rollouts: np.ndarray):
    paper, simulation = profile(SPEC, "paper"), Simulation(SPEC)
    base = simulation.model.body(SPEC.base_body).id
    states = paper.encode(rollouts[:, 13])
    assert states.shape == (4, 41)
    for m, x in zip(rollouts[:, 13], states, strict=True):
        data = in_mujoco(simulation, m)
        velocity = np.empty(6)
        mujoco.mj_objectVelocity(simulation.model, data, mujoco.mjtObj.mjOBJ_XBODY, base, velocity, 0)
        np.testing.assert_allclose(x[paper.slices["rotation"]], data.xmat[base], atol=1e-9)
        np.testing.assert_allclose(x[paper.slices["linear_velocity"]], velocity[3:], atol=1e-9)
        np.testing.assert_allclose(x[paper.slices["center_of_mass"]], data.subtree_com[base], atol=1e-9)
        assert float(paper.up(torch.from_numpy(x))) == pytest.approx(data.xmat[base][8], abs=1e-9)
        assert float(paper.height(torch.from_numpy(x))) == data.qpos[2]


def test_the_body_state_sees_the_vertical_in_the_base_frame(rollouts: np.ndarray):
    body, simulation = profile(SPEC), Simulation(SPEC)
    base = simulation.model.body(SPEC.base_body).id
    for m, x in zip(rollouts[:, 13], body.encode(rollouts[:, 13]), strict=True):
        rotation = in_mujoco(simulation, m).xmat[base].reshape(3, 3)
        np.testing.assert_allclose(x[body.slices["up"]], rotation.T @ (0, 0, 1), atol=1e-9)
        assert float(body.up(torch.from_numpy(x))) == pytest.approx(rotation[2, 2], abs=1e-9)
        np.testing.assert_array_equal(x[body.slices["joint_velocity"]], m[LAYOUT.joint_velocity])
        assert float(body.height(torch.from_numpy(x))) == m[2]


@pytest.mark.parametrize("name", ["body", "paper"])
def test_one_state_and_many_are_encoded_alike(rollouts: np.ndarray, name: str):
    kind = profile(SPEC, name)
    states = kind.encode(rollouts)
    assert states.shape == (4, 41, kind.nx)
    np.testing.assert_allclose(kind.encode(rollouts[2, 7]), states[2, 7], atol=1e-12)
    covered = [index for part in kind.slices.values() for index in range(part.start, part.stop)]
    assert covered == list(range(kind.nx))


@settings(max_examples=50, deadline=None)
@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(-7, 7))
def test_where_the_robot_is_and_faces_changes_neither_inner_state_nor_targets(
    rollouts: np.ndarray, x: float, y: float, yaw: float
):
    body = profile(SPEC)
    m = rollouts[:, 9:12].reshape(-1, LAYOUT.size)
    here, there = (body.encode(each).reshape(4, 3, -1) for each in (m, moved(m, x, y, yaw)))
    np.testing.assert_allclose(there[..., 3:], here[..., 3:], atol=1e-9)
    np.testing.assert_allclose(
        body.targets(there[:, :-1], there[:, 1:]), body.targets(here[:, :-1], here[:, 1:]), atol=1e-9
    )
    turned = there[..., 2] - here[..., 2] - yaw
    np.testing.assert_allclose(np.cos(turned), 1.0, atol=1e-9)


@pytest.mark.parametrize("name", ["body", "paper"])
def test_integrating_the_true_targets_gives_the_true_states(rollouts: np.ndarray, name: str):
    kind = profile(SPEC, name)
    x = kind.encode(rollouts)
    targets = torch.from_numpy(kind.targets(x[:, :-1], x[:, 1:]))
    start = torch.from_numpy(x[:, 0])
    change = targets[..., : kind.n_inner].cumsum(1)
    inner = torch.cat([torch.zeros_like(change[:, :1]), change], dim=1) + start[:, None, kind.n_carried :]
    unrolled = kind.unroll(start, inner, targets[..., kind.n_inner :]).numpy()
    assert targets.shape[-1] == kind.n_outputs
    if name == "body":  # a heading that is integrated is not wrapped
        difference = unrolled[..., 2] - x[..., 2]
        assert np.abs(difference).max() > 6, "no rollout here crosses the seam at +-pi"
        np.testing.assert_allclose(np.cos(difference), 1.0, atol=1e-9)
        unrolled[..., 2] = x[..., 2]
    np.testing.assert_allclose(unrolled, x, atol=1e-9)


def test_a_turn_across_the_seam_is_a_small_turn():
    body = profile(SPEC)
    before, after = (body.encode(start_measurement(SPEC, pose=(0, 0, yaw))) for yaw in (3.1, -3.1))
    assert body.targets(before, after)[-1] == pytest.approx(2 * math.pi - 6.2)
    assert body.targets(after, before)[-1] == pytest.approx(6.2 - 2 * math.pi)


def test_displacements_are_forward_and_left_of_the_robot():
    body = profile(SPEC)
    start = start_measurement(SPEC, pose=(1.0, 2.0, math.pi / 2))
    ahead, aside = start.copy(), start.copy()
    ahead[1] += 0.3  # it faces +y
    aside[0] -= 0.2
    np.testing.assert_allclose(body.targets(body.encode(start), body.encode(ahead))[-3:], (0.3, 0, 0), atol=1e-12)
    np.testing.assert_allclose(body.targets(body.encode(start), body.encode(aside))[-3:], (0, 0.2, 0), atol=1e-12)


def test_headings_of_both_profiles_agree(rollouts: np.ndarray):
    body, paper = profile(SPEC), profile(SPEC, "paper")
    one, other = (kind.yaw(torch.from_numpy(kind.encode(rollouts))).numpy() for kind in (body, paper))
    np.testing.assert_allclose(np.cos(one - other), 1.0, atol=1e-9)


def test_layouts_of_different_profiles_are_told_apart():
    assert profile(SPEC).layout_hash != profile(SPEC, "paper").layout_hash
    assert profile(SPEC).layout_hash == profile(SPEC).layout_hash
