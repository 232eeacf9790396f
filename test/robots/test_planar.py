"""Planar robots: their measurements and states against MuJoCo's own quantities, also past half a turn."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch

from mbmf_ros.robots import profile, robot
from mbmf_ros.robots.sim import Simulation, start_measurement

SAGITTAL = ("hopper", "half_cheetah")
PLANAR = (*SAGITTAL, "swimmer")


def motion(name: str, turn: float = 0.0) -> tuple[Simulation, np.ndarray]:
    """Measurements (31, nm) of wild motion that begins with the base turned by ``turn`` [rad] in its plane."""
    spec, rng = robot(name), np.random.default_rng(2)
    simulation, m = Simulation(spec), start_measurement(robot(name), rng, 0.3)
    axis = 6 if spec.root == "horizontal" else 5
    m[3], m[axis] = np.cos(turn / 2), np.sin(turn / 2)
    rows = [simulation.reset(m)]
    rows += [simulation.step(rng.uniform(-1, 1, spec.nu)) for _ in range(30)]
    return simulation, np.stack(rows)


@pytest.mark.parametrize("turn", [0.0, 3.0, -3.1])
@pytest.mark.parametrize("name", PLANAR)
def test_the_measurement_is_what_mujoco_says_of_the_base(name: str, turn: float):
    simulation, rows = motion(name, turn)
    spec, model, data = simulation.spec, simulation.model, simulation.data
    base, layout, velocity = model.body(spec.base_body).id, spec.measurement, np.empty(6)
    for m in rows[::6]:
        np.testing.assert_allclose(simulation.reset(m), m, atol=1e-12)  # there and back
        mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, base, velocity, 1)
        rotation = data.xmat[base].reshape(3, 3)
        position, linear = data.xpos[base], velocity[3:]
        if spec.root == "horizontal":  # it is the centre of mass that is measured
            center = simulation.center_of_mass()
            position, linear = center[:3], rotation.T @ center[3:]
        np.testing.assert_allclose(m[layout.position], position, atol=1e-9)
        np.testing.assert_allclose(m[layout.linear_velocity], linear, atol=1e-9)
        np.testing.assert_allclose(m[layout.angular_velocity], velocity[:3], atol=1e-9)
        assert abs(m[layout.orientation] @ data.xquat[base]) == pytest.approx(1.0)


@pytest.mark.parametrize("turn", [0.0, 3.0])
@pytest.mark.parametrize("name", PLANAR)
def test_integrating_the_true_targets_gives_the_true_states(name: str, turn: float):
    _, rows = motion(name, turn)
    body = profile(robot(name))
    x = body.encode(rows)
    targets = torch.from_numpy(body.targets(x[:-1], x[1:]))[None]
    states = torch.from_numpy(x)[None]
    found = body.unroll(states[:, 0], states[..., body.n_carried :], targets[..., body.n_inner :])
    np.testing.assert_allclose(body.xy(found), body.xy(states), atol=1e-9)
    yaw = (body.yaw(found) - body.yaw(states)).numpy()
    np.testing.assert_allclose(np.sin(yaw / 2), 0.0, atol=1e-9)


@pytest.mark.parametrize(("name", "numbers"), [("swimmer", 16), ("hopper", 17), ("half_cheetah", 23)])
def test_both_profiles_see_the_same_posture(name: str, numbers: int):
    _, rows = motion(name, 2.0)
    spec = robot(name)
    body, paper = profile(spec), profile(spec, "paper")
    x, y = (torch.from_numpy(each.encode(rows)) for each in (body, paper))
    assert y.shape == (31, numbers)
    np.testing.assert_allclose(paper.up(y), body.up(x), atol=1e-9)
    np.testing.assert_allclose(paper.joint_velocity(y), body.joint_velocity(x), atol=1e-12)
    np.testing.assert_allclose(paper.height(y), body.height(x), atol=1e-9)
    if spec.root == "sagittal":
        np.testing.assert_allclose(body.height(x), rows[:, 2])
