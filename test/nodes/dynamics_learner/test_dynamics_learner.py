"""The dynamics learner over real ROS: a fake bridge publishes recorded motion."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from learner_bridge import SPEC, Bridge, values
from std_srvs.srv import SetBool, Trigger

from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.dynamics.io import layout_hash, load_model, model_from_bytes
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import LearnerStatus
from mbmf_ros.nodes.runtime import OK, WARN
from mbmf_ros.robots.sim import start_measurement

pytestmark = pytest.mark.ros


def test_it_trains_on_request_and_goes_on_logging(
    bridge: Bridge, learner: Callable, store: TransitionStore, model_file: Path
):
    learner(model_path=str(model_file))
    bridge.connect()
    bridge.until(lambda: len(bridge.models) == 1)
    assert (bridge.models[0].version, bridge.models[0].transitions) == (1, 7)
    assert bytes(bridge.models[0].weights) == model_file.read_bytes()

    few = bridge.call(Trigger, "train")
    assert not few.success
    assert "0 transitions in motion are too few" in few.message

    count = bridge.publish(store)
    bridge.until(lambda: bridge.status.logged == count)
    answer = bridge.call(Trigger, "train")
    assert answer.success, answer.message
    again = bridge.call(Trigger, "train")
    assert not again.success
    assert "under way" in again.message
    bridge.publish(store, first_episode=1000)
    bridge.until(lambda: bridge.status.logged == 2 * count)
    assert len(bridge.models) == 1, "the states were logged only after the training"
    assert bridge.status.state == LearnerStatus.STATE_TRAINING
    bridge.until(lambda: len(bridge.models) == 2)
    bridge.until(lambda: bridge.status.state == LearnerStatus.STATE_IDLE)

    message = bridge.models[1]
    model, info = model_from_bytes(bytes(message.weights), SPEC)
    assert message.version == bridge.status.model_version == 2
    assert (message.robot, message.profile, message.layout_hash) == ("ant", "body", layout_hash(model))
    assert (model.config.members, model.config.hidden) == (2, 32)
    assert 0 < info.transitions == message.transitions == bridge.status.model_transitions < count
    assert 0 < message.one_step_error == info.one_step_error < 1
    assert "accepted" in bridge.status.message


def test_save_load_and_pause(
    bridge: Bridge, learner: Callable, store: TransitionStore, model_file: Path, tmp_path: Path
):
    learner(model_path=str(model_file))
    bridge.connect()
    saved = tmp_path / "saved.safetensors"
    assert bridge.call(Trigger, "save").success
    assert load_model(saved, SPEC)[1].transitions == 7
    assert bridge.call(Trigger, "load").success
    bridge.until(lambda: [model.version for model in bridge.models][-1:] == [2])
    saved.write_bytes(saved.read_bytes()[:-100])
    torn = bridge.call(Trigger, "load")
    assert not torn.success
    assert str(saved) in torn.message
    bridge.until(lambda: bridge.status.model_version == 2)

    assert bridge.call(SetBool, "set_paused", SetBool.Request(data=True)).success
    bridge.until(lambda: bridge.status.state == LearnerStatus.STATE_PAUSED)
    bridge.publish(store.head(20))
    bridge.until(lambda: any(("states while paused", "21") in values(found) for found in bridge.diagnoses))
    assert bridge.call(SetBool, "set_paused", SetBool.Request(data=False)).success
    count = bridge.publish(store.head(30), first_episode=500)
    bridge.until(lambda: bridge.status.logged >= count)
    assert bridge.status.logged == count


def test_stopping_ends_the_worker(bridge: Bridge, learner: Callable, store: TransitionStore):
    node = learner(**{"training.min_updates": 10_000_000})
    bridge.connect()
    count = bridge.publish(store)
    bridge.until(lambda: bridge.status.logged == count)
    assert bridge.call(Trigger, "train").success
    bridge.until(lambda: bridge.status.progress > 0)  # it is well under way
    assert node.worker_pid is not None
    pid = node.worker_pid
    assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
    node.destroy_node()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("service", ["reset", "load"])
def test_after_a_new_beginning_diagnostics_do_not_warn_of_what_failed_before(
    bridge: Bridge,
    learner: Callable,
    store: TransitionStore,
    model_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    service: str,
):
    monkeypatch.setenv("HOME", str(tmp_path))
    base = tmp_path / "base.safetensors"
    store.save(base)
    learner(base_data="~/base.safetensors")
    (tmp_path / "saved.safetensors").write_bytes(model_file.read_bytes())
    bridge.connect()
    base.write_bytes(base.read_bytes()[:-100])
    assert bridge.call(Trigger, "train").success
    bridge.until(lambda: bridge.status.refused == 1)
    assert f"{base} is not a whole transitions file" in bridge.status.refusal
    bridge.until(lambda: any(found.level == WARN and "not a whole" in found.message for found in bridge.diagnoses))
    assert bridge.call(Trigger, service).success
    bridge.diagnoses.clear()
    bridge.until(lambda: any(("trainings refused", "1") in values(found) for found in bridge.diagnoses))
    told = [found for found in bridge.diagnoses if "dynamics_learner" in found.name]
    assert [found.level for found in told] == [OK] * len(told)
    assert ("training", "idle") in values(told[-1])


def test_after_a_restart_only_transitions_in_motion_count(bridge: Bridge, learner: Callable):
    m, actions = np.tile(start_measurement(SPEC), (201, 1)), np.zeros((200, SPEC.nu))
    actions[40:50] = 0.5
    by_itself = {"continuous": True, "continual.first_train": 100}
    first = learner(**by_itself)
    bridge.connect()
    count = bridge.publish(TransitionStore(SPEC, [Episode(m, actions)] * 3))
    bridge.until(lambda: bridge.status.logged == count)
    assert bridge.status.until_training == 70
    few = bridge.call(Trigger, "train")
    assert "30 transitions in motion are too few" in few.message
    first.destroy_node()
    bridge.statuses.clear()
    learner(**by_itself)
    bridge.until(lambda: len(bridge.statuses) > 1)  # the first one is told before the log counts
    assert (bridge.status.kept, bridge.status.until_training) == (600, 70)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"model_path": "missing.safetensors"}, r"cannot read the model missing\.safetensors"),
        ({"base_data": "missing.safetensors"}, r"base_data: there is no file missing\.safetensors"),
        ({"robot": "atn"}, "did you mean 'ant'"),
        ({"training.epoch": 3}, r"training\.epochs"),
    ],
)
def test_bad_parameters_are_named(learner: Callable, parameters: dict[str, Any], said: str, tmp_path: Path):
    with pytest.raises(MbmfError, match=said):
        learner(**parameters)
    assert not (tmp_path / "log").exists()
