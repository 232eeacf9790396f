"""The accuracy experiment in small, and that it measures what it says."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from mbmf_ros.control import presets
from mbmf_ros.data.collect import collect_random
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.dynamics.training import TrainConfig
from mbmf_ros.experiments import open_loop, plot_open_loop
from mbmf_ros.experiments.body_state import BodyStates
from mbmf_ros.experiments.open_loop import Model, OpenLoop, errors, main, ranking
from mbmf_ros.experiments.sequences import played, walk, windows_of
from mbmf_ros.robots import profile, robot
from mbmf_ros.robots.sim import ParallelSimulation

SPEC = robot("ant")
SMALL = DynamicsConfig(members=2, hidden=8)
QUICK = TrainConfig(epochs=1, min_updates=20, batch_size=32, symmetries=False)


@pytest.mark.parametrize("name", ["ant", "half_cheetah", "hopper", "swimmer"])
def test_states_of_the_paper_hold_all_that_the_body_profile_needs(name: str):
    spec = robot(name)
    store = collect_random(spec, 60, seed=0, threads=1)
    m = np.concatenate([episode.measurements for episode in store.episodes])
    paper, body = profile(spec, "paper"), profile(spec, "body")
    np.testing.assert_allclose(BodyStates(spec, paper)(paper.encode(m)), body.encode(m), atol=1e-9)
    np.testing.assert_array_equal(BodyStates(spec, body)(body.encode(m)), body.encode(m))


def test_stretches_end_before_the_fall():
    store = collect_random(SPEC, 3000, seed=0, threads=1)
    stretches = windows_of(store, 60, 200, seed=0)
    assert stretches.steps.min() < 60 <= stretches.steps.max()
    for m, steps in zip(stretches.measurements, stretches.steps, strict=True):
        assert not SPEC.fallen(m[: steps + 1]).any()
        assert steps == 60 or SPEC.fallen(m[steps + 1]) or (m[steps + 1] == m[steps]).all()


class _Oracle:
    """Knows the simulator, and leaves out what it is told to."""

    def __init__(self, share: float):
        self.share = share
        self.truth = np.empty(0)

    def __call__(self, x0: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        truth = torch.from_numpy(profile(SPEC).encode(self.truth)).float()
        return (truth[:, :1] + self.share * (truth - truth[:, :1]))[None]


def test_errors_and_ranks_of_known_models():
    torch.set_num_threads(1)
    model = Dynamics(SPEC, SMALL).requires_grad_(False)
    walks = walk(model, "follow_path", 0, episodes=1, episode_steps=5, every=3, long_steps=20, long_count=4)
    sequences = played(SPEC, np.stack(walks.starts), np.stack(walks.candidates))
    assert sequences.actions.shape == (8, 20, SPEC.nu)
    half = _Oracle(0.5)
    half.truth = sequences.measurements
    rows = errors(SPEC, {"half": Model(profile(SPEC), half)}, "candidates", sequences)
    assert [row["horizon"] for row in rows] == [1, 5, 10, 20]
    assert all(abs(float(row["nrmse"]) - 0.5) < 0.02 for row in rows)  # headings halve only before they wrap

    whole = _Oracle(1.0)
    visit = walks.visits[0]
    visit.rounds[:] = visit.rounds[-1:]
    u = visit.rounds[0][0].double().numpy()
    starts = np.repeat(visit.m[None], len(u), axis=0)
    whole.truth = ParallelSimulation(SPEC, threads=1).rollout(starts, u)
    found = {row["model"]: row for row in ranking(SPEC, {"oracle": Model(profile(SPEC), whole)}, [visit])}
    assert found["oracle"]["spearman_mean"] > 0.999
    assert abs(found["planner"]["spearman_mean"]) < 0.9


def test_every_seed_is_done_once_and_plotted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    paper = dataclasses.replace(
        presets.PAPER, dynamics=DynamicsConfig(profile="paper", members=1, hidden=8), training=QUICK
    )
    monkeypatch.setattr(open_loop, "preset", lambda name, spec=None: paper)
    config = OpenLoop(
        out=tmp_path / "out",
        scratch=tmp_path / "scratch",
        transitions=600,
        seeds=(0, 1),
        sequences=12,
        episodes=1,
        every=50,
        dynamics=SMALL,
        training=QUICK,
    )
    main(config)
    rows = list(csv.DictReader((tmp_path / "out" / "errors.csv").open()))
    assert {(row["seed"], row["kind"], row["model"]) for row in rows} == {
        (seed, kind, model)
        for seed in "01"
        for kind in ("random", "on_policy", "candidates")
        for model in ("persistence", "linear", "paper", "ours")
    }
    persistence = [float(row["nrmse"]) for row in rows if row["model"] == "persistence"]
    np.testing.assert_allclose(persistence, 1.0, atol=1e-2)  # start states are rounded to float32
    before = (tmp_path / "out" / "seed_0.json").stat().st_mtime_ns
    main(config)
    assert (tmp_path / "out" / "seed_0.json").stat().st_mtime_ns == before
    plot_open_loop.main(tmp_path / "out")
    assert (tmp_path / "out" / "open_loop.png").stat().st_size > 1000
