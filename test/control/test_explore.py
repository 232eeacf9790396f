"""Moving at random while there is no model."""

import numpy as np

from mbmf_ros.control.explore import STRETCH_STEPS, Explorer
from mbmf_ros.data.exploration import ExplorationConfig
from mbmf_ros.robots import robot

SPEC = robot("ant")


def test_what_was_announced_is_what_follows():
    explorer = Explorer(SPEC, seed=3)
    announced = explorer.next(4)
    assert announced.shape == (5, SPEC.nu)
    for row in announced[1:]:
        np.testing.assert_array_equal(explorer.next()[0], row)


def test_the_seed_decides_and_stretches_differ_in_amplitude():
    one, same, other = (Explorer(SPEC, seed=seed) for seed in (1, 1, 2))
    actions = np.concatenate([one.next() for _ in range(10 * STRETCH_STEPS)])
    np.testing.assert_array_equal(actions, np.concatenate([same.next() for _ in range(len(actions))]))
    assert (actions != np.concatenate([other.next() for _ in range(len(actions))])).any()
    assert np.abs(actions).max() <= 1
    spreads = actions.reshape(10, -1).std(1)
    assert spreads.max() > 1.5 * spreads.min()


def test_settings_are_obeyed():
    gentle = Explorer(SPEC, ExplorationConfig(kind="mixed", min_amplitude=0.1, max_amplitude=0.1, max_hold=1), seed=0)
    actions = np.concatenate([gentle.next() for _ in range(3 * STRETCH_STEPS)])
    assert 0 < np.abs(actions).std() < 0.15
