"""Rollouts on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbmf_ros.control.environments import environment
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.rollouts import load_rollout, load_rollouts, roll_out, save_rollout
from mbmf_ros.robots import robot

SPEC = robot("hopper")


def test_a_rollout_comes_back_as_it_was(tmp_path: Path):
    rng = np.random.default_rng(0)
    env = environment(SPEC, "forward")
    made = roll_out(env, lambda m: rng.uniform(-1, 1, 3), 4, 200, "policy", expert=lambda m: m[:3])
    assert made.terminated
    assert len(made) < 200
    np.testing.assert_array_equal(made.labels, made.measurements[:-1, :3])
    save_rollout(tmp_path / "b.safetensors", made, SPEC)
    save_rollout(tmp_path / "a.safetensors", roll_out(env, lambda m: np.zeros(3), 4, 5, "expert"), SPEC)
    short, loaded = load_rollouts(tmp_path, SPEC)
    assert (len(short), short.source, short.terminated, short.labels.shape) == (5, "expert", False, (0, 3))
    for name in ("measurements", "actions", "rewards", "labels"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(made, name))
    assert (loaded.terminated, loaded.source, loaded.value) == (True, "policy", made.value)


def test_bad_files_get_one_clear_error(tmp_path: Path):
    path = tmp_path / "r.safetensors"
    with pytest.raises(MbmfError, match="not a whole file"):
        load_rollout(path, SPEC)
    made = roll_out(environment(SPEC, "forward"), lambda m: np.zeros(3), 0, 5, "expert")
    save_rollout(path, made, SPEC)
    with pytest.raises(MbmfError, match="no rollout of 'ant'"):
        load_rollout(path, robot("ant"))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(MbmfError, match="not a whole file"):
        load_rollout(path, SPEC)
    made.actions[0] = np.nan
    save_rollout(path, made, SPEC)
    with pytest.raises(MbmfError, match="not all numbers are finite"):
        load_rollout(path, SPEC)
