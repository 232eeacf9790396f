"""The simulation: one and many robots alike, reset to any measurement, actions clipped and in the spec's order."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import (
    ParallelSimulation,
    Simulation,
    asset_path,
    build_model,
    joint_range,
    start_measurement,
)

SPEC = robot("ant")
LAYOUT = SPEC.measurement


def starts_and_actions(batch: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    poses = [(rng.normal(), rng.normal(), rng.uniform(-3, 3)) for _ in range(batch)]
    start = np.stack([start_measurement(SPEC, rng, 0.1, pose) for pose in poses])
    return start, rng.uniform(-1.4, 1.4, (batch, steps, SPEC.nu))  # beyond the limits too


def test_one_and_many_robots_move_exactly_alike():
    start, actions = starts_and_actions(3, 40)
    together = ParallelSimulation(SPEC).rollout(start, actions)
    simulation = Simulation(SPEC)
    for row, first, moves in zip(together, start, actions, strict=True):
        alone = [simulation.reset(first), *(simulation.step(u) for u in moves)]
        np.testing.assert_allclose(row, alone, rtol=0, atol=1e-12)


def test_threads_change_nothing():
    start, actions = starts_and_actions(5, 15)
    one, two, many = (ParallelSimulation(SPEC, threads).rollout(start, actions) for threads in (1, 2, 7))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, many)


def test_reset_puts_what_is_then_measured():
    (start,), ((action,),) = starts_and_actions(1, 1)
    simulation = Simulation(SPEC)
    simulation.step(action)
    np.testing.assert_allclose(simulation.reset(start), start, atol=1e-12)
    np.testing.assert_allclose(simulation.measure(), start, atol=1e-12)
    assert simulation.time_s == 0


def test_a_reset_forgets_everything():
    (start,), actions = starts_and_actions(1, 20)
    simulation = Simulation(SPEC)
    fresh = [simulation.reset(start), *(simulation.step(u) for u in actions[0])]
    again = [simulation.reset(start), *(simulation.step(u) for u in actions[0])]
    np.testing.assert_array_equal(fresh, again)


def test_one_step_is_one_control_period():
    simulation = Simulation(SPEC)
    simulation.step(np.zeros(SPEC.nu))
    assert simulation.time_s == pytest.approx(SPEC.dt_s)
    assert simulation.model.opt.timestep == pytest.approx(SPEC.physics_dt_s)
    assert SPEC.substeps == 5


def test_actions_are_clipped():
    simulation = Simulation(SPEC)
    outcomes = []
    for limit in (1.0, 50.0):
        simulation.reset(start_measurement(SPEC))
        outcomes.append(simulation.step(limit * np.array([1, -1, 1, -1, 1, -1, 1, -1])))
    np.testing.assert_array_equal(*outcomes)


@pytest.mark.parametrize("index", range(8))
def test_action_i_drives_the_i_th_actuated_joint(index: int):
    simulation = Simulation(SPEC)
    simulation.reset(start_measurement(SPEC))
    action = np.zeros(SPEC.nu)
    action[index] = 0.5
    simulation.step(action)
    force = simulation.data.qfrc_actuator
    driven = simulation.model.joint(SPEC.actuated_joints[index]).dofadr[0]
    assert np.flatnonzero(force).tolist() == [driven]
    assert force[driven] > 0


def test_the_start_state_is_posed_and_perturbed_as_asked():
    clean = start_measurement(SPEC, pose=(1.0, -2.0, 0.5))
    assert clean[:2].tolist() == [1.0, -2.0]
    assert LAYOUT.problem(clean) is None
    assert start_measurement(SPEC, np.random.default_rng(0), 0.0).tolist() == start_measurement(SPEC).tolist()
    noisy = np.stack(
        [start_measurement(SPEC, np.random.default_rng(seed), 0.2, (1.0, -2.0, 0.5)) - clean for seed in range(300)]
    )
    still = [*range(3), *range(3, 7)]
    assert not noisy[:, still].any()  # position and orientation are exact
    moving = np.delete(noisy, still, axis=1)
    np.testing.assert_allclose(moving.std(0), 0.2, rtol=0.2)
    np.testing.assert_allclose(moving.mean(0), 0.0, atol=0.05)


def test_the_robot_stands_when_it_does_nothing():
    simulation = Simulation(SPEC)
    m = simulation.measure()
    for _ in range(40):
        m = simulation.step(np.array(SPEC.safe_action))
    assert not SPEC.fallen(m)
    assert np.abs(m[LAYOUT.linear_velocity]).max() < 0.05


@pytest.mark.parametrize("velocity", [np.nan, 1e300, 1e5])
def test_a_simulation_that_diverges_says_so(velocity: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log file
    # MuJoCo by itself would put the robot back to its start and go on.
    simulation = Simulation(SPEC)
    simulation.data.qvel[8] = velocity
    with pytest.raises(MbmfError, match=r"simulation of 'ant' diverged at"):
        simulation.step(np.zeros(SPEC.nu))


def test_a_missing_model_or_joint_is_named():
    with pytest.raises(MbmfError, match=r"no MuJoCo model 'bee.xml'"):
        asset_path("bee.xml")
    with pytest.raises(MbmfError, match="has no joint 'knee'"):
        build_model(dataclasses.replace(SPEC, joints=(*SPEC.joints[:-1], "knee")))


def test_joint_ranges_are_in_the_specs_order_and_infinite_where_there_are_none():
    degrees = {"hip_4": (-30, 30), "ankle_4": (30, 70), "hip_1": (-30, 30), "ankle_1": (30, 70)}
    degrees |= {"hip_2": (-30, 30), "ankle_2": (-70, -30), "hip_3": (-30, 30), "ankle_3": (-70, -30)}
    np.testing.assert_allclose(np.rad2deg(joint_range(SPEC)), [degrees[name] for name in SPEC.joints])
    wheel = """<mujoco><worldbody><body name="cart"><freejoint/><geom size="0.1"/><body><geom size="0.1"/>
        <joint name="wheel"/></body></body></worldbody><actuator><motor joint="wheel"/></actuator></mujoco>"""
    cart = dataclasses.replace(
        SPEC, model_asset=wheel, base_body="cart", joints=("wheel",), actuated_joints=("wheel",), symmetries=()
    )
    np.testing.assert_array_equal(joint_range(cart), [[-np.inf, np.inf]])


@pytest.mark.parametrize("name", ["ant", "swimmer", "half_cheetah", "half_cheetah_v5", "hopper"])
def test_a_positive_action_pushes_its_joint_up(name):
    model = build_model(robot(name))
    assert (model.actuator_gear[:, 0] > 0).all()


def test_in_pieces_it_is_the_same_motion():
    start, actions = starts_and_actions(1, 10)
    whole, pieces = Simulation(SPEC), Simulation(SPEC)
    assert np.array_equal(whole.reset(start[0]), pieces.reset(start[0]))
    for action in actions[0]:
        for _ in range(SPEC.substeps):
            pieces.advance(action, 1)
        np.testing.assert_array_equal(pieces.measure(), whole.step(action))


def test_an_accelerometer_feels_the_floor_and_nothing_in_free_fall():
    simulation = Simulation(SPEC)
    for _ in range(40):
        simulation.step(np.zeros(SPEC.nu))
    np.testing.assert_allclose(simulation.specific_force(), [0.0, 0.0, 9.81], atol=0.3)
    m = start_measurement(SPEC)
    m[2] += 3.0
    simulation.reset(m)
    simulation.advance(np.zeros(SPEC.nu), 1)
    np.testing.assert_allclose(simulation.specific_force(), 0.0, atol=0.3)


def test_full_torque_is_what_a_control_of_one_gives():
    simulation = Simulation(SPEC)
    simulation.advance(np.ones(SPEC.nu), 1)
    np.testing.assert_allclose(simulation.joint_torque(), simulation.full_torque)  # the ant drives every joint
