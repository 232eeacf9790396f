"""``mbmf collect``, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mbmf_ros.cli import main
from mbmf_ros.control import on_policy
from mbmf_ros.data.collect import collect_episode
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import ParallelSimulation

SPEC = robot("ant")


def test_divergences_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    roll_out, batches = ParallelSimulation.rollout, iter(range(10**6))

    def diverging(self: ParallelSimulation, start: np.ndarray, actions: np.ndarray) -> np.ndarray:
        m = roll_out(self, start, actions)
        if next(batches) == 0:
            m[0, 5:] = np.nan
        return m

    monkeypatch.setattr(ParallelSimulation, "rollout", diverging)
    out, facts = tmp_path / "data.safetensors", tmp_path / "facts.json"
    assert main(["collect", "--transitions", "300", "--out", str(out), "--json", str(facts)]) == 0
    assert json.loads(facts.read_text())["diverged"] == 1
    assert "the simulation diverged in 1 rollouts" in capsys.readouterr().err
    store = TransitionStore.load(out, SPEC)
    assert (store.transitions, len(store.episodes[0])) == (300, 4)


def test_walking_goes_on_after_a_divergence(monkeypatch: pytest.MonkeyPatch):
    count = iter(range(10**6))

    def cut(*arguments: object) -> Episode:
        episode = collect_episode(*arguments)  # type: ignore[arg-type]
        steps = {0: 0, 1: 3}.get(next(count), len(episode))
        return Episode(episode.measurements[: steps + 1], episode.actions[:steps], episode.source)

    monkeypatch.setattr(on_policy, "collect_episode", cut)
    monkeypatch.setattr(on_policy, "EPISODE_STEPS", 6)
    told: list[None] = []
    model = Dynamics(SPEC, DynamicsConfig(members=1, hidden=8))
    store = on_policy.collect_on_policy(model, 12, 0, on_divergence=lambda: told.append(None))
    assert (store.transitions, len(store.episodes[0]), len(told)) == (12, 3, 2)
