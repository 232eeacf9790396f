"""Every node of the package, with the parameters that it is fuzzed with; some of them with others, a second time."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
import torch
import yaml
from fuzz_bench import Bench, FuzzClock
from fuzz_names import node_of
from fuzz_watch import Watch
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

import mbmf_ros.nodes
from mbmf_ros.config import load_yaml
from mbmf_ros.dynamics.io import ModelInfo, layout_hash, model_to_bytes
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.robots import robot
from mbmf_ros.shared_files import shared_file

SPEC = robot("ant")
DISCOVERY_S = 30.0
NEVER = 10**6  # so many transitions are not seen here: no training begins


def node_classes() -> dict[str, Callable[..., Node]]:
    """Every node class of ``mbmf_ros.nodes``, by the name of its module, which is the node's."""
    found = {}
    for info in pkgutil.iter_modules(mbmf_ros.nodes.__path__):
        module = importlib.import_module(f"mbmf_ros.nodes.{info.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Node) and kind.__module__ == module.__name__:
                found[info.name] = kind
    return found


def model_bytes(seed: int = 0) -> bytes:
    """An untrained model of the ant."""
    model = Dynamics(SPEC, DynamicsConfig(members=1, hidden=16), seed)
    model.output_std.fill_(0.05)  # so much that it matters what is done
    return model_to_bytes(model, ModelInfo(SPEC.name, "body", layout_hash(model), 100, 0.5, 0.9, 10))


def parameters(folder: Path) -> dict[str, dict[str, Any]]:
    """Parameters by case; a node that is not named has its defaults. Files are kept in ``folder``."""
    model = folder / "model.safetensors"
    model.write_bytes(model_bytes())
    hardware = shared_file("config", "hardware", "ant_stand_in.yaml")
    captured = folder / "captured.yaml"  # by motion capture, which tells poses without velocities; and its motors' heat
    changes = {"pose": {"source": "pose", "topic": "mocap/pose"}, "temperature": {"topic": "motors/temperature"}}
    captured.write_text(yaml.safe_dump({**load_yaml(hardware), **changes}))
    small = {"icem.batch_size": 16, "icem.time_steps": 4, "icem.iterations": 2, "model_path": str(model)}
    waypoints = {"waypoints_file": str(folder / "waypoints.yaml")}
    return {
        "sim_bridge": {"publish_clock": False},
        "hardware_bridge": {"config": str(hardware)},
        "hardware_bridge+captured": {"config": str(captured)},
        "hardware_stand_in": {"config": str(hardware)},
        "mpc_controller": small,
        "mpc_controller+stamped": small | {"enable_stamped_cmd_vel": True},
        "dynamics_learner": {
            "log_dir": str(folder / "log"),
            "max_log_mb": 50,
            "model_path": "",
            "save_path": str(folder / "saved.safetensors"),
            "min_transitions": NEVER,
        },
        "waypoints": waypoints,
        "waypoints+stamped": waypoints | {"enable_stamped_cmd_vel": True},
        "cockpit": {"port": 0},
    }


def make(case: str, folder: Path, context: rclpy.Context) -> Node:
    """A node of the package."""
    values = parameters(folder).get(case, {})
    overrides = [Parameter(key, value=value) for key, value in values.items()]
    return node_classes()[node_of(case)](context=context, parameter_overrides=overrides)


def on_bench(case: str, folder: Path, context: rclpy.Context, clock: FuzzClock) -> Bench:
    """A node of the package on a bench, with somebody who listens to whatever it publishes."""
    with clock.in_force():
        node = make(case, folder, context)
    torch.set_flush_denormal(False)  # the controller's setting; Hypothesis cannot bear it
    watch = Watch(SPEC)
    if safety := getattr(node, "safety", None):
        watch.layer, watch.hardware = safety.layer, getattr(node, "hardware", None)
    bench = Bench(node, clock, watch)
    if case == "cockpit":
        _look_at(node)
        bench.pass_time(0.3)  # it subscribes to what is shown
    return bench


def _look_at(cockpit: Any) -> None:
    """Pretend that a browser shows everything."""
    cockpit.scene.__class__ = type("Watched", (type(cockpit.scene),), {"watched": True})
    cockpit._wants_candidates = True


def listen(bench: Bench, probe: Node) -> None:
    """Have ``probe`` listen to everything that the node publishes: some draw only for somebody."""
    heard = [one for one in bench.node.publishers if one.topic_name not in ("/rosout", "/parameter_events")]
    for publisher in heard:
        probe.create_subscription(publisher.msg_type, publisher.topic_name, lambda _: None, QoSProfile(depth=1))
    end, executor = time.monotonic() + DISCOVERY_S, SingleThreadedExecutor(context=probe.context)
    executor.add_node(probe)  # the probe alone: the node's own work is counted
    while not all(publisher.get_subscription_count() for publisher in heard):
        assert time.monotonic() < end, f"no subscribers within {DISCOVERY_S:g} s"
        executor.spin_once(timeout_sec=0.01)
    executor.remove_node(probe)
    executor.shutdown()
