"""A policy that drives: where it acts, how long an action is held, what follows it, and which files are taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_policies import ANT, lifted, trained, written
from torch import Tensor

from mbmf_ros.control import environments
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy import driver as drivers
from mbmf_ros.policy.driver import PolicyDriver, PolicyDriverConfig, load_driver
from mbmf_ros.policy.gaussian import GaussianPolicy
from mbmf_ros.policy.observation import Observation
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

START = start_measurement(ANT)
OBSERVE = Observation(ANT)
torch.set_num_threads(1)


class Counting(GaussianPolicy):
    """Answers 0.1, 0.2, ...; was trained on the start pose and one around it, with a standard deviation of 0.5."""

    def __init__(self):
        super().__init__(OBSERVE.size, ANT.nu)
        self.asked = 0
        o = torch.from_numpy(OBSERVE(START))
        self.low, self.high, self.spread = o - 1.0, o + 1.0, torch.full_like(o, 0.5)

    def forward(self, o: Tensor) -> Tensor:
        self.asked += 1
        return torch.full((ANT.nu,), 0.1 * self.asked)


def driver(policy: GaussianPolicy | None = None, repeat: int = 1, rows: int = 4, **config) -> PolicyDriver:
    return PolicyDriver(ANT, policy or Counting(), repeat, PolicyDriverConfig(**config), rows)


def answers(drives: PolicyDriver, heights_m: list[float], first: int = 0) -> list[float]:
    """The first number of each action, NaN where there is none, at measurements that much higher than the start."""
    steps = [drives.act(lifted(ANT, by_m), tick) for tick, by_m in enumerate(heights_m, first)]
    return [float("nan") if step is None else float(step.action[0]) for step in steps]


def model(profile: str = "body", **statistics: float) -> Dynamics:
    made = Dynamics(ANT, DynamicsConfig(profile=profile, members=2, hidden=8))
    for name, value in {"output_std": 1e-3, **statistics}.items():
        getattr(made, name).fill_(value)
    return made


def test_it_acts_with_its_mean_within_its_range_and_has_no_plan_without_a_model():
    policy = trained()
    step = driver(policy).act(START, 0)
    assert step is not None
    np.testing.assert_allclose(step.action, policy(torch.from_numpy(OBSERVE(START))).numpy(), atol=1e-6)
    np.testing.assert_allclose(step.action, 0.2, atol=0.05)  # upright: no sway
    assert (step.idle, step.plan.shape, step.optimal_xy.shape) == (False, (0, ANT.nu), (0, 2))


def test_it_leaves_what_is_outside_its_range_to_others_and_comes_back_when_it_was_inside_for_long_enough():
    drives = driver(return_after=3)
    got = answers(drives, [0.0, 3.0, 0.0, 0.0, 3.0, 0.0, 0.0])
    np.testing.assert_allclose(got, [0.1] + 6 * [np.nan])
    assert drives.why == "it is within its range again, and waits for 1 more control step"
    np.testing.assert_allclose(answers(drives, [0.0, 0.0, 3.0], 7), [0.6, 0.7, np.nan], atol=1e-6)
    assert drives.why == "height is 4 standard deviations outside of its training"
    assert (drives.answered, dict(drives.refused)) == (3, {"height": 3, "returning": 4})
    assert list(drives.values().items())[:2] == [("steps by the policy", 3), ("steps not by the policy: returning", 4)]


def test_the_margin_is_counted_in_standard_deviations():
    assert answers(driver(range_margin=0.5), [1.24]) == pytest.approx([0.1])
    assert np.isnan(answers(driver(range_margin=0.5), [1.26])).all()
    assert np.isnan(answers(driver(range_margin=0.0), [1.01])).all()
    assert answers(driver(return_after=1), [3.0, 0.0])[1] == pytest.approx(0.1)  # at once


def test_an_action_is_held_by_the_number_of_the_control_step_whatever_was_skipped():
    drives = driver(repeat=3, rows=4)
    plans = []
    for tick, expected in ((0, 0.1), (1, 0.1), (2, 0.1), (3, 0.2), (5, 0.2), (9, 0.3), (11, 0.3), (12, 0.4)):
        step = drives.act(START, tick)
        assert step is not None
        assert step.action[0] == pytest.approx(expected), tick
        np.testing.assert_allclose(step.plan, expected)  # what is held follows
        plans.append(len(step.plan))
    assert plans == [2, 1, 0, 2, 0, 2, 0, 2]


def test_what_is_held_ends_where_the_robot_leaves_the_range():
    drives = driver(repeat=3, return_after=2)
    got = answers(drives, [0.0, 3.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(got, [0.1, np.nan, np.nan, 0.3, 0.3], atol=1e-6)
    assert dict(drives.refused) == {"height": 1, "returning": 1}


def test_what_is_measured_counts_whatever_is_predicted():
    drives, back = driver(), model()
    nothing = np.zeros((1, ANT.nu))
    assert drives.act(START, 0, nothing, back) is not None
    assert drives.act(lifted(ANT, 3.0), 1, nothing, back) is None
    assert drives.why.startswith("height")


def test_a_new_episode_and_a_rest_end_what_is_held_and_only_the_former_the_wait():
    drives = driver(repeat=4, return_after=5)
    assert answers(drives, [0.0, 0.0]) == pytest.approx([0.1, 0.1])
    drives.reset()
    assert answers(drives, [0.0]) == pytest.approx([0.2])  # the same tick again
    drives.rest()
    assert answers(drives, [0.0], 1) == pytest.approx([0.3])
    answers(drives, [3.0], 5)
    drives.rest()
    assert drives.why == ""
    assert np.isnan(answers(drives, [0.0], 6)).all()
    drives.reset()
    assert not np.isnan(answers(drives, [0.0])).any()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_answer_that_is_not_finite_is_none(value):
    policy = trained()
    policy.mean.bias[3] = value
    drives = driver(policy)
    assert drives.act(START, 0) is None
    assert drives.why == "its output is not finite"
    assert dict(drives.refused) == {"not finite": 1}


def test_a_malformed_measurement_is_an_error():
    broken = START.copy()
    broken[20] = np.nan
    with pytest.raises(MbmfError, match="not all numbers are finite"):
        driver().act(broken, 0)


def test_states_and_measurements_give_the_same_observation_and_each_number_has_a_name():
    for name in ("ant", "hopper", "swimmer"):
        spec = robot(name)
        observe, m = Observation(spec), start_measurement(spec, np.random.default_rng(0), 0.1)
        x = torch.from_numpy(observe.profile.encode(m))
        np.testing.assert_allclose(observe.of_states(x).numpy(), observe(m), atol=1e-6)
        assert len(set(observe.names)) == observe.size
    assert OBSERVE.names[:2] == ("height", "up[0]")
    assert "joint_velocity[ankle_4]" in OBSERVE.names
    assert OBSERVE.names[-1] == "sin_yaw"


# With a model ---------------------------------------------------------------------------------------------------------


def rolled(policy: GaussianPolicy, dynamics: Dynamics, pending: np.ndarray, rows: int) -> np.ndarray:
    """Actions (rows, nu) of a policy in a model, after pending ones."""
    x = torch.from_numpy(dynamics.profile.encode(START).astype(np.float32))
    for action in torch.from_numpy(pending.astype(np.float32)):
        x = dynamics(x[None], action[None])[0]
    out = []
    for _ in range(rows):
        out.append(policy(OBSERVE.of_states(x)).clamp(-1, 1))
        x = dynamics(x[None], out[-1][None])[0]
    return torch.stack(out).numpy()


def test_it_answers_where_the_pending_actions_lead_and_the_plan_is_what_it_would_do_then():
    policy, dynamics = trained(), model(output_std=0.02)
    pending = np.random.default_rng(0).uniform(-1, 1, (2, ANT.nu))
    step = driver(policy, rows=3).act(START, 0, pending, dynamics)
    assert step is not None
    expected = rolled(policy, dynamics, pending, 4)
    np.testing.assert_allclose(np.vstack([step.action, step.plan]), expected, atol=1e-5)
    assert not np.allclose(expected[0], rolled(policy, dynamics, pending[:0], 1)[0], atol=1e-4)
    assert step.optimal_xy.shape == (4, 2)


def test_the_plan_holds_actions_as_well():
    step = driver(repeat=2, rows=4).act(START, 0, None, model())
    assert step is not None
    np.testing.assert_allclose(np.vstack([step.action, step.plan])[:, 0], [0.1, 0.1, 0.2, 0.2, 0.3], atol=1e-6)


def test_the_plan_ends_where_the_model_leaves_the_range():
    rising = model()
    rising.output_mean[0] = 0.5  # the height
    step = driver(rows=4).act(START, 0, None, rising)
    assert step is not None
    assert len(step.plan) == 2  # 1.25 m are tolerated


def test_what_a_model_expects_that_is_not_finite_is_refused():
    drives = driver()
    assert drives.act(START, 0, np.zeros((1, ANT.nu)), model(output_mean=float("nan"))) is None
    assert drives.why == "its input is not finite"


def test_a_model_of_another_state_profile_is_of_no_use_and_does_no_harm():
    step = driver().act(START, 0, np.zeros((1, ANT.nu)), model("paper"))
    assert step is not None
    assert (float(step.action[0]), len(step.plan)) == (pytest.approx(0.1), 0)


# Files ----------------------------------------------------------------------------------------------------------------


def test_a_file_or_its_folder_is_named(tmp_path: Path):
    file = written(tmp_path, action_repeat=3, task="forward_v5")
    for place in (file, tmp_path):
        drives, info = load_driver(ANT, str(place))
        assert (drives.action_repeat, info.steps) == (3, 1000)
    with pytest.raises(MbmfError, match=r"cannot read the policy .*nowhere"):
        load_driver(ANT, str(tmp_path / "nowhere"))


def test_a_file_that_cannot_drive_this_robot_gets_one_clear_error(tmp_path: Path):
    file = written(tmp_path)
    whole = file.read_bytes()
    with pytest.raises(MbmfError, match="of robot 'ant', expected 'swimmer'"):
        load_driver(robot("swimmer"), str(file))
    for data in (whole[:-1], whole[:100], b"", b"\x80\x04}\x94."):
        file.write_bytes(data)
        with pytest.raises(MbmfError, match=str(file)):
            load_driver(ANT, str(file))
    with pytest.raises(MbmfError, match="unknown task of a policy that drives 'backward'; known: forward, forward_v5"):
        load_driver(ANT, str(written(tmp_path, task="backward")))
    with pytest.raises(MbmfError, match="action_repeat: expected 1 or more, got 0"):
        load_driver(ANT, str(written(tmp_path, action_repeat=0)))


def test_the_tasks_that_drive_are_those_that_policies_are_trained_for():
    assert drivers.FORWARD_TASKS == environments.TASKS
