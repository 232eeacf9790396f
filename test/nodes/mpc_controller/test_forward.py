"""Moving forward as the robots' files have it: what a policy falls back to must not fall."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

import rclpy
from rclpy.node import Node

from mbmf_ros.config import load_yaml, override
from mbmf_ros.control.goals import ForwardGoal
from mbmf_ros.control.recipes import recipe as recipe_of
from mbmf_ros.dynamics.io import default_model_path, load_model
from mbmf_ros.nodes.controller_config import MpcControllerConfig, make_controller
from mbmf_ros.nodes.learner_config import LearnerConfig
from mbmf_ros.nodes.runtime import declare
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import Simulation, start_measurement
from mbmf_ros.shared_files import shared_file

pytestmark = pytest.mark.ros


def given(name: str, node: str) -> dict:
    """What a robot's file says to a node."""
    return load_yaml(shared_file("config", f"{name}.yaml"))[f"/**/{node}"]["ros__parameters"]


def test_the_hopper_moves_as_it_learns_and_holds_at_its_own_height():
    driving, spec = given("hopper", "mpc_controller"), robot("hopper")
    recipe = load_yaml(shared_file("config", "learn", "hopper.yaml"))["forward"]
    assert driving["forward"] == recipe["forward"]
    planner = recipe["planner_settings"]
    assert driving["icem"] == {**planner, "first_iterations": 4, "rescue_iterations": 4}, "more would come too late"
    config = override(MpcControllerConfig(), driving)
    for task in (config.hold, config.velocity, config.follow_path):
        assert spec.start_height_m < task.max_height_m
        assert spec.min_up < task.min_up < 1
        assert task.death_cost == config.forward.death_cost


@pytest.mark.parametrize("name", ["swimmer", "half_cheetah_v5", "hopper"])
def test_the_first_live_training_comes_when_there_is_as_much_as_offline_learning_begins_with(name):
    config = override(LearnerConfig(), given(name, "dynamics_learner"))
    spec = robot(name)
    assert spec.forward is not None
    wanted = recipe_of(spec, "forward_v5" if name.endswith("_v5") else "forward").random_steps
    assert wanted <= config.continual.first_train == config.min_transitions <= 4 * wanted
    assert config.continual.first_train * spec.dt_s <= 200, "six thousand, as the ant, were 15 minutes of the swimmer"
    assert config.continual.retrain_every < config.continual.first_train


@pytest.mark.parametrize("name", ["swimmer", "half_cheetah_v5", "hopper"])
def test_ros_reads_the_files(name):
    context = rclpy.Context()  # its parser knows less YAML than ours
    rclpy.init(args=["--ros-args", "--params-file", str(shared_file("config", f"{name}.yaml"))], context=context)
    node = Node("dynamics_learner", context=context)
    assert declare(node, LearnerConfig()) == override(LearnerConfig(robot=name), given(name, "dynamics_learner"))
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize("name", ["ant", "half_cheetah_v5"])
def test_it_runs_and_stays_on_its_feet(name):
    spec = robot(name)
    driving = given(name, "mpc_controller")
    recipe = load_yaml(shared_file("config", "learn", f"{name}.yaml"))["forward_v5"]["forward"]
    assert driving["forward"] == recipe
    # With the defaults both fall within 305 steps with this seed.
    config = override(MpcControllerConfig(seed=1), driving)
    controller, simulation = make_controller(spec, config), Simulation(spec)
    controller.swap(load_model(default_model_path(spec), spec)[0], 1)
    assert spec.forward is not None
    controller.set_goal(ForwardGoal(spec.forward, config.forward))
    m = simulation.reset(start_measurement(spec, np.random.default_rng(1), 0.03))
    for step in range(200):
        m = simulation.step(controller.act(m).action)
        assert not spec.fallen(m), step
    assert m[0] > 200 * spec.dt_s  # 1 m/s
