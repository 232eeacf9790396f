"""Moving forward as the robots' files have it: what a policy falls back to must not fall."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from mbmf_ros.config import load_yaml, override
from mbmf_ros.control.goals import ForwardGoal
from mbmf_ros.dynamics.io import default_model_path, load_model
from mbmf_ros.nodes.controller_config import MpcControllerConfig, make_controller
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import Simulation, start_measurement
from mbmf_ros.shared_files import shared_file

pytestmark = pytest.mark.ros


@pytest.mark.parametrize("name", ["ant", "half_cheetah_v5"])
def test_it_runs_and_stays_on_its_feet(name):
    spec = robot(name)
    given = load_yaml(shared_file("config", f"{name}.yaml"))["/**/mpc_controller"]["ros__parameters"]
    recipe = load_yaml(shared_file("config", "learn", f"{name}.yaml"))["forward_v5"]["forward"]
    assert given["forward"] == recipe
    config = override(MpcControllerConfig(seed=1), given)  # with the defaults both fall within 305 steps with this seed
    controller, simulation = make_controller(spec, config), Simulation(spec)
    controller.swap(load_model(default_model_path(spec), spec)[0], 1)
    assert spec.forward is not None
    controller.set_goal(ForwardGoal(spec.forward, config.forward))
    m = simulation.reset(start_measurement(spec, np.random.default_rng(1), 0.03))
    for step in range(200):
        m = simulation.step(controller.act(m).action)
        assert not spec.fallen(m), step
    assert m[0] > 200 * spec.dt_s  # 1 m/s
