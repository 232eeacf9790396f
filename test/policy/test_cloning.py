"""Behaviour cloning, the planner's guidance, and improvement in the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mbmf_ros.control.algorithm import LearnConfig, Learner
from mbmf_ros.control.goals import ForwardGoal
from mbmf_ros.control.learn_settings import configured
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy import improvement
from mbmf_ros.policy.cloning import CloneConfig, clone, mirrored
from mbmf_ros.policy.gaussian import GaussianPolicy, PolicyConfig
from mbmf_ros.policy.guide import Guide, imagined_actions
from mbmf_ros.policy.improvement import ImprovementConfig, improve
from mbmf_ros.policy.observation import Observation
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import Simulation, start_measurement

torch.set_num_threads(1)


def learner(profile: str = "body") -> Learner:
    """A swimmer that has learnt for a few seconds."""
    config = configured(
        LearnConfig(),
        {
            "random_steps": 600,
            "iteration_steps": 60,
            "planner_settings": {"batch_size": 64, "time_steps": 8, "action_limit": 1.0},
            "dynamics": {"hidden": 32, "members": 2, "profile": profile},
            "first": {"min_updates": 400, "batch_size": 64, "symmetries": profile == "body"},
            "refit": {"min_updates": 20, "batch_size": 64, "symmetries": profile == "body"},
        },
    )
    made = Learner(robot("swimmer"), "forward", config, seed=0)
    made.run(660)
    return made


def pupil(seed: int = 0) -> GaussianPolicy:
    torch.manual_seed(seed)
    spec = robot("swimmer")
    return GaussianPolicy(Observation(spec).size, spec.nu, PolicyConfig(hidden=16)).requires_grad_(False)


def test_a_simple_expert_is_cloned():
    rng = np.random.default_rng(0)
    o = rng.normal(3.0, [0.01, 1.0, 100.0], size=(2000, 3)).astype(np.float32)
    u = np.stack([np.tanh((o[:, 0] - 3.0) / 0.01), 0.3 * (o[:, 1] - 3.0)], axis=1)
    torch.manual_seed(0)
    policy = GaussianPolicy(3, 2)
    policy.begin(torch.from_numpy(o))
    error = clone(policy, o, u, CloneConfig(min_updates=1500), seed=0)
    assert error < 0.05
    answers = policy(torch.from_numpy(o)).detach().numpy()
    assert np.sqrt(np.mean((answers - u) ** 2)) == pytest.approx(error, rel=1e-2)  # folded in again
    torch.testing.assert_close(policy.low, torch.from_numpy(o.min(0)))
    assert clone(policy, o, u, CloneConfig(min_updates=200), seed=1) < 0.05  # goes on from its weights


@pytest.mark.parametrize("name", ["swimmer", "ant"])
def test_a_mirrored_observation_is_that_of_the_mirrored_robot(name: str):
    spec, rng = robot(name), np.random.default_rng(0)
    observe, sim = Observation(spec), Simulation(spec)
    m = sim.reset(start_measurement(spec, rng, 0.1, (0.0, 0.0, 0.4)))
    for _ in range(3):
        m = sim.step(rng.uniform(-1, 1, spec.nu))
    u = rng.uniform(-1, 1, spec.nu)
    after = sim.step(u)
    pairs = [observe(state)[None] for state in (m, after)]
    (_, image), (_, image_u) = mirrored(spec, pairs[0], u[None])
    image_after = mirrored(spec, pairs[1], u[None])[0][1]
    # The mirror image, back as a measurement: the robot's side speed, yaw, and so on change sign.
    assert image[-1] == pytest.approx(-pairs[0][0, -1])
    assert image[-2] == pytest.approx(pairs[0][0, -2])
    again, again_u = mirrored(spec, image[None], image_u[None])
    np.testing.assert_allclose(again[1], pairs[0][0], atol=1e-6)
    np.testing.assert_allclose(again_u[1], u, atol=1e-6)
    if name == "swimmer":  # its measurement can be mirrored by hand
        flipped = m.copy()
        layout = spec.measurement
        for part in (slice(1, 2), slice(6, 7), layout.joint_position, layout.joint_velocity):
            flipped[part] *= -1
        flipped[layout.linear_velocity.start + 1] *= -1
        flipped[layout.angular_velocity] *= -1
        np.testing.assert_allclose(observe(flipped), image, atol=1e-6)
        sim.reset(flipped)
        np.testing.assert_allclose(observe(sim.step(image_u)), image_after, atol=1e-4)


def test_who_goes_on_begins_with_the_answers_it_had():
    run, rng = learner(), np.random.default_rng(0)
    policy = pupil()
    size = policy.first.in_features
    policy.begin(torch.from_numpy(rng.normal(2.0, 3.0, (200, size)).astype(np.float32)))
    o = torch.from_numpy(rng.normal(0.0, 1.0, (50, size)).astype(np.float32))
    before = policy(o)
    improve(policy, run, ImprovementConfig(updates=1, batch_size=8, learning_rate=1e-8), seed=0)
    torch.testing.assert_close(policy(o), before, rtol=1e-3, atol=1e-3)
    u = np.zeros((50, run.spec.nu))
    clone(policy, o.numpy(), u, CloneConfig(min_updates=1, learning_rate=1e-8), seed=0)
    torch.testing.assert_close(policy(o), before, rtol=1e-3, atol=1e-3)


def test_a_robot_in_the_sagittal_plane_has_no_mirror_image():
    o, u = np.ones((4, 12), np.float32), np.ones((4, 3))
    assert mirrored(robot("hopper"), o, u)[0] is o


def test_a_guide_answers_near_the_policy_and_better_than_it():
    run = learner()
    model = run.model
    assert model is not None
    policy, m = pupil(), run.own.episodes[-1].measurements[3]
    first = Guide(run, policy, noise=0.2, iterations=3, seed=1)(m)
    np.testing.assert_array_equal(first, Guide(run, policy, noise=0.2, iterations=3, seed=1)(m))
    guide = Guide(run, policy, noise=0.2, iterations=3, seed=1)
    x = torch.from_numpy(model.profile.encode(m).astype(np.float32))
    task = ForwardGoal(run.env.reward, run.config.forward).task(m, model, run.spec)
    assert task is not None
    with torch.inference_mode():
        would = imagined_actions(policy, guide.observe, model, x, 8)

        def value(u: torch.Tensor) -> float:
            """Mean over the members of the imagined return of doing ``u`` (H, nu)."""
            every = torch.stack([u, u])
            return float(torch.stack(list(task.terms(model.imagine(x.expand(2, -1), every), every).values())).sum())

        assert value(guide.plan(m)) > value(would)
    assert np.abs(first - would[0].numpy()).max() < 0.6
    with pytest.raises(MbmfError, match="guided=false"):
        Guide(learner("paper"), policy, 0.2, 1, 0)


def test_a_policy_gets_better_in_the_model_and_nothing_else_changes():
    run = learner()
    assert run.model is not None
    before = [weight.clone() for weight in run.model.parameters()]
    config = ImprovementConfig(updates=150, batch_size=32, learning_rate=1e-2)
    first = improve(pupil(), run, ImprovementConfig(updates=1, batch_size=32), seed=0)
    policy, again = pupil(), pupil()
    assert improve(policy, run, config, seed=0) > first + 0.005
    improve(again, run, config, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), again.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, run.model.parameters(), strict=True))
    assert not any(weight.requires_grad for weight in run.model.parameters())
    with pytest.raises(MbmfError, match=r"improvement.rounds=0"):
        improve(pupil(), learner("paper"), config, seed=0)


@pytest.mark.parametrize(
    ("settings", "horizon", "steps"), [({}, 0, 15), ({"time_steps": 6}, 0, 6), ({"time_steps": 6}, 4, 4)]
)
def test_it_is_imagined_as_far_as_the_planner_looks(
    monkeypatch: pytest.MonkeyPatch, settings: dict, horizon: int, steps: int
):
    imagine, imagined = improvement._imagine, []

    def seen(*args: Any) -> Any:
        imagined.append(imagine(*args))
        return imagined[-1]

    monkeypatch.setattr(improvement, "_imagine", seen)
    quick = {"random_steps": 60, "dynamics": {"hidden": 8}, "first": {"min_updates": 1}}
    shooting = {**quick, "planner": "random_shooting", "planner_settings": settings}
    run = Learner(robot("swimmer"), "forward", configured(LearnConfig(), shooting), seed=0)
    run.run(60)
    run.own.extend(run.random)
    improve(pupil(), run, ImprovementConfig(updates=1, batch_size=8, horizon=horizon), seed=0)
    assert imagined[0][0].shape[1] == steps + 1


def test_advancing_is_imagining_one_step_by_the_same_members():
    run = learner()
    model = run.model
    assert model is not None
    rng = np.random.default_rng(0)
    m = run.own.episodes[-1].measurements[:6]
    x = torch.from_numpy(model.profile.encode(m).astype(np.float32))
    u = torch.from_numpy(rng.uniform(-1, 1, (6, 2)).astype(np.float32)).requires_grad_(True)
    advanced = model.advance(x, u)
    torch.testing.assert_close(advanced.detach(), model.imagine(x, u.detach()[:, None])[:, 1], rtol=1e-4, atol=1e-5)
    advanced.sum().backward()
    assert u.grad is not None
    assert u.grad.isfinite().all()
    assert (u.grad != 0).any()
