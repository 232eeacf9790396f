"""Policies to go on from, quickly made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mbmf_ros.control.environments import environment
from mbmf_ros.control.rollout import roll_out as rollout_of_anybody
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.policy.files import LEARNING_FILE
from mbmf_ros.policy.gaussian import GaussianPolicy, PolicyConfig
from mbmf_ros.policy.io import PolicyInfo, save_policy
from mbmf_ros.policy.observation import Observation
from mbmf_ros.policy.rollouts import roll_out, save_rollout
from mbmf_ros.policy.source import Source, load_source
from mbmf_ros.robots import robot

SPENT = 4321  # environment steps that the policy is said to have cost


def make_source(folder: Path, name: str = "hopper", rollouts: int = 3, squash: bool = False, repeat: int = 1) -> Source:
    """A small policy, by regression on a proportional controller; rollouts of that, and one of noise as learnt from."""
    spec = robot(name)
    env, observe, rng = environment(spec, "forward", repeat), Observation(spec), np.random.default_rng(0)

    def expert(m: np.ndarray) -> np.ndarray:
        joints = m[spec.measurement.joint_position][-spec.nu :]
        return np.clip(-0.5 * joints + 0.05 * rng.standard_normal(spec.nu), -1.0, 1.0)

    made = [roll_out(env, expert, seed, 100, "expert") for seed in range(rollouts)]
    for number, rollout in enumerate(made):
        save_rollout(folder / "rollouts" / f"{number:04d}.safetensors", rollout, spec)
    noise = rollout_of_anybody(env, lambda m: rng.uniform(-1.0, 1.0, spec.nu), 7, 100, "random")
    TransitionStore(spec, [noise.episode]).save(folder / LEARNING_FILE)
    seen = torch.from_numpy(np.concatenate([observe(rollout.measurements[:-1]) for rollout in made]))
    actions = torch.from_numpy(np.concatenate([rollout.actions for rollout in made])).float()
    torch.manual_seed(0)
    policy = GaussianPolicy(observe.size, spec.nu, PolicyConfig(8, squash=squash))
    policy.set_range(seen)
    optimizer = torch.optim.Adam(policy.parameters(), 1e-2)
    for _ in range(50):
        loss = (policy((seen - policy.center) / policy.spread) - actions).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    policy.requires_grad_(False).fold()
    info = PolicyInfo(name, observe.layout_hash, "forward", repeat, SPENT, {})
    save_policy(folder / "policy.safetensors", policy, info)
    return load_source(folder)
