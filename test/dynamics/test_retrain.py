"""Retraining apart from control, in a worker that may fail."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from mbmf_ros.data.collect import CollectConfig, collect_random
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.acceptance import AcceptanceConfig
from mbmf_ros.dynamics.holdout import hold_out
from mbmf_ros.dynamics.io import load_model, model_from_bytes, save_model
from mbmf_ros.dynamics.model import DynamicsConfig
from mbmf_ros.dynamics.refit import RefitConfig
from mbmf_ros.dynamics.retrain import Retraining, RetrainTask, Verdict, work
from mbmf_ros.dynamics.training import TrainConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot

SPEC = robot("ant")
torch.set_num_threads(1)  # more would fight with whatever else runs
TRAINING = TrainConfig(epochs=1, min_updates=200, batch_size=64, symmetries=False)
REFIT = RefitConfig(dynamics=DynamicsConfig(members=1, hidden=16), training=TRAINING)
TASK = RetrainTask("ant", refit=REFIT)


@pytest.fixture(scope="module")
def store() -> TransitionStore:
    return collect_random(SPEC, 1200, seed=1, config=CollectConfig(episode_steps=40), threads=1)


def prepare(folder: Path, task: RetrainTask, store: TransitionStore) -> None:
    (folder / "task.json").write_text(json.dumps(dataclasses.asdict(task)))
    store.save(folder / "transitions.safetensors")


def verdict_of(folder: Path) -> Verdict:
    return Verdict(**json.loads((folder / "verdict.json").read_text()))


def wait(retraining: Retraining) -> Verdict:
    while (verdict := retraining.poll()) is None:
        threading.Event().wait(0.05)
    return verdict


def test_the_work_uses_base_data_and_new_data(store: TransitionStore, tmp_path: Path):
    base = tmp_path / "base.safetensors"
    store.save(base)
    extra = collect_random(SPEC, 300, seed=2, config=CollectConfig(episode_steps=40), threads=1)
    prepare(tmp_path, dataclasses.replace(TASK, base_data=str(base), min_transitions=1500), extra)
    work(tmp_path)
    assert verdict_of(tmp_path).accepted
    both = TransitionStore(SPEC, [*store.episodes, *extra.episodes])
    assert load_model(tmp_path / "model.safetensors", SPEC)[1].transitions == hold_out(both, 0.1)[0].store.transitions
    prepare(tmp_path, dataclasses.replace(TASK, base_data=str(base), min_transitions=1501), extra)
    with pytest.raises(MbmfError, match=r"1500 transitions are too few, expected 1501"):
        work(tmp_path)


def test_what_a_model_lost_to_better_ones_is_in_its_file_and_counts(store: TransitionStore, tmp_path: Path):
    prepare(tmp_path, TASK, store)
    work(tmp_path)
    model, info = load_model(tmp_path / "model.safetensors", SPEC)
    assert info.extra["behind"] == {}, "it is the first"
    lost = dataclasses.replace(info, extra={"behind": {"recent": 1.5}})
    save_model(tmp_path / "current.safetensors", model, lost)
    slightly_worse = dataclasses.replace(TRAINING, min_updates=195)
    known = dataclasses.replace(REFIT, training=slightly_worse, acceptance=AcceptanceConfig(tolerance=0.4))
    for changed, allowed in ((False, "+0%"), (True, "")):
        prepare(tmp_path, dataclasses.replace(TASK, refit=dataclasses.replace(known, changed=changed)), store)
        work(tmp_path)
        verdict = verdict_of(tmp_path)
        assert verdict.accepted == changed, verdict.reason
        assert allowed in verdict.reason
        behind = load_model(tmp_path / "model.safetensors", SPEC)[1].extra["behind"]["recent"]
        assert (behind < 1.4) == changed


def test_a_worker_trains_and_says_what_went_wrong(store: TransitionStore):
    training = Retraining(TASK, store, None)
    verdict = wait(training)
    assert verdict.accepted, verdict.reason
    assert training.progress == 1.0
    assert model_from_bytes(verdict.model, SPEC)[0].config == REFIT.dynamics
    assert verdict.recent_error is not None
    assert 0 < verdict.recent_error < 2
    assert verdict.old_error is None, "nothing is as old as that"
    assert 50 < verdict.memory_mb < 2000
    foreign = Retraining(dataclasses.replace(TASK, base_data="missing.safetensors"), store, None)
    verdict = wait(foreign)
    assert not verdict.accepted
    assert "there is no data file missing.safetensors" in verdict.reason


def test_a_worker_that_needs_more_memory_than_it_may_have_says_so(store: TransitionStore):
    big = dataclasses.replace(REFIT, dynamics=DynamicsConfig(members=64, hidden=4096))
    verdict = wait(Retraining(dataclasses.replace(TASK, refit=big, max_memory_mb=1000), store, None))
    assert not verdict.accepted
    assert "more memory than it may have" in verdict.reason


def test_a_worker_that_nobody_waits_for_ends_and_clears_up(store: TransitionStore, tmp_path: Path):
    folder = tmp_path / "retrain"
    folder.mkdir()
    endless = dataclasses.replace(REFIT, training=TrainConfig(min_updates=10_000_000))
    prepare(folder, dataclasses.replace(TASK, refit=endless), store)
    command = [sys.executable, "-m", "mbmf_ros.dynamics.retrain", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        assert 0 <= float(process.stdout.readline()) < 1
        process.stdout.close()  # as the kernel does for a killed learner
        try:
            process.wait(30)
        finally:
            process.kill()
    assert process.returncode > 0
    assert not folder.exists()
