"""The measurement under a robot's clock that jumps, and under messages that are late: never one that is too old."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from robot_side import LAYOUT, Robot, config, standing

from mbmf_ros.hardware.checks import start_problems
from mbmf_ros.hardware.estimator import INPUTS, Estimator

STEADY_S, CLOCK_S = 1000.0, 500.0  # our clock and the robot's, when the story begins
JITTER = np.random.default_rng(0).uniform(0.0, 0.004, 4096)


class Glide:
    """A robot that glides at 1 m/s from x = 0, and what a bridge measures of it.

    Args:
        told: the velocity that its odometry tells [m/s]; with 0 nothing hides how old a position is.

    Attributes:
        found: by control period: when, where, and why control was lost.
    """

    def __init__(self, told: float = 1.0):
        hardware = config()
        self.estimator, self.robot, self.told = Estimator(hardware), Robot(hardware), told
        self.found: list[tuple[float, float | None, list[str]]] = []

    def go(
        self,
        until_s: float,
        set_by_s: Callable[[str, float], float] = lambda name, at_s: 0.0,
        late_s: Callable[[str, float], float] = lambda name, at_s: 0.0,
        hertz: Sequence[float] = (100.0, 100.0, 100.0),
        period_s: float = 0.05,
    ) -> None:
        """Let it glide from 0 to ``until_s``; by input and time: how far its clock is set, how late its message is."""
        events = []
        for index, (name, rate) in enumerate(zip(INPUTS, hertz, strict=True)):
            for step in range(int(until_s * rate)):
                at_s = step / rate + 0.0025 * index
                late = 0.005 + JITTER[(3 * step + index) % 4096] + late_s(name, at_s)
                events.append((at_s + late, name, at_s))
        periods = [(period_s * period + 0.0011, "", 0.0) for period in range(int(until_s / period_s))]
        for now_s, name, at_s in sorted([*events, *periods]):
            if now_s > until_s:
                break
            if not name:
                m, causes = self.estimator.measure(STEADY_S + now_s)
                self.found.append((now_s, None if m is None else float(m[0]), causes))
                continue
            self.take(name, CLOCK_S + at_s + set_by_s(name, at_s), STEADY_S + now_s, at_s)

    def take(self, name: str, stamp_s: float, arrival_s: float, x: float) -> None:
        m = standing()
        m[0], m[LAYOUT.linear_velocity] = x, (self.told, 0.0, 0.0)
        taker = {"joint_states": self.estimator.take_joints, "imu": self.estimator.take_imu}
        said = {"joint_states": self.robot.joints, "imu": self.robot.imu, "pose": self.robot.pose}[name](m)
        taker.get(name, self.estimator.take_pose)(stamp_s, arrival_s, *said)

    def errors(self) -> list[float]:
        """How far each measurement is from where the robot was [m], and so how old it is [s]."""
        return [abs(x - now_s + 0.005) for now_s, x, _ in self.found if x is not None]


@pytest.mark.parametrize("jump_s", [3600.0, 0.3, 0.1, -0.015, -0.03, -0.1, -0.2, -0.6, -3600.0])
def test_through_a_jump_of_the_robots_clock_it_walks_on(jump_s: float):
    glide = Glide()
    glide.go(4.0, set_by_s=lambda name, at_s: jump_s if at_s > 1.5 else 0.0)
    assert [causes for _, _, causes in glide.found[2:] if causes] == []
    assert sum(x is None for _, x, _ in glide.found[2:]) <= 2
    assert max(glide.errors()) < 0.02
    if abs(jump_s) > 0.25 or jump_s < -0.02:
        assert {one.counts["clock jumps"] for one in glide.estimator.inputs.values()} == {1}


@pytest.mark.parametrize("jump_s", [3600.0, -0.1, -0.2, -0.6, -3600.0])
@pytest.mark.parametrize("hertz", [(100.0, 100.0, 50.0), (500.0, 200.0, 60.0)])
def test_inputs_that_do_not_show_a_jump_at_once_are_not_taken_for_ones_of_one_instant(jump_s, hertz):
    """Twice the same jump, and the drivers set their stamps a few milliseconds apart. Looked at all the time."""
    glide = Glide(told=0.0)
    since_s = {"joint_states": 0.0, "imu": 0.012, "pose": 0.031}

    def set_by_s(name: str, at_s: float) -> float:
        return sum(jump_s for begin_s in (1.5, 3.0) if at_s > begin_s + since_s[name])

    glide.go(4.5, set_by_s, hertz=hertz, period_s=0.01)
    assert max(glide.errors()) < 0.08
    lost_s = [now_s for now_s, _, causes in glide.found if now_s > 0.1 and causes]
    assert all(1.5 < now_s < 1.65 or 3.0 < now_s < 3.15 for now_s in lost_s)


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_that_began_before_its_clock_was_set_is_measured(name: str):
    glide = Glide()
    glide.take(name, 0.0, STEADY_S - 0.5, 0.0)
    glide.go(2.0)
    assert all(x is not None for now_s, x, _ in glide.found if now_s > 0.2)
    assert max(glide.errors()) < 0.02


def test_an_input_that_begins_after_the_others_have_jumped_is_measured():
    glide = Glide()
    for step in range(20):
        for name in INPUTS[:2]:
            glide.take(name, 10.0 * (step >= 10) + 0.01 * step, STEADY_S - 0.5 + 0.01 * step, 0.0)
    glide.go(2.0)
    assert all(x is not None for now_s, x, _ in glide.found if now_s > 0.2)


@pytest.mark.parametrize("who", [INPUTS, INPUTS[1:2]])
def test_late_messages_are_not_taken_for_new_ones_however_long_they_come(who: tuple[str, ...]):
    """From 1 s on everything, or one input, comes 1.5 s late; from 6 s on it is in time again."""
    glide = Glide()
    glide.go(8.0, late_s=lambda name, at_s: 1.5 if name in who and 1.0 < at_s < 6.0 else 0.0)
    assert max(glide.errors()) < 0.02
    lost = [causes for now_s, _, causes in glide.found if 1.2 < now_s < 6.0]
    assert all(lost)
    line = f"{', '.join(who)}: older than max_age when they arrive"
    assert all(causes[0].startswith(line) for causes in lost[30:])
    assert all(x is not None for now_s, x, _ in glide.found if now_s > 7.6)


def test_a_delay_within_the_age_limit_is_got_used_to_and_one_beyond_it_is_not():
    glide = Glide()
    glide.go(60.0, late_s=lambda name, at_s: 0.03 if at_s > 1.0 else 0.0)
    assert all(x is not None for _, x, _ in glide.found[-200:])
    other = Glide()
    other.go(150.0, late_s=lambda name, at_s: 0.15 if at_s > 1.0 else 0.0, hertz=(20.0, 20.0, 20.0))
    assert all(causes for now_s, _, causes in other.found if now_s > 2.0)


def test_one_whose_clock_alone_was_set_is_of_another_clock():
    glide = Glide()
    glide.go(4.0, set_by_s=lambda name, at_s: -0.2 if name == "pose" and at_s > 1.5 else 0.0)
    assert max(glide.errors()) < 0.03
    assert all("set sync.stamps: arrival" in causes[0] for now_s, _, causes in glide.found if now_s > 2.0)


def test_a_clock_set_back_by_less_than_a_silence_refuses_the_start_until_it_is_trusted():
    glide = Glide()
    # Nothing between 1 and 3 s; meanwhile the clock was set back by a second.
    glide.go(
        5.0,
        set_by_s=lambda name, at_s: -1.0 if at_s > 2.0 else 0.0,
        late_s=lambda name, at_s: 100.0 if 1.0 < at_s < 3.0 else 0.0,
    )
    assert glide.found[-1][2][0].startswith("joint_states, imu, pose: older than max_age")
    now_s = STEADY_S + 5.0
    assert start_problems(glide.estimator, None, now_s) == glide.found[-1][2]
    glide.estimator.trust_clock()
    m, causes = glide.estimator.measure(now_s)
    assert causes == []
    assert m is not None
    assert m[0] == pytest.approx(5.0, abs=0.02)
    assert start_problems(glide.estimator, m, now_s) == []
