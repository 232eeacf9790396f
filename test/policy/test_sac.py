"""SAC as a learner of our runs: what it exports, and what it misses on the disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mbmf_ros.cli import main
from mbmf_ros.errors import DivergenceError
from mbmf_ros.policy.sac import SacLearner
from mbmf_ros.policy.settings import ModelFreeConfig, SacConfig


def test_the_exported_policy_knows_how_its_observations_vary():
    """Nothing is normalised while it learns; the margin of a policy that drives is in standard deviations even so."""
    learner = SacLearner("hopper", "forward", ModelFreeConfig(sac=SacConfig(hidden=8, batch=16, random_steps=250)), 0)
    assert (learner.policy().spread == 1.0).all()  # nothing was seen
    learner.learn(300, 300, 1, lambda steps: None)
    policy, seen = learner.policy(), learner.buffer.observations[:300, 0]
    np.testing.assert_allclose(policy.spread, seen.std(0), rtol=1e-4)
    np.testing.assert_allclose(policy.center, seen.mean(0), rtol=1e-3, atol=1e-5)
    answers = learner.model.actor(torch.from_numpy(seen), deterministic=True)
    torch.testing.assert_close(policy(torch.from_numpy(seen)), answers, rtol=1e-4, atol=1e-5)
    beyond = policy.high + 0.5 * policy.spread
    torch.testing.assert_close(policy.outside(beyond), torch.full_like(beyond, 0.5), rtol=1e-3, atol=1e-3)


def test_it_makes_as_many_gradient_steps_per_step_as_it_is_told():
    counts = []
    for updates in (1, 3):
        sac = SacConfig(hidden=8, batch=16, random_steps=250, updates=updates)
        learner = SacLearner("hopper", "forward", ModelFreeConfig(sac=sac), 0)
        learner.learn(270, 270, 1, lambda steps: None)
        counts.append(learner.model._n_updates)
    assert counts == [20, 60]


@pytest.mark.parametrize("normalised", [False, True])
def test_its_critics_are_normalised_where_that_is_asked_for(normalised: bool):
    sac = SacConfig(hidden=8, batch=16, layer_norm=normalised)
    learner = SacLearner("hopper", "forward", ModelFreeConfig(sac=sac), 0)
    for critic in (learner.model.critic, learner.model.critic_target):
        norms = [layer for layer in critic.modules() if isinstance(layer, torch.nn.LayerNorm)]
        assert len(norms) == (4 if normalised else 0)  # two layers of two networks
    assert not any(isinstance(layer, torch.nn.LayerNorm) for layer in learner.model.actor.modules())


def test_learning_goes_on_where_the_simulation_diverges(monkeypatch: pytest.MonkeyPatch):
    learner = SacLearner("swimmer", "forward", ModelFreeConfig(sac=SacConfig(hidden=8, batch=16, random_steps=250)), 0)
    (env,) = learner.env.get_attr("robot_env")
    step, count = env.step, iter(range(100))

    def diverging(action: np.ndarray):
        if next(count) == 5:
            raise DivergenceError("the simulation diverged")
        return step(action)

    monkeypatch.setattr(env, "step", diverging)
    assert learner.learn(20, 20, 1, lambda steps: None)[0] == 20
    buffer = learner.buffer
    assert np.flatnonzero(buffer.dones[:20]).tolist() == [5]
    assert buffer.rewards[5, 0] == buffer.timeouts[5, 0] == 0.0  # nothing is thought to come after it
    np.testing.assert_array_equal(buffer.next_observations[5], buffer.observations[5])
    assert (buffer.observations[6] != buffer.observations[5]).any()  # another start


@pytest.mark.parametrize("lengths", [(50, 30), (100,), (250,), (100, 50), (30, 250, 20), (330, 280)])
def test_what_was_remembered_comes_back_to_where_it_lay(lengths: tuple[int, ...]):
    """Which rows a generator draws depends on it, also where parts are longer than the memory."""
    config = ModelFreeConfig(sac=SacConfig(hidden=8, batch=16, memory=100, random_steps=1000))
    learner, again = (SacLearner("hopper", "forward", config, 0) for _ in range(2))
    parts = []
    for seed, steps in enumerate(lengths):
        learner.learn(steps, steps, seed, lambda done: None)
        parts.append({name: column.clone() for name, column in learner.added().items()})
    again.restore(learner.tensors(), parts, {})
    one, other = learner.buffer, again.buffer
    assert (one.pos, one.full, learner.seen) == (other.pos, other.full, again.seen)
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_lost_memories_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["baseline", "--robot", "hopper", "--learner", "sac", "--folder", str(tmp_path), "--budget", "300"]
    command += ["--set", "evaluate_every=100", "episodes=1", "sac.hidden=8", "sac.batch=16", "sac.random_steps=250"]
    assert main(command) == 0
    lost = tmp_path / "replay_0003.safetensors"
    lost.unlink()
    capsys.readouterr()
    assert main(command) == 2
    assert "replay_0003.safetensors is missing; remove the folder" in capsys.readouterr().err
    file = tmp_path / "run.json"
    state = json.loads(file.read_text())
    assert state.pop("parts") == [2, 3, 4]  # as it was kept once
    file.write_text(json.dumps(state))
    assert main(command) == 2
    assert "expected 300 remembered transitions, found 200" in capsys.readouterr().err
