"""When a learner trains by itself, and on what settings."""

from __future__ import annotations

import numpy as np
import pytest

from mbmf_ros.data.store import Episode
from mbmf_ros.dynamics.change import ChangeConfig
from mbmf_ros.dynamics.continual import Continual, ContinualConfig
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.dynamics.refit import RefitConfig
from mbmf_ros.dynamics.training import TrainConfig
from mbmf_ros.robots import robot

SPEC = robot("ant")
CONFIG = ContinualConfig(
    first_train=100, retrain_every=50, retrain_changed=20, recovery=60, first_updates=400, updates=200, half_life=1000
)


def transition(action: float = 0.1) -> Episode:
    return Episode(np.zeros((2, SPEC.measurement.size)), np.full((1, SPEC.nu), action))


@pytest.fixture
def continual() -> Continual:
    return Continual(SPEC, CONFIG, ChangeConfig(window=10))


@pytest.fixture
def model() -> Dynamics:
    return Dynamics(SPEC, DynamicsConfig(members=1, hidden=4))


def take(continual: Continual, count: int, action: float = 0.1) -> None:
    for _ in range(count):
        continual.take(transition(action))


def notice(continual: Continual, monkeypatch: pytest.MonkeyPatch) -> bool:
    with monkeypatch.context() as patch:
        patch.setattr(continual.detector, "add", lambda store: store.transitions > 0)
        take(continual, 1)
        return continual.watch()


def test_it_trains_first_after_enough_motion_and_then_whenever_there_is_enough_new(continual: Continual, model):
    take(continual, 1000, action=0.0)
    assert continual.until_training == 100, "standing still does not count"
    take(continual, 99)
    assert continual.until_training == 1
    take(continual, 1)
    assert continual.until_training == 0
    continual.started()
    take(continual, 30)
    continual.ended(True)
    continual.begin(model)
    assert continual.until_training == 20, "what came while it trained counts"


def test_a_first_training_that_failed_is_tried_again_after_some_more_motion(continual: Continual):
    take(continual, 100)
    continual.started()
    continual.ended(False)
    assert continual.until_training == 50


def test_the_first_is_long_and_later_ones_are_short_and_warm_until_one_is_refused(continual: Continual, model):
    base = RefitConfig(training=TrainConfig(learning_rate=2e-3, batch_size=99), seed=7)
    first = continual.settings(base)
    assert (first.warm_start, first.training.min_updates, first.training.epochs) == (False, 400, 0)
    assert (first.training.learning_rate, first.training.batch_size, first.half_life) == (2e-3, 99, 1000)
    continual.begin(model)
    later = continual.settings(base)
    assert (later.warm_start, later.training.min_updates) == (True, 200)
    assert later.training.learning_rate == CONFIG.learning_rate
    continual.ended(False)
    fresh = continual.settings(base)
    assert (fresh.warm_start, fresh.training.min_updates) == (False, 400)
    continual.ended(True)
    assert continual.settings(base).warm_start


def test_a_changed_robot_is_learned_soon_and_from_recent_motion(continual: Continual, model, monkeypatch):
    continual.begin(model)
    take(continual, 30)
    assert notice(continual, monkeypatch)
    assert (continual.changed, continual.changes, continual.since_change) == (True, 1, 10)
    assert continual.until_training == 10
    take(continual, 10)
    assert continual.until_training == 0
    settings = continual.settings(RefitConfig())
    assert (settings.since_change, settings.effective_half_life, settings.changed) == (20, 20.0, True)
    continual.ended(False)
    assert continual.settings(RefitConfig()).warm_start, "too little to begin anew from"
    continual.started()
    take(continual, 5)
    continual.ended(True)
    continual.begin(model)
    assert (continual.changed, continual.until_training) == (False, 15)
    assert not continual.settings(RefitConfig()).changed, "what is lost from here on adds up"
    take(continual, 60)
    assert continual.until_training == 0
    continual.started()
    assert continual.until_training == 50, "recovered: at the usual pace again"
    take(continual, 5000)
    assert continual.settings(RefitConfig()).effective_half_life == 1000


def test_a_model_that_knows_nothing_of_the_change_does_not_end_it(continual: Continual, model, monkeypatch):
    continual.begin(model)
    take(continual, 60)
    continual.started()
    notice(continual, monkeypatch)
    continual.ended(True)
    assert continual.changed


def test_forgetting_begins_anew(continual: Continual, model, monkeypatch):
    continual.begin(model)
    take(continual, 60)
    notice(continual, monkeypatch)
    continual.forget()
    continual.begin(None)
    assert (continual.changed, continual.since_change, continual.until_training) == (False, 0, 100)
    assert continual.changes == 1


def test_after_a_restart_what_was_recorded_counts(model):
    without, with_model = Continual(SPEC, CONFIG), Continual(SPEC, CONFIG)
    with_model.begin(model)
    for continual in (without, with_model):
        continual.recall(80)
    assert (without.until_training, with_model.until_training) == (20, 50)


def test_the_stream_goes_to_the_detector_once(continual: Continual, model, monkeypatch):
    seen: list[int] = []
    monkeypatch.setattr(continual.detector, "add", lambda store: seen.append(store.transitions))
    continual.begin(model)
    take(continual, 3)
    take(continual, 2, action=0.0)
    continual.watch()
    take(continual, 4)
    continual.watch()
    continual.watch()
    assert seen == [3, 4, 0]


def test_the_change_is_dated_by_the_test_that_noticed_it(continual: Continual, model, monkeypatch: pytest.MonkeyPatch):
    continual.begin(model)
    take(continual, 100)
    continual.detector.within = 15
    assert notice(continual, monkeypatch)
    assert continual.since_change == 15
    continual.started()
    continual.ended(True)
    assert not continual.changed, "it has learned from what came after"
