"""Retraining apart from control: what is held out, when a model is accepted, and a worker that may fail."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from mbmf_ros.data.collect import CollectConfig, collect_random
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.dynamics.dataset import make_dataset
from mbmf_ros.dynamics.io import load_model, model_from_bytes
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.dynamics.retrain import Retraining, RetrainTask, Verdict, compare, hold_out, moving, work
from mbmf_ros.dynamics.training import TrainConfig, fit
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot

SPEC = robot("ant")
torch.set_num_threads(1)  # more would fight with whatever else runs
TRAINING = TrainConfig(epochs=1, min_updates=200, batch_size=64, symmetries=False)
TASK = RetrainTask("ant", dynamics=DynamicsConfig(members=1, hidden=16), training=TRAINING)


@pytest.fixture(scope="module")
def store() -> TransitionStore:
    return collect_random(SPEC, 1200, seed=1, config=CollectConfig(episode_steps=40), threads=1)


@pytest.fixture(scope="module")
def models(store: TransitionStore) -> tuple[Dynamics, Dynamics]:
    """A trained and an untrained model with the same normaliser."""
    trained, untrained = (Dynamics(SPEC, TASK.dynamics) for _ in range(2))
    data = make_dataset(store, trained.profile)
    fit(trained, data, None, TRAINING)
    untrained.set_statistics(data.inputs, data.outputs)
    return trained, untrained


def prepare(folder: Path, task: RetrainTask, store: TransitionStore) -> None:
    (folder / "task.json").write_text(json.dumps(dataclasses.asdict(task)))
    store.save(folder / "transitions.safetensors")


def verdict_of(folder: Path) -> Verdict:
    return Verdict(**json.loads((folder / "verdict.json").read_text()))


def wait(retraining: Retraining) -> Verdict:
    while (verdict := retraining.poll()) is None:
        threading.Event().wait(0.05)
    return verdict


def test_what_is_held_out_stays_held_out_as_data_grows(store: TransitionStore):
    few = TransitionStore(SPEC, store.episodes[:20])
    train_few, held_few = hold_out(few, 0.3)
    train, held = hold_out(store, 0.3)
    assert len(train.episodes) + len(held.episodes) == len(store.episodes)
    assert 0.1 < len(held.episodes) / len(store.episodes) < 0.5
    known = {id(episode) for episode in held.episodes}
    assert {id(episode) for episode in held_few.episodes} <= known
    assert not {id(episode) for episode in train_few.episodes} & known


def test_standing_still_is_not_learned_from(store: TransitionStore):
    still = Episode(store.episodes[0].measurements, np.zeros_like(store.episodes[0].actions))
    assert moving(TransitionStore(SPEC, [still, *store.episodes[:2], still])).episodes == store.episodes[:2]


def test_both_parts_have_an_episode_and_one_alone_is_too_few(store: TransitionStore):
    for first in range(10):
        for share in (0.001, 0.999):
            train, held = hold_out(TransitionStore(SPEC, store.episodes[first : first + 2]), share)
            assert (len(train.episodes), len(held.episodes)) == (1, 1)
    with pytest.raises(MbmfError, match="at least 2 episodes"):
        hold_out(TransitionStore(SPEC, store.episodes[:1]), 0.1)


def test_a_model_is_accepted_only_if_finite_and_no_worse(store: TransitionStore, models: tuple[Dynamics, Dynamics]):
    trained, untrained = models
    assert compare(trained, None, store)[0]
    assert compare(trained, untrained, store)[0]
    assert compare(trained, trained, store)[0]
    accepted, reason = compare(untrained, trained, store)
    assert not accepted
    assert "the model in force has" in reason
    broken = Dynamics(SPEC, TASK.dynamics)
    with torch.no_grad():
        broken.weights[0][0, 0, 0] = float("nan")
    accepted, reason = compare(broken, None, store)
    assert not accepted
    assert "not finite" in reason


def test_the_work_uses_base_data_and_new_data(store: TransitionStore, tmp_path: Path):
    base = tmp_path / "base.safetensors"
    store.save(base)
    extra = collect_random(SPEC, 300, seed=2, config=CollectConfig(episode_steps=40), threads=1)
    prepare(tmp_path, dataclasses.replace(TASK, base_data=str(base), min_transitions=1500), extra)
    work(tmp_path)
    assert verdict_of(tmp_path).accepted
    both = TransitionStore(SPEC, [*store.episodes, *extra.episodes])
    assert load_model(tmp_path / "model.safetensors", SPEC)[1].transitions == hold_out(both, 0.1)[0].transitions
    prepare(tmp_path, dataclasses.replace(TASK, base_data=str(base), min_transitions=1501), extra)
    with pytest.raises(MbmfError, match=r"1500 transitions are too few, expected 1501"):
        work(tmp_path)


def test_a_worker_trains_and_says_what_went_wrong(store: TransitionStore):
    training = Retraining(TASK, store, None)
    verdict = wait(training)
    assert verdict.accepted, verdict.reason
    assert training.progress == 1.0
    assert model_from_bytes(verdict.model, SPEC)[0].config == TASK.dynamics
    foreign = Retraining(dataclasses.replace(TASK, base_data="missing.safetensors"), store, None)
    verdict = wait(foreign)
    assert not verdict.accepted
    assert "there is no data file missing.safetensors" in verdict.reason


def test_a_worker_that_nobody_waits_for_ends_and_clears_up(store: TransitionStore, tmp_path: Path):
    folder = tmp_path / "retrain"
    folder.mkdir()
    prepare(folder, dataclasses.replace(TASK, training=TrainConfig(min_updates=10_000_000)), store)
    command = [sys.executable, "-m", "mbmf_ros.dynamics.retrain", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        assert 0 < float(process.stdout.readline()) < 1
        process.stdout.close()  # as the kernel does for a killed learner
        try:
            process.wait(30)
        finally:
            process.kill()
    assert process.returncode > 0
    assert not folder.exists()
