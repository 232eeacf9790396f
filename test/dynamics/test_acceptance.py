"""When a newly trained model may replace the one in force."""

from __future__ import annotations

import copy
import dataclasses
from types import SimpleNamespace

import pytest
import torch

from mbmf_ros.data.collect import CollectConfig, collect_random
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics import acceptance
from mbmf_ros.dynamics.acceptance import AcceptanceConfig, behind_of, judge
from mbmf_ros.dynamics.dataset import make_dataset
from mbmf_ros.dynamics.holdout import Part, hold_out
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.dynamics.training import TrainConfig, fit
from mbmf_ros.robots import robot

SPEC = robot("ant")
torch.set_num_threads(1)
CONFIG = AcceptanceConfig(recent=1000)


@pytest.fixture(scope="module")
def store() -> TransitionStore:
    return collect_random(SPEC, 3000, seed=1, config=CollectConfig(episode_steps=200), threads=1)


@pytest.fixture(scope="module")
def held(store: TransitionStore) -> Part:
    return hold_out(store, 0.3)[1]


@pytest.fixture(scope="module")
def good(store: TransitionStore) -> Dynamics:
    model = Dynamics(SPEC, DynamicsConfig(members=1, hidden=64))
    data = make_dataset(store, model.profile)
    fit(model, data, None, TrainConfig(epochs=0, min_updates=1500, batch_size=64, symmetries=False))
    return model


def worse(model: Dynamics, factor: float) -> Dynamics:
    """Predicts changes that are larger by ``factor``."""
    out = copy.deepcopy(model)
    with torch.no_grad():
        out.output_std.mul_(factor)
        out.output_mean.mul_(factor)
    return out


def test_no_worse_is_good_enough_and_why_is_told(good: Dynamics, held: Part):
    for current in (None, good, worse(good, 2.0)):
        judgement = judge(good, current, held, CONFIG)
        assert judgement.accepted, judgement.reason
        assert 0 < judgement.recent_error < 1.2
        assert 0 < judgement.old_error < 1.2
        assert judgement.reason.startswith("accepted: error over 10 steps: recent ")
    judgement = judge(worse(good, 2.0), good, held, CONFIG)
    assert not judgement.accepted
    assert judgement.reason.startswith("refused: ")
    assert "in force" in judgement.reason
    assert "allowed +2%" in judgement.reason


def test_another_profile_does_not_compare(good: Dynamics, held: Part):
    other = Dynamics(SPEC, DynamicsConfig(profile="paper", members=1, hidden=16))
    assert judge(worse(good, 2.0), other, held, CONFIG).accepted


def test_worse_on_old_data_alone_is_refused_but_for_a_changed_robot(good: Dynamics, held: Part):
    slightly = worse(good, 1.8)
    lenient = dataclasses.replace(CONFIG, tolerance=10.0)
    assert not judge(slightly, good, held, lenient).accepted
    assert judge(slightly, good, held, dataclasses.replace(lenient, old_tolerance=10.0)).accepted
    changed = judge(slightly, good, held, lenient, since_change=600)
    assert changed.accepted, changed.reason
    assert "before the change" in changed.reason
    assert "old " not in changed.reason
    assert not judge(worse(good, 10.0), good, held, lenient, since_change=600).accepted
    later = judge(slightly, good, held, lenient, since_change=2000)
    assert not later.accepted, "old data since the change counts as ever"
    assert not judge(slightly, good, held, CONFIG, since_change=600).accepted, "so does recent data"


def test_without_data_of_the_changed_robot_old_data_is_not_judged_leniently(good: Dynamics, held: Part):
    slightly = worse(good, 1.8)
    lenient = dataclasses.replace(CONFIG, tolerance=10.0)
    assert judge(slightly, good, held, lenient, since_change=600).accepted
    assert not judge(slightly, good, held, lenient, since_change=1).accepted


class Successors:
    """Models of which only the errors matter: each is judged against the last one that was accepted."""

    def __init__(self, held: Part, monkeypatch: pytest.MonkeyPatch, config: AcceptanceConfig = CONFIG):
        self.held, self.config, self.behind = held, config, {}
        self.current, self.error = Dynamics(SPEC, DynamicsConfig(members=1, hidden=4)), 1.0
        self._errors = {id(self.current): self.error}
        monkeypatch.setattr(acceptance, "validate", self._validate)

    def accepts(self, factor: float, since_change: int = 0) -> bool:
        """Whether a successor is accepted whose error is ``factor`` times that of the model in force."""
        model, error = copy.deepcopy(self.current), factor * self.error
        self._errors[id(model)] = error
        judgement = judge(model, self.current, self.held, self.config, since_change, self.behind)
        if judgement.accepted:
            self.current, self.error, self.behind = model, error, judgement.behind
        return judgement.accepted

    def _validate(self, model: Dynamics, store: TransitionStore, horizons: tuple[int]) -> SimpleNamespace:
        return SimpleNamespace(nrmse={horizons[0]: self._errors[id(model)]} if store.episodes else {})


def test_what_successors_lose_adds_up(held: Part, monkeypatch: pytest.MonkeyPatch):
    chain = Successors(held, monkeypatch)
    assert chain.accepts(1.019)
    assert not chain.accepts(1.019), "3.8 % worse than the best"
    assert chain.accepts(1.0), "as good as the one in force is good enough"
    assert not chain.accepts(1.002)
    assert chain.accepts(0.9)
    assert chain.accepts(1.019), "that was better than all before"
    assert not chain.accepts(1.019)
    monkeypatch.undo()
    on_old_data = Successors(held, monkeypatch, dataclasses.replace(CONFIG, tolerance=9.0))
    accepted = [on_old_data.accepts(1.04) for _ in range(5)]
    assert accepted == [True, True, False, False, False]


def test_leniency_after_a_change_is_given_once_and_ends(held: Part, monkeypatch: pytest.MonkeyPatch):
    patient = dataclasses.replace(CONFIG, tolerance=9.0, lenient=1200)
    chain = Successors(held, monkeypatch, patient)
    assert chain.accepts(2.5, since_change=600)
    assert not chain.accepts(1.5, since_change=1200), "it triples once, not with every model"
    assert not chain.accepts(1.5, since_change=1201)
    assert chain.accepts(1.09, since_change=1500), "from here on what is lost counts anew"
    assert not chain.accepts(1.09, since_change=1800)


def test_what_was_lost_is_read_from_a_models_file():
    assert behind_of({"behind": {"recent": 1.01, "old": 1}}) == {"recent": 1.01, "old": 1.0}
    for damaged in ({}, {"behind": 3}, {"behind": {"recent": "much", "old": float("nan")}}, {"behind": {"old": 0.1}}):
        assert behind_of(damaged) == {}


def test_what_is_not_finite_is_refused(good: Dynamics, held: Part):
    broken = copy.deepcopy(good)
    with torch.no_grad():
        broken.weights[0][0, 0, 0] = float("nan")
    judgement = judge(broken, None, held, CONFIG)
    assert not judgement.accepted
    assert "not finite" in judgement.reason
    assert judge(good, broken, held, CONFIG).accepted, "anything is better than that"


def test_without_held_out_data_nothing_is_accepted(good: Dynamics):
    judgement = judge(good, None, Part(TransitionStore(SPEC)), CONFIG)
    assert not judgement.accepted
    assert "go on recording" in judgement.reason
