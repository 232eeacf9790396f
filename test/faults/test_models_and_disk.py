"""The learner's faults: models of another robot, torn ones, floods of them; and a disk that is full."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import time
from array import array
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from mbmf_ros.dynamics.io import default_model_path, load_model
from mbmf_ros.msg import ControllerStats, LearnerStatus, Model
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.mpc_controller import MODEL_PERIOD_S
from mbmf_ros.robots import robot

pytestmark = pytest.mark.ros
SPEC = robot("ant")
NEVER_SENT = 1000  # a model version


def model(name: str, size: float = 1.0) -> Model:
    """The first part of a shipped model, told as the ant's."""
    data = default_model_path(robot(name)).read_bytes()
    _, info = load_model(default_model_path(SPEC), SPEC)
    message = Model(robot=info.robot, profile=info.profile, layout_hash=info.layout_hash, version=NEVER_SENT)
    message.weights = array("B", data[: math.floor(size * len(data))])
    return message


def in_force(sim) -> int:
    """Version of the model that the newest plan was made with."""
    return next(answer.model_version for answer in reversed(sim.actions) if not answer.idle)


@pytest.mark.parametrize(("name", "size"), [("swimmer", 1.0), ("ant", 0.5), ("ant", 0.0)])
def test_a_model_that_does_not_fit_is_refused(sim, moment, measured, name, size):
    moment(sim)
    first, refused, version = len(sim.ticks), sim.refused("mpc_controller"), in_force(sim)
    publisher = sim.speak(Model, "model", qos.LATCHED)
    publisher.publish(model(name, size))
    sim.until(lambda: sim.refused("mpc_controller") > refused, "the count")
    sim.probe.destroy_publisher(publisher)
    periods = sim.gets_on(1.0)
    sim.undisturbed(first)
    assert in_force(sim) == version
    assert f"refused model version {NEVER_SENT}, keeping the old one" in sim.said()
    measured(f"model of {name!r}, {100 * size:g} % of it", one_metre_periods=periods)


def test_a_flood_of_models(sim, moment, measured):
    versions: list[int] = []
    sim.hear(ControllerStats, "mpc_controller/stats", qos.STATS, lambda stats: versions.append(stats.model_version))
    moment(sim)
    version, begun_s = in_force(sim), time.monotonic()
    script = [sys.executable, str(Path(__file__).parent / "flood.py"), str(default_model_path(SPEC)), str(version + 1)]
    domain = str(1 + os.getpid() % 100)
    with subprocess.Popen(script, env=os.environ | {"ROS_DOMAIN_ID": domain}) as flood:
        try:
            sim.until(lambda: versions and versions[-1] > version, "one of its models")
            first, one = len(sim.ticks), versions[-1]
            periods = sim.gets_on(1.0)
            sim.undisturbed(first)
            sim.until(lambda: versions[-1] > one, "another one")
        finally:
            flood.kill()
    adopted, lasted_s = len(set(versions) - {0, version}), time.monotonic() - begun_s
    assert adopted <= 2 + lasted_s / MODEL_PERIOD_S  # however many there were
    measured("flood of models", models=versions[-1] - version, tried=adopted, one_metre_periods=periods)
    last = len(sim.ticks)
    sim.gets_on()
    sim.undisturbed(last)


def test_a_full_disk(sim, graphs, moment, measured):
    if graphs.disk is None:
        pytest.skip("this machine does not let a program mount a disk of its own")
    statuses: list[LearnerStatus] = []
    sim.hear(LearnerStatus, "dynamics_learner/status", qos.LATCHED, statuses.append)
    moment(sim)
    first = len(sim.ticks)
    ballast = graphs.disk / "ballast"
    try:
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        failed = lambda: statuses and statuses[-1].state == LearnerStatus.STATE_ERROR  # noqa: E731
        sim.until(failed, "the learner to say so")
        told = len(sim.ticks) - first
        periods = sim.gets_on(1.0)
        assert "No space left on device" in statuses[-1].message
    finally:
        ballast.unlink(missing_ok=True)
    sim.until(lambda: statuses[-1].state != LearnerStatus.STATE_ERROR, "the log to go on")
    sim.gets_on()
    sim.undisturbed(first)
    measured("disk full", told_after_periods=told, one_metre_periods=periods)
    # That all of what was heard is in the log in the end, and paired rightly, is looked at after every test.
