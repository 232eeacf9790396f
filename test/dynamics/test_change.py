"""Noticing that a robot has changed: on a model that is right, up to noise, about a robot that then is another one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mbmf_ros.control.explore import Explorer
from mbmf_ros.data.exploration import ExplorationConfig
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.dynamics import change
from mbmf_ros.dynamics.change import ChangeConfig, ChangeDetector
from mbmf_ros.dynamics.io import default_model_path, load_model
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.robots import robot
from mbmf_ros.robots.disturbance import Disturbance, DisturbanceConfig
from mbmf_ros.robots.sim import Simulation, start_measurement

SPEC = robot("ant")
OUTPUTS = 29


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> np.random.Generator:
    """Transitions that say what their errors are.

    Their action holds the scale of output 5's errors, how much the inputs tell of four others, the spread of all, and
    the scale of all errors.
    """

    def made_up(model: Dynamics, store: TransitionStore) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        count, spread = len(store.episodes), torch.ones(len(store.episodes), OUTPUTS)
        errors, inputs = rng.standard_normal((count, OUTPUTS)), rng.standard_normal((count, 6))
        for row, x, s, episode in zip(errors, inputs, spread, store.episodes, strict=True):
            scale, told, s[:], every = episode.actions[0]
            row[5] *= scale
            row[:4] = told**0.5 * x[2] + (1.0 - told) ** 0.5 * row[:4]
            row *= every
        return torch.from_numpy(errors), spread, torch.from_numpy(inputs)

    rng = np.random.default_rng(0)
    monkeypatch.setattr(change, "one_step_errors", made_up)
    return rng


def stream(
    count: int, scale: float = 1.0, told: float = 0.0, spread: float = 1.0, every: float = 1.0
) -> TransitionStore:
    m, u = np.zeros((2, SPEC.measurement.size)), np.array([[scale, told, spread, every]])
    return TransitionStore(SPEC, [Episode(m, u)] * count)


@pytest.fixture
def detector() -> ChangeDetector:
    detector = ChangeDetector(ChangeConfig(window=100, usual=300, threshold=2.0))
    detector.begin(Dynamics(SPEC, DynamicsConfig(members=1, hidden=4)))
    return detector


def test_an_unchanged_robot_is_not_called_changed(errors, detector: ChangeDetector):
    for _ in range(500):
        assert not detector.add(stream(20))
    assert not detector.changed
    assert 1 < detector.surprise < 1.8


def test_what_came_after_the_usual_counts_however_it_was_delivered(errors, detector: ChangeDetector):
    assert not detector.add(stream(450))
    assert 0.5 < detector.surprise < 1.8


def test_a_larger_error_of_one_number_is_noticed_once_within_the_window(errors, detector: ChangeDetector):
    detector.add(stream(600))
    noticed = [count for count in range(20, 400, 20) if detector.add(stream(20, scale=2.5))]
    assert len(noticed) == 1
    assert noticed[0] <= 100
    assert detector.changed


def test_an_error_that_the_ensemble_expects_is_no_surprise(errors, detector: ChangeDetector):
    detector.add(stream(600))
    for _ in range(20):
        assert not detector.add(stream(20, scale=2.5, spread=2.5))
    assert detector.add(stream(100, scale=2.5, spread=0.5)), (
        "members that agree more expect no smaller error than usual"
    )


def test_an_error_far_above_the_spread_is_noticed_however_large_that_is(errors, detector: ChangeDetector):
    detector.add(stream(600))
    assert detector.add(stream(100, scale=100.0, spread=10.0))


def test_an_absurd_measurement_among_the_first_does_not_hide_a_change(errors, detector: ChangeDetector):
    for count in (100, 1, 499):
        detector.add(stream(count, scale=1e9 if count == 1 else 1.0))
    assert 0.5 < detector.surprise < 1.8
    assert detector.add(stream(100, scale=2.5))


def test_a_single_hard_landing_is_no_change(errors, detector: ChangeDetector):
    detector.add(stream(600))
    for _ in range(5):
        detector.add(stream(1, scale=100.0))
        detector.add(stream(99))
    assert not detector.changed


def test_errors_no_larger_than_usual_are_noticed_once_the_inputs_tell_them(errors, detector: ChangeDetector):
    assert not detector.add(stream(1500))
    assert abs(detector.learnable) < 0.05
    noticed = [count for count in range(20, 800, 20) if detector.add(stream(20, told=0.3))]
    assert len(noticed) == 1
    assert 50 < noticed[0] < 600
    assert detector.surprise < 2.0
    assert detector.within == detector.config.learnable_window // 2
    assert "could be learned" in detector.evidence


def test_what_could_be_learned_from_the_beginning_is_no_change(errors, detector: ChangeDetector):
    for _ in range(100):
        assert not detector.add(stream(30, told=0.3))
    assert abs(detector.learnable) < 0.05
    for _ in range(100):
        assert not detector.add(stream(30)), "now there is less to learn, which is no change either"
    assert detector.learnable < 0.05
    assert detector.evidence == ""


@settings(deadline=None)  # the first call loads what solves
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(60, 400),
    told=st.floats(0.0, 1.0),
    scale=st.floats(1.0, 3.0),
)
def test_the_learnable_share_is_what_the_inputs_tell(seed: int, count: int, told: float, scale: float):
    rng = np.random.default_rng(seed)
    inputs, noise = rng.standard_normal((count, 3)), rng.standard_normal((count, 2))
    y = np.stack([scale * (told**0.5 * inputs[:, 1] + (1 - told) ** 0.5 * noise[:, 0]), noise[:, 1]], axis=1)
    share = change.learnable_share(torch.from_numpy(y).float(), torch.from_numpy(inputs).float())
    assert share.shape == (2,)
    assert (share <= 1.0).all()
    slack = 6.0 / count**0.5
    assert told - slack - 0.1 < share[0] < told + slack
    assert share[1] < slack


@settings(deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(0.01, 0.5))
def test_small_errors_count_as_a_share_of_the_usual_ones(seed: int, scale: float):
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((200, 2))).float()
    share = change.learnable_share(scale * x[:, :1], x)
    assert 0.0 < share[0] < 2.0 * scale**2


def test_a_new_model_begins_anew(errors, detector: ChangeDetector):
    detector.add(stream(600))
    detector.add(stream(100, scale=5.0))
    assert detector.changed
    detector.begin(Dynamics(SPEC, DynamicsConfig(members=1, hidden=4)))
    assert not detector.changed
    assert math.isnan(detector.surprise)
    detector.add(stream(600, scale=5.0))
    assert not detector.changed, "that is the usual now"


def test_a_successor_is_measured_by_what_was_usual_until_its_own_error_is_known(errors, detector: ChangeDetector):
    detector.add(stream(600))
    detector.begin(Dynamics(SPEC, DynamicsConfig(members=1, hidden=4)), successor=True)
    assert detector.add(stream(120, scale=5.0))
    detector.begin(Dynamics(SPEC, DynamicsConfig(members=1, hidden=4)), successor=True)
    detector.add(stream(320, scale=0.5))
    detector.add(stream(200, scale=0.5))
    assert not detector.changed
    assert detector.add(stream(150, scale=1.5)), "three times its own usual error, though not what was usual before"


@pytest.mark.parametrize("every", [200, 1000])
def test_models_that_follow_one_another_do_not_hide_what_could_be_learned(errors, detector: ChangeDetector, every: int):
    for _ in range(2000 // every):
        assert not detector.add(stream(every))
        detector.begin(Dynamics(SPEC, DynamicsConfig(members=1, hidden=4)), successor=True)
    assert abs(detector.learnable) < 0.05
    noticed = []
    for count in range(0, 800, 20):
        noticed += [count] if detector.add(stream(20, told=0.5)) else []
        if count % every == every // 2 and not noticed:
            detector.begin(Dynamics(SPEC, DynamicsConfig(members=1, hidden=4)), successor=True)
    assert len(noticed) == 1


@pytest.mark.parametrize("scale", [0.5, 0.7, 0.9])
def test_a_better_successor_is_no_change(errors, scale: float):
    detector = ChangeDetector()
    detector.begin(Dynamics(SPEC, DynamicsConfig(members=1, hidden=4)))
    assert not detector.add(stream(1600, told=0.3))
    detector.begin(Dynamics(SPEC, DynamicsConfig(members=1, hidden=4)), successor=True)
    for _ in range(100):
        assert not detector.add(stream(20, told=0.3, every=scale))


@pytest.mark.parametrize(
    ("off", "changes"),
    [(ChangeConfig(threshold=0.0), {"scale": 2.5}), (ChangeConfig(learnable=0.0), {"told": 0.5})],
    ids=["threshold", "learnable"],
)
def test_each_test_can_be_switched_off(errors, off: ChangeConfig, changes: dict[str, float]):
    for config in (off, ChangeConfig()):
        detector = ChangeDetector(config)
        detector.begin(Dynamics(SPEC, DynamicsConfig(members=1, hidden=4)))
        detector.add(stream(1600))
        assert detector.add(stream(800, **changes)) is (config is not off)


def test_without_a_model_and_without_a_threshold_nothing_is_noticed(errors):
    silent = ChangeDetector(ChangeConfig(window=100, usual=300, threshold=0.0, learnable=0.0))
    for detector in (ChangeDetector(), silent):
        if detector is silent:
            detector.begin(Dynamics(SPEC, DynamicsConfig(members=1, hidden=4)))
        assert not detector.add(stream(1000))
        assert not detector.add(stream(1000, scale=50.0))
        assert not detector.changed


def test_errors_are_those_of_the_model_and_fallen_states_have_none():
    model = Dynamics(SPEC, DynamicsConfig(members=2, hidden=8))
    model.output_std.fill_(0.5)
    model.input_mean.fill_(0.1)
    model.input_std.fill_(2.0)
    simulation = Simulation(SPEC)
    m = [simulation.reset(start_measurement(SPEC))]
    u = np.full(SPEC.nu, 0.3)
    m.append(simulation.step(u))
    errors, spread, inputs = change.one_step_errors(model, TransitionStore(SPEC, [Episode(np.stack(m), u[None])]))
    assert errors.shape == spread.shape == (1, model.profile.n_outputs)
    members = model.network(inputs.expand(2, -1, -1))[..., : model.profile.n_outputs]
    torch.testing.assert_close(spread, 0.5 * (members[0] - members[1]).abs() / 2)
    x = torch.from_numpy(model.profile.encode(np.stack(m)).astype(np.float32))
    raw = torch.cat([x[:1, model.profile.n_carried :], torch.from_numpy(u.astype(np.float32))[None]], dim=1)
    torch.testing.assert_close(inputs, (raw - 0.1) / 2.0)
    predicted = model(x[:1], torch.from_numpy(u.astype(np.float32))[None])
    height = model.profile.slices["height"]
    expected = (predicted[0] - x[1])[height]
    torch.testing.assert_close(errors[0, :1], expected, rtol=1e-3, atol=1e-6)
    fallen = m[0].copy()
    fallen[3:7] = (0, 1, 0, 0)
    none, *_ = change.one_step_errors(model, TransitionStore(SPEC, [Episode(np.stack([fallen, fallen]), u[None])]))
    assert none.shape == (0, model.profile.n_outputs)


@pytest.mark.parametrize(
    ("changed", "evidence"),
    [
        (DisturbanceConfig(), None),
        (DisturbanceConfig((0.3, *[1.0] * 7)), "error is"),
        (DisturbanceConfig(payload_kg=1.8), "could be learned"),
        (DisturbanceConfig(floor_friction_scale=0.3), "could be learned"),
    ],
    ids=["unchanged", "weak motor", "payload", "slippery floor"],
)
def test_the_shipped_model_tells_a_changed_ant_that_moves_at_random(changed: DisturbanceConfig, evidence: str | None):
    simulation, detector = Simulation(SPEC), ChangeDetector()
    model, _ = load_model(default_model_path(SPEC), SPEC)
    detector.begin(model)
    disturbance, explorer = Disturbance(simulation), Explorer(SPEC, ExplorationConfig(max_amplitude=0.5), seed=0)
    m, noticed = simulation.reset(start_measurement(SPEC)), []
    for part in range(160):
        if part == 80:
            disturbance.apply(changed)
        measured, actions = [m], []
        while len(actions) < 20 and not SPEC.fallen(measured[-1]):
            actions.append(explorer.next()[0])
            measured.append(simulation.step(actions[-1]))
        m = simulation.reset(start_measurement(SPEC)) if SPEC.fallen(measured[-1]) else measured[-1]
        if detector.add(TransitionStore(SPEC, [Episode(np.stack(measured), np.stack(actions))])):
            noticed.append((part, detector.evidence))
    if evidence is None:
        assert not noticed
    else:
        ((part, told),) = noticed
        assert part >= 80
        assert evidence in told
