"""From a policy that imitates to TRPO and SAC."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from policy_sources import make_source  # pyright: ignore[reportMissingImports]

from mbmf_ros.control.environments import Environment
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.files import LEARNING_FILE
from mbmf_ros.policy.gaussian import GaussianPolicy
from mbmf_ros.policy.handover import TrpoHandover
from mbmf_ros.policy.initial_std import find_std, most_episodes
from mbmf_ros.policy.normalised_env import NormalisedEnv
from mbmf_ros.policy.observation import Observation
from mbmf_ros.policy.rollouts import Rollout
from mbmf_ros.policy.sac_handover import SacHandover
from mbmf_ros.policy.settings import (
    FinetuneConfig,
    HandoverConfig,
    SacConfig,
    TrpoConfig,
    baseline_settings,
    finetune_settings,
)
from mbmf_ros.policy.source import Source, reward_unit
from mbmf_ros.policy.warm_trpo import Stretch
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

CONFIG = FinetuneConfig(
    trpo=TrpoConfig(batch=704, hidden=64, critic_updates=2, critic_batch=64, cg_steps=5),
    sac=SacConfig(hidden=32, batch=32, entropy=1e-3, random_steps=0, layer_norm=True),
    handover=HandoverConfig(std_grid=(0.1,), std_episodes=1, first_batch=704, clone_updates=500, warm_up_updates=5),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def swimmer(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("swimmer"), "swimmer")


def observations(source: Source) -> np.ndarray:
    return np.concatenate([Observation(source.spec)(rollout.measurements) for rollout in source.rollouts])


def test_trpo_begins_as_the_policy_and_gives_it_back(source: Source):
    learner = TrpoHandover(source, CONFIG, 0)
    seen = observations(source)
    wanted = source.policy(torch.from_numpy(seen))
    normalised = torch.from_numpy(learner.env.normalize_obs(seen))
    theirs = learner.model.policy.get_distribution(normalised)
    torch.testing.assert_close(theirs.mode(), wanted, rtol=1e-4, atol=1e-4)
    back = learner.policy()
    torch.testing.assert_close(back(torch.from_numpy(seen)), wanted, rtol=1e-4, atol=1e-4)
    for name in ("center", "spread", "low", "high", "log_std"):
        torch.testing.assert_close(getattr(back, name), getattr(source.policy, name))


def test_sac_begins_like_the_policy(source: Source):
    learner = SacHandover(source, CONFIG, 0)
    learner.begin(0)
    seen = torch.from_numpy(observations(source))
    wanted = source.policy(seen).clamp(-1.0, 1.0)
    assert (learner.policy()(seen) - wanted).abs().mean() < 0.05
    actor, normalised = learner.model.actor, torch.from_numpy(learner.env.normalize_obs(seen.numpy()))
    torch.testing.assert_close(learner.policy()(seen), actor(normalised, deterministic=True), rtol=1e-4, atol=1e-4)


def test_sac_remembers_what_the_experts_run_recorded_and_the_rollouts_with_their_ends(source: Source):
    learner = SacHandover(source, CONFIG, 0)
    learner.begin(0)
    done, _ = learner.learn(50, 5000, 1, lambda steps: None)
    learning = source.learning()
    known = [*learning, *source.rollouts]
    assert learner.notes["remembered_of_learning"] == len(learning[0])
    assert [rollout.source for rollout in known] == ["random", "expert", "expert", "expert"]
    recorded = sum(map(len, known))
    buffer, ends = learner.buffer, np.cumsum([len(rollout) for rollout in known]) - 1
    assert buffer.pos == learner.seen == recorded + done
    np.testing.assert_array_equal(buffer.dones[ends, 0], [rollout.terminated for rollout in known])
    assert learning[0].terminated  # it falls
    assert buffer.dones[:recorded].sum() == sum(rollout.terminated for rollout in known)
    rewards = np.concatenate([rollout.rewards for rollout in known])
    np.testing.assert_allclose(buffer.rewards[:recorded, 0], rewards, rtol=1e-6)
    np.testing.assert_array_equal(buffer.next_observations[0, 0], buffer.observations[1, 0])


def test_sac_goes_on_from_the_rollouts_alone(tmp_path: Path):
    source = make_source(tmp_path)
    (tmp_path / LEARNING_FILE).unlink()
    learner = SacHandover(source, CONFIG, 0)
    learner.begin(0)
    done, _ = learner.learn(50, 5000, 1, lambda steps: None)
    assert learner.seen == sum(map(len, source.rollouts)) + done
    assert learner.notes["remembered_of_learning"] == 0


def test_a_torn_record_of_the_experts_run_is_told(tmp_path: Path):
    source, file = make_source(tmp_path), tmp_path / LEARNING_FILE
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(MbmfError, match=r"learning.safetensors is not a whole .* or remove it, to go on without"):
        source.learning()


def test_a_strong_bond_keeps_sac_where_it_began(source: Source):
    def moved(bond: float) -> float:
        config = dataclasses.replace(CONFIG, handover=dataclasses.replace(CONFIG.handover, bond=bond, std=0.1))
        learner = SacHandover(source, config, 0)
        learner.begin(0)
        learner.learn(200, 5000, 1, lambda steps: None)
        seen = torch.from_numpy(learner.env.normalize_obs(observations(source)))
        first, now = learner.model.first, learner.model.actor
        assert first is not None
        assert learner.model.updates == 200
        return float((first(seen, deterministic=True) - now(seen, deterministic=True)).detach().abs().mean())

    assert moved(10.0) < 0.5 * moved(0.0)


def test_trpo_refuses_what_it_cannot_go_on_from(tmp_path: Path):
    with pytest.raises(MbmfError, match="--learner sac"):
        TrpoHandover(make_source(tmp_path, squash=True), CONFIG, 0)


class Quiet(Environment):
    """Pays for calm: one per step, less the square of the action."""

    def __init__(self) -> None:
        self.spec = robot("hopper")
        assert self.spec.forward is not None
        self.reward = dataclasses.replace(self.spec.forward, steps=400)
        self.resets: list[int] = []

    def reset(self, seed: int) -> np.ndarray:
        self.resets.append(seed)
        return start_measurement(self.spec)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool]:
        return start_measurement(self.spec), 1.0 - float(np.square(action).mean()), False


def calm_policy() -> GaussianPolicy:
    policy = GaussianPolicy(Observation(robot("hopper")).size, 3).requires_grad_(False)
    policy.mean.weight.zero_()
    policy.mean.bias.zero_()
    return policy


@pytest.mark.parametrize(
    ("keep", "std", "tried"),
    [(0.9, 0.25, (0.0, 0.18, 0.25, 0.35)), (0.99, 0.08, (0.0, 0.08, 0.12, 0.18)), (0.5, 0.5, (0.0, 0.18, 0.35, 0.5))],
)
def test_the_first_standard_deviation_is_the_largest_that_keeps_the_return(keep: float, std: float, tried: tuple):
    env, told = Quiet(), []
    config = HandoverConfig(keep=keep, std_episodes=2)
    search = find_std(env, calm_policy(), config, 5, told.append)
    assert search.std == std
    assert tuple(sorted(search.tried)) == tried
    assert told[-1] == search.steps == 400 * len(env.resets) == 400 * most_episodes(config)
    assert len(set(env.resets)) == 2
    assert {len(rollout) for rollout in search.rollouts()} == {400}
    assert len(search.rollouts(most=search.std)) == 2 * sum(value <= std for value in tried)


def test_where_none_keeps_the_return_the_smallest_is_taken_and_a_given_one_costs_nothing():
    assert find_std(Quiet(), calm_policy(), HandoverConfig(keep=1.0, std_episodes=1), 0, lambda steps: None).std == 0.05
    given = HandoverConfig(std=0.3)
    env = Quiet()
    assert find_std(env, calm_policy(), given, 0, lambda steps: None).std == 0.3
    assert most_episodes(given) == len(env.resets) == 0


def test_rewards_are_divided_by_the_standard_deviation_of_the_discounted_return():
    nothing = np.zeros((0, 3))
    rollouts = [Rollout(nothing, nothing, np.array(r), True, nothing, "expert") for r in ([1.0, 2.0], [3.0])]
    assert reward_unit(rollouts, 0.5) == pytest.approx(np.std([1.0, 2.5, 3.0]))
    assert reward_unit(rollouts[1:], 0.5) == 1.0
    env = NormalisedEnv("hopper", "forward", 1, 2, 0.99)
    env.fix(np.zeros(12), np.full(12, 2.0), 4.0)
    np.testing.assert_allclose(np.asarray(env.normalize_obs(np.ones((1, 12)))), 0.5)
    np.testing.assert_allclose(env.normalize_reward(np.array([100.0])), [25.0])


def test_returns_of_a_stretch_count_what_comes_after_it_unless_it_ended():
    stretch = Stretch(torch.zeros(3, 1), np.array([1.0, 2.0]), terminated=False)
    assert stretch.returns(8.0, 0.5).tolist() == [1.0 + 0.5 * 2.0 + 0.25 * 8.0, 2.0 + 0.5 * 8.0]
    assert dataclasses.replace(stretch, terminated=True).returns(8.0, 0.5).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("name", ["source", "swimmer"])  # one falls, the other is cut off by the time limit
def test_judging_anew_with_the_same_critic_changes_nothing(name: str, request: pytest.FixtureRequest):
    learner = TrpoHandover(request.getfixturevalue(name), CONFIG, 0)
    model = learner.model
    before: dict[str, np.ndarray] = {}

    def none(stretches: list[Stretch]) -> list[float]:
        buffer = model.rollout_buffer
        before.update(advantages=buffer.advantages.copy(), values=buffer.values.copy(), returns=buffer.returns.copy())
        before["lengths"] = np.array([len(stretch.rewards) for stretch in stretches])
        before["ended"] = np.array([stretch.terminated for stretch in stretches])
        return []

    model._warm_up = none  # type: ignore[method-assign]
    model.known = []
    judge = model._judge_anew
    after: dict[str, np.ndarray] = {}

    def judged() -> None:
        judge()
        buffer = model.rollout_buffer
        after.update(advantages=buffer.advantages.copy(), values=buffer.values.copy(), returns=buffer.returns.copy())

    model._judge_anew = judged  # type: ignore[method-assign]
    model.learn(704)
    for key, value in after.items():
        np.testing.assert_allclose(value, before[key], rtol=1e-4, atol=1e-4)
    assert before["lengths"].sum() == 704
    assert before["ended"].any() == (name == "source")


def test_the_critic_gets_to_know_the_policy_before_it_changes(source: Source):
    learner = TrpoHandover(source, CONFIG, 0)
    done, returns = learner.learn(704, 5000, 1, lambda steps: None)
    notes = learner.notes
    assert done == 704 + notes["std_steps"]
    assert notes["std"] == 0.1
    assert len(returns) > 5
    assert max(notes["explained_variance"]) > 0.0
    assert max(notes["explained_variance"]) > notes["explained_variance"][0]
    assert learner.learn(1, 703, 2, lambda steps: None) == (0, [])


def test_the_papers_settings():
    config = finetune_settings(robot("swimmer"), 3, "paper")
    assert (config.trpo.batch, config.trpo.discount, config.trpo.target_kl) == (50_000, 0.995, 0.5)
    assert (config.handover.std, config.handover.warm_up, config.action_repeat) == (1.0, False, 3)


def test_settings_of_robots():
    assert baseline_settings(robot("half_cheetah")).trpo.target_kl == 0.04
    assert baseline_settings(robot("swimmer_v5")).trpo.discount == 0.9999
    assert finetune_settings(robot("hopper"), 1).handover.std == 0.0  # it is searched for
    assert finetune_settings(robot("hopper"), 1, learner="sac").handover.std > 0.0
    assert finetune_settings(robot("swimmer"), 1).trpo == baseline_settings(robot("swimmer")).trpo != TrpoConfig()
    assert baseline_settings(robot("ant"), {"trpo": {"batch": 4096}}).trpo == TrpoConfig(batch=4096)
    for name in ("ant", "half_cheetah", "half_cheetah_v5", "hopper", "hopper_v5", "swimmer", "swimmer_v5"):
        finetune_settings(robot(name), 1)
    with pytest.raises(MbmfError, match="the policy decides"):
        finetune_settings(robot("ant"), 1, changes={"action_repeat": 2})
    with pytest.raises(MbmfError, match="std_grid"):
        finetune_settings(robot("ant"), 1, changes={"handover": {"std_grid": [0.1, 0.0]}})
