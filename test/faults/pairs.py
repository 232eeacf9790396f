"""Whether what was logged is true: each action is the one that led from its state to the next."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from mbmf_ros.data.bag import StateReader, bag_files
from mbmf_ros.data.episodes import measurement_from
from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.config import HardwareConfig
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import Simulation

SPEC = robot("ant")
TOLERANCE = 1e-3  # of a measurement, SI units; the solver's warm start is not part of a measurement
TOLD_APART = 20 * TOLERANCE
ENOUGH = 15  # transitions in motion


def logged(folder: Path, first_s: float) -> list:
    """The well-formed states in a log, each once, in order, from the stamp ``first_s`` [s] on."""
    unique = {}
    for heard in StateReader(bag_files(folder)):
        if heard.state is not None and stamp_s(heard.state) >= first_s:
            with contextlib.suppress(MbmfError):  # the log takes everything; who reads it refuses what is malformed
                measurement_from(heard.state, SPEC)
                unique.setdefault(stamp_s(heard.state), heard.state)
    return [unique[at] for at in sorted(unique)]


def stamp_s(state: Any) -> float:
    """When a logged state was measured [s]."""
    return state.header.stamp.sec + 1e-9 * state.header.stamp.nanosec


def transitions(states: list) -> list[tuple]:
    """Those that follow each other."""
    return [
        (before, after)
        for before, after in itertools.pairwise(states)
        if after.episode == before.episode and after.tick == before.tick + 1
    ]


def replayed(pairs: list[tuple]) -> tuple[np.ndarray, np.ndarray]:
    """How far physics, started where the first state of each pair was measured, ends from the second.

    Returns:
        Largest difference with the action that was logged with the pair, (pairs,), and with the one of the pair before.
    """
    simulation, right, wrong = Simulation(SPEC), [], []
    previous = np.array(SPEC.safe_action)
    for before, after in pairs:
        start, end = measurement_from(before, SPEC), measurement_from(after, SPEC)
        action = np.array(after.applied_action)
        for errors, tried in ((right, action), (wrong, previous)):
            simulation.reset(start)
            errors.append(float(np.abs(simulation.step(tried) - end).max()))
        previous = action
    return np.array(right), np.array(wrong)


def check_physics(states: list) -> int:
    """Fails where a logged action is not the one that moved the simulated robot; returns the number of transitions."""
    pairs = transitions(states)
    right, wrong = replayed(pairs)
    assert (wrong > TOLD_APART).sum() >= ENOUGH, "the robot hardly moved: a wrong action would not be noticed"
    worst = int(right.argmax())
    assert right.max() < TOLERANCE, f"tick {pairs[worst][1].tick}: physics ends {right.max():.2g} away"
    return len(pairs)


def check_commands(states: list, commands: list[np.ndarray], hardware: HardwareConfig) -> int:
    """Fails where a logged action is not what was told to be coming, or not what the robot was sent, in that order.

    Not every command has to have been heard: only the newest one waits for a listener on a busy computer.

    Args:
        states: logged.
        commands: as they were heard, (nu,) each.
        hardware: how actions became commands.

    Returns:
        The number of transitions in motion.
    """
    joints = [hardware.joints[name] for name in SPEC.actuated_joints]
    order = [hardware.command.order.index(joint.name) for joint in joints]
    size = np.array([joint.sign * joint.gear / joint.scale for joint in joints])
    sent = np.array(commands)[:, order] * size
    at, found, moved = 0, 0, 0
    for before, after in transitions(states):
        action = np.array(after.applied_action)
        np.testing.assert_array_equal(action, before.pending_action)
        if not action.any():
            continue
        moved += 1
        matches = np.flatnonzero(np.abs(sent[at:] - action).max(axis=1) < 1e-9)
        if len(matches):
            at, found = at + int(matches[0]) + 1, found + 1
    assert moved, "the robot never moved"
    assert found >= 0.6 * moved, f"{moved - found} of {moved} actions were never sent, or out of order"
    return found
