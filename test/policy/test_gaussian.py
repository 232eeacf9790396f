"""The Gaussian policy: folding, ranges, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.gaussian import GaussianPolicy, PolicyActor, PolicyConfig
from mbmf_ros.policy.io import PolicyInfo, load_policy, save_policy
from mbmf_ros.policy.observation import Observation
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

SPEC = robot("ant")
SIZE = Observation(SPEC).size


def policy(seed: int = 0, config: PolicyConfig | None = None) -> GaussianPolicy:
    torch.manual_seed(seed)
    made = GaussianPolicy(SIZE, SPEC.nu, config)
    made.set_range(torch.randn(50, SIZE) * 3.0 + 1.0)
    return made.requires_grad_(False)


def info(**changes) -> PolicyInfo:
    about = {"robot": "ant", "layout_hash": Observation(SPEC).layout_hash, "task": "forward", "action_repeat": 1}
    return PolicyInfo(**{**about, "steps": 7, **changes})


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100.0), squash=st.booleans())
def test_folded_weights_answer_observations_as_unfolded_ones_answer_normalised_ones(seed, scale, squash):
    made = policy(seed, PolicyConfig(squash=squash))
    made.set_range(torch.randn(50, SIZE) * scale + scale)
    o = torch.randn(20, SIZE) * scale + scale
    normalised = made((o - made.center) / made.spread)
    made.fold()
    torch.testing.assert_close(made(o), normalised, rtol=1e-3, atol=1e-3)
    made.unfold()
    torch.testing.assert_close(made((o - made.center) / made.spread), normalised, rtol=1e-3, atol=1e-3)


def test_an_actor_clips_and_its_noise_has_the_policys_size():
    made = policy()
    made.mean.weight.zero_()
    made.mean.bias.fill_(0.3)
    made.log_std.fill_(float(np.log(0.05)))
    m = start_measurement(SPEC)
    np.testing.assert_allclose(PolicyActor(SPEC, made)(m), 0.3, atol=1e-6)
    noisy = PolicyActor(SPEC, made, seed=1)
    drawn = np.stack([noisy(m) for _ in range(500)])
    assert abs(drawn.std() - 0.05) < 0.005
    made.mean.bias.fill_(7.0)
    assert (PolicyActor(SPEC, made)(m) == 1.0).all()


def test_outside_is_counted_in_standard_deviations():
    made, m = policy(), start_measurement(SPEC)
    o = torch.from_numpy(Observation(SPEC)(m))
    made.low, made.high, made.spread = o - 1.0, o + 1.0, torch.full_like(o, 0.5)
    torch.testing.assert_close(made.outside(o), torch.full_like(o, -2.0))
    m[2] += 2.0  # the height
    assert abs(made.outside(torch.from_numpy(Observation(SPEC)(m))).amax() - 2.0) < 1e-5


def test_a_policy_of_another_robot_is_refused():
    with pytest.raises(MbmfError, match="observations"):
        PolicyActor(robot("hopper"), policy())


@pytest.mark.parametrize("config", [PolicyConfig(), PolicyConfig(hidden=8, activation="relu", squash=True)])
def test_a_file_gives_back_the_policy(tmp_path: Path, config: PolicyConfig):
    made = policy(3, config)
    save_policy(tmp_path / "p.safetensors", made, info(extra={"seed": 3}))
    loaded, about = load_policy(tmp_path / "p.safetensors", SPEC)
    o = torch.randn(5, SIZE)
    assert torch.equal(loaded(o), made(o))
    assert torch.equal(loaded.high, made.high)
    assert about == info(extra={"seed": 3})


def test_a_file_that_holds_just_this_already_stays_as_it_is(tmp_path: Path):
    path = tmp_path / "p.safetensors"
    made, about = policy(3), info(extra={"seed": 3, "sizes": (1, 2)})

    def written(made: GaussianPolicy, about: PolicyInfo) -> bool:
        before = path.stat().st_ino
        save_policy(path, made, about)
        return path.stat().st_ino != before  # a new file was put in its place

    path.touch()
    assert written(made, about)
    assert not written(made, about)
    assert written(made, info(extra={"seed": 4}))
    made.low[0] -= 1.0
    assert written(made, info(extra={"seed": 4}))
    assert not written(made, info(extra={"seed": 4}))
    assert written(policy(3, PolicyConfig(squash=True)), info(extra={"seed": 4}))
    path.write_bytes(path.read_bytes()[:-1])
    assert written(policy(3, PolicyConfig(squash=True)), info(extra={"seed": 4}))


def test_bad_files_get_one_clear_error(tmp_path: Path):
    path = tmp_path / "p.safetensors"
    with pytest.raises(MbmfError, match="make one with `mbmf imitate`"):
        load_policy(path)
    save_policy(path, policy(), info())
    whole = path.read_bytes()
    with pytest.raises(MbmfError, match="of robot 'ant', expected 'hopper'"):
        load_policy(path, robot("hopper"))
    for length in (0, 5, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(MbmfError, match=str(path)):
            load_policy(path)
    for changes, problem in (
        ({"layout_hash": "x"}, "another layout"),
        ({"steps": "many"}, "damaged"),
    ):
        save_policy(path, policy(), info(**changes))
        with pytest.raises(MbmfError, match=problem):
            load_policy(path)
    broken = policy()
    broken.mean.bias.fill_(float("nan"))
    save_policy(path, broken, info())
    with pytest.raises(MbmfError, match="not finite"):
        load_policy(path)
