"""Numbers are consecutive exactly where one known action was in force for one whole control period."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbmf_ros.hardware.pairing import Pairing

DT = 0.05
EVENTS = ("fine", "late", "no state", "stop in the middle", "nothing sent", "new episode")


def act(value: float) -> np.ndarray:
    return np.full(2, value)


class Played:
    """A bridge's life: what it sends, what it tells, and what the robot really did in each period."""

    def __init__(self, early: bool):
        self.pairing, self.early = Pairing(DT, early), early
        self.pairing.begin()
        self.now, self.count = 0.0, 0.0
        self.held: float | None = None  # what the robot does
        self.clean = False  # one action since the last boundary
        self.told: list[tuple[int, int, float | None, float | None, bool]] = []

    def send(self, out_of_turn: bool = False) -> None:
        self.count += 1.0
        (self.pairing.interrupt if out_of_turn else self.pairing.sent)(act(self.count), 1)

    def period(self, event: str) -> None:
        """One control period, from one boundary to the next."""
        regular = event != "nothing sent"
        clean = True
        if not self.early:
            if regular:
                self.send()
                self.held = self.count
            else:
                self.pairing.stop()
                self.held = None
        else:
            self.held = self.ahead if hasattr(self, "ahead") else None
        if event == "stop in the middle":
            self.send(out_of_turn=True)
            clean, self.held = False, self.count
        if self.early:
            if regular:
                self.send()
                self.ahead: float | None = self.count
            else:
                self.pairing.stop()
                self.held = self.ahead = None
                clean = False
        in_force = self.held if clean else None
        self.now += DT * (1.6 if event == "late" else 1.0)
        if event == "new episode":
            self.pairing.begin()
        if event == "no state":
            self.pairing.skip()
            return
        past = self.pairing.state(self.now)
        said = None if past is None else float(past.action[0])
        self.told.append((self.pairing.episode, self.pairing.tick, said, in_force, event == "late"))


@given(st.booleans(), st.lists(st.sampled_from(EVENTS), max_size=40))
def test_consecutive_numbers_are_never_wrong(early: bool, events: list[str]):
    played = Played(early)
    for event in events:
        played.period(event)
    for before, after in zip(played.told, played.told[1:], strict=False):
        if after[0] != before[0]:
            assert after[1] == 0
            assert after[2] is None
            continue
        assert after[1] > before[1]
        if after[1] == before[1] + 1:
            assert after[2] is not None
            assert after[2] == after[3]
            assert not after[4]


@pytest.mark.parametrize("early", [False, True])
def test_in_a_quiet_life_every_state_is_a_transition(early: bool):
    played = Played(early)
    for _ in range(20):
        played.period("fine")
    numbers = [tick for _, tick, *_ in played.told]
    assert numbers[0] == 0
    assert numbers[3:] == list(range(numbers[3], numbers[3] + 17))
    assert [said for _, _, said, _, _ in played.told[3:]] == [force for *_, force, _ in played.told[3:]]


def test_while_nothing_was_ever_sent_no_two_states_are_a_transition():
    pairing = Pairing(DT)
    pairing.begin()
    numbers = []
    for step in range(5):
        assert pairing.state(DT * step) is None
        numbers.append(pairing.tick)
    assert numbers == [0, 2, 4, 6, 8]


def test_an_action_that_is_held_is_one_action():
    """Where answers are sent on arrival and one does not come, the robot goes on with the last."""
    pairing = Pairing(DT, held_source=2)
    pairing.begin()
    pairing.state(0.0)
    pairing.sent(act(1.0), 1)
    for step in (1, 2, 3):
        past = pairing.state(DT * step)
        assert past is not None
        assert (past.action[0], past.source) == (1.0, 1 if step == 1 else 2)
        assert pairing.tick == step


def test_a_long_gap_leaves_out_as_many_numbers_as_periods():
    pairing = Pairing(DT)
    pairing.begin()
    pairing.state(0.0)
    pairing.sent(act(1.0), 1)
    pairing.state(DT)
    pairing.sent(act(2.0), 1)
    pairing.state(DT + 40 * DT)
    assert pairing.tick == 41


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("off", [0.45, -0.45])
def test_a_command_that_is_not_sent_in_time_makes_no_transition(early: bool, off: float):
    """Half of the period that it is for was of another action, or half of the one before."""
    pairing = Pairing(DT, early)
    pairing.begin()
    numbers = []
    for step in range(10):
        pairing.state(DT * step)
        numbers.append(pairing.tick)
        pairing.sent(act(step), 1, off * DT if step == 5 else 0.1 * DT)
    gaps = {step for step in range(4, 10) if numbers[step] > numbers[step - 1] + 1}
    period = 7 if early else 6  # the state at the end of the period that it is for
    assert gaps == ({period} if off > 0 or not early else {period - 1, period})
