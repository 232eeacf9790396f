"""Planners on a task whose best plan is known: a model in which the action is the change of a number."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mbmf_ros.control.action_sequences import shifted
from mbmf_ros.control.planners import PLANNERS, Plan, Planner, make_planner, planner_defaults
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot

SPEC = robot("ant")
TARGET = 0.3


class Toy(Dynamics):
    """The first numbers of the state move by a tenth of the action."""

    def __init__(self) -> None:
        super().__init__(SPEC, DynamicsConfig(members=1, hidden=2))

    def imagine(self, x0: Tensor, u: Tensor) -> Tensor:
        states = x0[:, None].repeat(1, u.shape[1] + 1, 1)
        states[:, 1:, : SPEC.nu] += 0.1 * u.cumsum(1)
        return states


class Reach:
    """Reach ``TARGET`` in every number and stay there; the first action may not be worse than useless."""

    def terms(self, x: Tensor, u: Tensor) -> dict[str, Tensor]:
        return {"near": -(x[:, 1:, : SPEC.nu] - TARGET).square().sum(-1), "effort": -0.001 * u.square().sum(-1)}


class Broken(Reach):
    """Whatever raises the first joint's number looks infinitely or undefinedly good."""

    def __init__(self, value: float):
        self.value = value

    def terms(self, x: Tensor, u: Tensor) -> dict[str, Tensor]:
        terms = super().terms(x, u)
        terms["near"] = terms["near"].where(u[..., 0] <= 0, self.value)
        return terms


MODEL, X0 = Toy(), torch.zeros(29)
SIZES = {"batch_size": 64, "time_steps": 6}


def plan(planner: Planner, task: Reach, warm: Plan | None = None, seed: int = 0, x: Tensor = X0) -> Plan:
    return planner.plan(x, MODEL, task, warm, torch.Generator().manual_seed(seed))


def value_of(actions: Tensor, x: Tensor = X0) -> float:
    states = MODEL.imagine(x[None], actions[None])
    return float(sum(term.sum() for term in Reach().terms(states, actions[None]).values()))


@pytest.mark.parametrize("name", PLANNERS)
def test_replanning_finds_the_target(name: str):
    planner = make_planner(name, SIZES | ({"batch_size": 512} if name == "random_shooting" else {}))
    x, warm, generator = X0.clone(), None, torch.Generator().manual_seed(0)
    for _ in range(25):
        warm = planner.plan(x, MODEL, Reach(), warm, generator)
        x = MODEL.imagine(x[None], warm.actions[None, :1])[0, -1]
    reached = (x[: SPEC.nu] - TARGET).abs().mean()
    assert reached < (0.12 if name == "random_shooting" else 0.06)


@pytest.mark.parametrize("name", ["icem", "mppi"])
def test_a_plan_beats_the_best_of_as_many_random_ones(name: str):
    options = SIZES | {"iterations": 3, "action_limit": 1.0}
    ours = [value_of(plan(make_planner(name, options), Reach(), seed=seed).actions) for seed in range(5)]
    random = [
        value_of(plan(make_planner("random_shooting", SIZES | {"batch_size": 192}), Reach(), seed=seed).actions)
        for seed in range(5)
    ]
    assert min(ours) > max(random)


def test_random_shooting_takes_the_best_candidate():
    found = plan(make_planner("random_shooting", SIZES), Reach())
    assert value_of(found.actions) == pytest.approx(float(found.returns.max()), abs=1e-4)
    assert found.planned_return == pytest.approx(float(found.returns.max()))
    assert len(found.returns) == len(found.rollouts) == 64


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(PLANNERS),
    st.integers(2, 20),
    st.integers(1, 9),
    st.sampled_from([0.1, 0.45, 1.0]),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_plans_have_their_size_and_keep_their_limits(
    name: str, batch_size: int, steps: int, limit: float, iterations: int, seed: int
):
    options = {"batch_size": batch_size, "time_steps": steps, "action_limit": limit, "iterations": iterations}
    planner, warm = make_planner(name, options), None
    for _ in range(3):
        warm = plan(planner, Reach(), warm, seed)
        assert warm.actions.shape == (steps, SPEC.nu)
        assert warm.actions.abs().max() <= limit + 1e-6
        assert warm.elites.abs().max() <= limit + 1e-6
        assert len(warm.returns) >= batch_size
        assert warm.rollouts.shape[:2] == (len(warm.returns), steps + 1)
        assert warm.planned_return == pytest.approx(sum(warm.terms.values()), abs=1e-3)


@pytest.mark.parametrize("name", PLANNERS)
def test_the_seed_decides_everything(name: str):
    planner = make_planner(name, SIZES)
    one, same, other = (plan(planner, Reach(), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.actions, same.actions)
    assert torch.equal(one.returns, same.returns)
    assert not torch.equal(one.actions, other.actions)


def test_a_shifted_plan_starts_with_its_second_action():
    actions = torch.arange(6.0).reshape(1, 3, 2)
    assert shifted(actions).tolist() == [[[2, 3], [4, 5], [4, 5]]]


@pytest.mark.parametrize("name", ["icem", "mppi"])
def test_the_warm_start_is_the_last_plan_one_step_later(name: str):
    still = {"noise": 0.0, "iterations": 1} | ({"min_noise": 0.0} if name == "icem" else {})
    planner = make_planner(name, SIZES | still)
    last = torch.linspace(-0.4, 0.4, 6)[:, None].repeat(1, SPEC.nu)
    warm = Plan(last, last, last[None], 0.0, {}, torch.empty(0), torch.empty(0))
    found = plan(planner, Reach(), warm)
    torch.testing.assert_close(found.actions, shifted(last))


def test_icem_keeps_its_elites_in_the_race():
    """A known good sequence among the kept ones wins against noise that never finds it."""
    planner = make_planner("icem", SIZES | {"noise": 1e-4, "min_noise": 1e-4, "action_limit": 1.0})
    good = torch.zeros(6, SPEC.nu)
    good[:4] = 0.8
    warm = Plan(torch.zeros(6, SPEC.nu), good, good[None], 0.0, {}, torch.empty(0), torch.empty(0))
    found = plan(planner, Reach(), warm)
    assert found.planned_return >= value_of(shifted(good)) - 1e-3
    torch.testing.assert_close(found.elites[0], shifted(good), rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", PLANNERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_returns_that_are_not_finite_are_never_chosen(name: str, value: float):
    options = SIZES | {"batch_size": 2000, "time_steps": 2, "action_limit": 1.0}
    found = plan(make_planner(name, options), Broken(value))
    assert found.actions.isfinite().all()
    assert not found.returns.isnan().any()
    assert abs(found.planned_return) < 1e3
    best = found.rollouts[found.returns.argmax()]
    assert best[-1, 0] <= 0  # it never went up
    assert (found.actions[:, 0] <= 1e-6).all()


@pytest.mark.parametrize("name", PLANNERS)
def test_where_no_return_is_finite_the_plan_says_so(name: str):
    class Hopeless(Reach):
        def terms(self, x: Tensor, u: Tensor) -> dict[str, Tensor]:
            return {"near": torch.full(u.shape[:2], torch.nan)}

    assert plan(make_planner(name, SIZES), Hopeless()).planned_return == -torch.inf


def test_mppi_at_a_low_temperature_takes_the_best_and_at_a_high_one_the_mean():
    options = SIZES | {"iterations": 1, "noise": 0.2}
    cold = plan(make_planner("mppi", options | {"temperature": 1e-4}), Reach())
    hot = plan(make_planner("mppi", options | {"temperature": 1e6}), Reach())
    assert value_of(cold.actions) == pytest.approx(float(cold.returns.max()), abs=1e-3)
    assert hot.actions.abs().mean() < 0.5 * cold.actions.abs().mean()


def test_held_noise_changes_only_every_so_many_steps():
    planner = make_planner("icem", {"time_steps": 12})
    noise = planner.noise(200, 3, 4, torch.Generator().manual_seed(0))
    assert noise.shape == (200, 12, 3)
    changes = (noise.diff(dim=1) != 0).any(0).any(-1)
    places = torch.nonzero(changes)[:, 0]
    assert (places.diff() == 4).all()
    assert float(noise.std()) == pytest.approx(1.0, abs=0.1)


def test_unknown_planners_and_keys_suggest_the_nearest():
    with pytest.raises(MbmfError, match=r"unknown planner 'icme' \(did you mean 'icem'\?\)"):
        make_planner("icme")
    with pytest.raises(MbmfError, match=r"unknown key in planner icem 'batchsize' \(did you mean 'batch_size'\?\)"):
        make_planner("icem", {"batchsize": 3})
    with pytest.raises(MbmfError, match=r"batch_size: expected int, got 'many'"):
        make_planner("mppi", {"batch_size": "many"})


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("icem", "batch_size", 1),
        ("icem", "time_steps", 0),
        ("icem", "iterations", 0),
        ("icem", "action_limit", 1.5),
        ("icem", "action_limit", -0.5),
        ("icem", "hold", 0),
        ("icem", "noise", -0.1),
        ("icem", "elite_share", 1.5),
        ("icem", "kept_elites", -1),
        ("icem", "momentum", 2.0),
        ("mppi", "temperature", 0.0),
        ("random_shooting", "batch_size", 0),
    ],
)
def test_settings_that_cannot_work_are_refused(name: str, key: str, value: float):
    with pytest.raises(MbmfError, match=rf"{key}: expected a number from"):
        make_planner(name, {key: value})


@pytest.mark.parametrize("kept", [0, 1, 63, 100])
def test_icem_works_with_any_number_of_kept_elites(kept: int):
    planner = make_planner("icem", SIZES | {"kept_elites": kept, "elite_share": 1.0})
    warm = None
    for _ in range(3):
        warm = plan(planner, Reach(), warm)
        assert warm.actions.isfinite().all()


def test_the_defaults_are_the_papers_for_random_shooting():
    defaults = planner_defaults("random_shooting")
    assert dataclasses.asdict(defaults) == {
        "batch_size": 7000,
        "time_steps": 15,
        "action_limit": 1.0,
        "iterations": 1,
        "first_iterations": 1,
        "rescue_iterations": 0,
    }


class Ledge(Reach):
    """A fall, unless the first joint moves far down; what is there below ``abyss`` is one in any case."""

    def __init__(self, abyss: float = -1.0):
        self.abyss = abyss

    def terms(self, x: Tensor, u: Tensor) -> dict[str, Tensor]:
        saved = (x[:, 1:, 0].amin(1) < -0.2) & (x[:, 1:, 0].amin(1) > self.abyss)
        death = torch.zeros_like(u[..., 0])
        death[:, -1] = torch.where(saved, 0.0, -100.0)
        return {**super().terms(x, u), "death": death}


STUCK = Plan(torch.full((6, 8), 0.9), torch.zeros(6, 8), torch.full((4, 6, 8), 0.9), 0.0, {}, X0, X0)


def test_a_plan_that_ends_in_a_fall_is_searched_for_anew():
    settings = {**SIZES, "noise": 0.4, "action_limit": 1.0, "hold": 6}
    stuck = plan(make_planner("icem", settings), Ledge(), STUCK)
    assert stuck.terms["death"] == -100
    rescued = plan(make_planner("icem", {**settings, "rescue_iterations": 4}), Ledge(), STUCK)
    assert rescued.terms["death"] == 0
    assert rescued.best[:, 0].sum() < -2


def test_where_nothing_helps_the_better_of_two_searches_stays():
    settings = {**SIZES, "noise": 0.1, "rescue_iterations": 2}
    doomed = plan(make_planner("icem", settings), Ledge(abyss=0.0), STUCK)
    alone = plan(make_planner("icem", {**settings, "rescue_iterations": 0}), Ledge(abyss=0.0), STUCK)
    assert doomed.terms["death"] == -100
    assert doomed.planned_return >= alone.planned_return


@pytest.mark.parametrize("name", PLANNERS)
def test_without_a_fall_nothing_is_searched_twice(name: str):
    once, twice = (plan(make_planner(name, {**SIZES, "rescue_iterations": n}), Reach(), seed=3) for n in (0, 5))
    assert torch.equal(once.actions, twice.actions)
