"""The folder of an imitation: whose recordings it holds, and what stays as it is when nothing is left to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from quick_imitation import (  # pyright: ignore[reportMissingImports]
    QUICK,
    SPEC,
    KilledError,
    begin,
    learnt,
    timeless,
)

from mbmf_ros.config import override
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy import recording
from mbmf_ros.policy.files import POLICY_FILE
from mbmf_ros.policy.rollouts import load_rollouts
from mbmf_ros.policy.source import load_source

torch.set_num_threads(1)
CLONED = override(QUICK, {"rounds": 0, "improvement": {"rounds": 0}})


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learnt(tmp_path_factory.mktemp("expert") / "run")


def killed_in_round_0(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave an imitation with one of two rollouts of the expert."""
    save = recording.save_rollout

    def die(path: Path, *args: Any) -> None:
        if path.name == "00_0001.safetensors":
            raise KilledError
        save(path, *args)

    with monkeypatch.context() as patched:
        patched.setattr(recording, "save_rollout", die)
        with pytest.raises(KilledError):
            begin(source, folder, CLONED).run()
    assert len(load_rollouts(folder / "rollouts", SPEC)) == 1


def test_a_run_killed_in_round_0_goes_on_exactly(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole, cut = begin(source, tmp_path / "whole", CLONED), tmp_path / "cut"
    whole.run()
    killed_in_round_0(source, cut, monkeypatch)
    assert json.loads((cut / "run.json").read_text())["curve"] == []
    again = begin(source, cut, CLONED)
    with pytest.raises(MbmfError, match="no round of the imitation is finished"):
        _ = again.outcome
    with pytest.raises(MbmfError, match="not finished, 1 round or more are missing"):
        load_source(cut)
    again.run()
    assert timeless(again.curve) == timeless(whole.curve)
    assert len(load_source(cut).rollouts) == 2


def test_nobody_elses_recordings_of_round_0_are_used(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    expert, folder = tmp_path / "expert", tmp_path / "cut"
    shutil.copytree(source, expert)
    killed_in_round_0(expert, folder, monkeypatch)
    with pytest.raises(MbmfError, match=r"config.action_noise is 0.05 there, 0.1 here; choose another with --folder"):
        begin(expert, folder, override(CLONED, {"action_noise": 0.1}))
    learnt(expert, 380)
    with pytest.raises(MbmfError, match=r"holds another run: expert.model is .*; choose another with --folder"):
        begin(expert, folder, CLONED)
    (folder / "run.json").unlink()  # as it was once
    with pytest.raises(MbmfError, match=r"does not say what it is .*; remove the folder to begin anew"):
        begin(expert, folder, CLONED)
    shutil.rmtree(folder)
    begin(expert, folder, CLONED).run()


def test_a_finished_run_that_is_repeated_leaves_its_policy_as_it_is(source: Path, tmp_path: Path):
    begin(source, tmp_path, CLONED).run()
    digest, file = load_source(tmp_path).digest, tmp_path / POLICY_FILE
    made = file.stat().st_mtime_ns
    begin(source, tmp_path, CLONED).run()
    assert file.stat().st_mtime_ns == made
    assert load_source(tmp_path).digest == digest
    file.unlink()
    begin(source, tmp_path, CLONED).run()
    assert file.is_file()
