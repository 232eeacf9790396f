"""The dynamics learner, a bridge that tells it of motion, and the motion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mbmf_ros.data.collect import CollectConfig, collect_random
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.dataset import make_dataset
from mbmf_ros.dynamics.io import ModelInfo, layout_hash, save_model
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.robots import robot

if TYPE_CHECKING:
    import rclpy
    from learner_bridge import Bridge
    from rclpy.executors import SingleThreadedExecutor

    from mbmf_ros.nodes.dynamics_learner import DynamicsLearner

SMALL = {
    "min_transitions": 500,
    "dynamics.members": 2,
    "dynamics.hidden": 32,
    "training.min_updates": 300,
    "training.epochs": 1,
    "training.batch_size": 64,
}


@pytest.fixture
def context() -> Iterator[rclpy.Context]:
    import rclpy
    from learner_bridge import DOMAIN

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def executor(context: rclpy.Context) -> Iterator[SingleThreadedExecutor]:
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor(context=context)
    yield executor
    executor.shutdown()


@pytest.fixture
def bridge(context: rclpy.Context, executor: SingleThreadedExecutor) -> Iterator[Bridge]:
    from learner_bridge import Bridge

    node = Bridge(context, executor)
    yield node
    node.destroy_node()


@pytest.fixture
def learner(context: rclpy.Context, executor: SingleThreadedExecutor, tmp_path: Path) -> Iterator[Callable]:
    """Makes a learner that logs into ``tmp_path / "log"``; keyword arguments are parameters."""
    from rclpy.parameter import Parameter

    from mbmf_ros.nodes.dynamics_learner import DynamicsLearner

    nodes = []

    def make(**parameters: Any) -> DynamicsLearner:
        values = {"log_dir": str(tmp_path / "log"), "model_path": "", "save_path": str(tmp_path / "saved.safetensors")}
        values |= SMALL | parameters
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        node = DynamicsLearner(context=context, parameter_overrides=overrides)
        executor.add_node(node)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.fixture(scope="session")
def store() -> TransitionStore:
    return collect_random(robot("ant"), 800, seed=0, config=CollectConfig(episode_steps=50), threads=1)


@pytest.fixture(scope="session")
def model_file(store: TransitionStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model, which any trained one beats."""
    model = Dynamics(robot("ant"), DynamicsConfig(members=1, hidden=8))
    data = make_dataset(store, model.profile)
    model.set_statistics(data.inputs, data.outputs)
    path = tmp_path_factory.mktemp("model") / "untrained.safetensors"
    save_model(path, model, ModelInfo("ant", "body", layout_hash(model), 7, 1.0, 2.0, 10))
    return path
