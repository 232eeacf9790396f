"""Disturbances of the simulated robot, against physics."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot
from mbmf_ros.robots.disturbance import Disturbance, DisturbanceConfig
from mbmf_ros.robots.sim import Simulation, start_measurement

SPEC = robot("ant")


def contents(model: mujoco.MjModel) -> bytes:
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()


def walk(simulation: Simulation, steps: int = 30) -> np.ndarray:
    rng = np.random.default_rng(0)
    simulation.reset(start_measurement(SPEC))
    return np.stack([simulation.step(rng.uniform(-1, 1, SPEC.nu)) for _ in range(steps)])


def settled(simulation: Simulation, steps: int = 100) -> np.ndarray:
    simulation.reset(start_measurement(SPEC))
    return [simulation.step(np.zeros(SPEC.nu)) for _ in range(steps)][-1]


@pytest.mark.parametrize("name", ["ant", "swimmer", "hopper", "half_cheetah"])
def test_the_defaults_restore_the_robot_to_the_bit(name: str):
    simulation = Simulation(robot(name))
    built = contents(simulation.model)
    disturbance = Disturbance(simulation)
    disturbance.apply(DisturbanceConfig((0.3,), 2.0, 0.5))
    assert contents(simulation.model) != built
    disturbance.apply(DisturbanceConfig())
    assert contents(simulation.model) == built


def test_motion_after_restoring_is_the_same_to_the_bit():
    simulation = Simulation(SPEC)
    before = walk(simulation)
    disturbance = Disturbance(simulation)
    disturbance.apply(DisturbanceConfig((0.3,), 2.0, 0.5))
    assert (walk(simulation) != before).any()
    disturbance.apply(DisturbanceConfig())
    np.testing.assert_array_equal(walk(simulation), before)


def test_a_weak_motor_gives_that_share_of_its_torque_and_the_others_all_of_it():
    simulation = Simulation(SPEC)
    action = np.linspace(0.2, 0.9, SPEC.nu)
    simulation.step(action)
    full = simulation.joint_torque()
    Disturbance(simulation).apply(DisturbanceConfig((1, 1, 0.3, 1, 1, 1, 1, 0)))
    simulation.reset(start_measurement(SPEC))
    simulation.step(action)
    np.testing.assert_allclose(simulation.joint_torque(), full * (1, 1, 0.3, 1, 1, 1, 1, 0))
    np.testing.assert_allclose(full, 150 * action)


def test_the_payload_is_carried_by_the_floor():
    simulation = Simulation(SPEC)
    disturbance = Disturbance(simulation)
    weight = []
    for payload_kg in (0.0, 5.0):
        disturbance.apply(DisturbanceConfig(payload_kg=payload_kg))
        settled(simulation, 200)
        force = np.zeros(6)
        total = 0.0
        for index in range(simulation.data.ncon):
            mujoco.mj_contactForce(simulation.model, simulation.data, index, force)
            total += force[0]
        weight.append(total)
    assert weight[1] - weight[0] == pytest.approx(5.0 * 9.81, rel=0.05)


def test_on_a_slippery_floor_the_robot_slides_on():
    simulation = Simulation(SPEC)
    disturbance = Disturbance(simulation)
    slid_m = []
    for scale in (1.0, 0.05):
        disturbance.apply(DisturbanceConfig(floor_friction_scale=scale))
        m = settled(simulation)
        m[SPEC.measurement.linear_velocity] = (2.0, 0.0, 0.0)
        start = simulation.reset(m)[:2].copy()
        end = [simulation.step(np.zeros(SPEC.nu)) for _ in range(20)][-1][:2]
        slid_m.append(float(np.linalg.norm(end - start)))
    assert slid_m[1] > 1.5 * slid_m[0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"motor_strength": (1.0, 0.5)}, "expected 8 numbers for robot 'ant', or one for all motors, got 2"),
        ({"motor_strength": (1.1,)}, "numbers from 0 to 1"),
        ({"payload_kg": -1.0}, "payload_kg: expected a number from 0 to 1000, got -1"),
        ({"floor_friction_scale": float("nan")}, "floor_friction_scale"),
    ],
)
def test_what_cannot_be_is_refused(values: dict, said: str):
    disturbance = Disturbance(Simulation(SPEC))
    with pytest.raises(MbmfError, match=said):
        disturbance.apply(DisturbanceConfig(**values))
