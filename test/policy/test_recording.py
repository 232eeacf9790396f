"""Recording of rollouts for imitation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quick_imitation import LEARNING, SPEC  # pyright: ignore[reportMissingImports]

from mbmf_ros.control.algorithm import Learner
from mbmf_ros.errors import DivergenceError
from mbmf_ros.policy import recording
from mbmf_ros.policy.recording import Wanted
from mbmf_ros.policy.rollouts import load_rollout

torch.set_num_threads(1)


@pytest.mark.parametrize("whole", [0, 4])
def test_an_experts_rollout_that_diverges_keeps_the_labels_of_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int
):
    learner = Learner(SPEC, "forward", LEARNING, 0)
    step, taken, told = learner.env.step, [], []

    def diverge(action: np.ndarray) -> Any:
        if len(taken) == whole:
            raise DivergenceError("diverged")
        taken.append(action)
        return step(action)

    def expert(m: np.ndarray) -> np.ndarray:
        told.append(np.full(SPEC.nu, 0.1 * len(told)))
        return told[-1]

    monkeypatch.setattr(learner.env, "step", diverge)
    monkeypatch.setattr(recording, "expert_of", lambda learner, seed: expert)
    monkeypatch.setitem(recording._opened, tmp_path, learner)
    file = tmp_path / "00_0000.safetensors"
    recording._record(tmp_path, "", Wanted("expert", file, 0, 20))
    made = load_rollout(file, SPEC)
    assert len(told) == whole + 1
    assert len(made) == len(made.labels) == whole
    assert made.labels.tolist() == [each.tolist() for each in told[:whole]]
