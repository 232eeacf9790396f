"""From a stream of control ticks to episodes: two consecutive ticks of one episode are one transition."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from mbmf_ros.data.motion import moves
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec

PIECE_STEPS = 200
"""Recordings are cut into episodes at the ticks that this divides, without losing a transition: data is held out and
forgotten by the episode. Wherever a recording is read from, it is cut at the same places."""


def measurement_from(state: Any, spec: RobotSpec) -> np.ndarray:
    """The measurement (nm,) in a RobotState message, whichever library decoded it.

    Raises:
        MbmfError: the message is of another robot, has a wrong number of joints, or is not finite.
    """
    if state.robot != spec.name:
        raise MbmfError(f"expected the state of robot {spec.name!r}, got one of {state.robot!r}; check `robot`")
    joints = len(spec.joints)
    if len(state.joint_position) != joints or len(state.joint_velocity) != joints:
        raise MbmfError(
            f"expected {joints} joint positions and velocities for robot {spec.name!r}, "
            f"got {len(state.joint_position)} and {len(state.joint_velocity)}"
        )
    p, q, v, w = state.pose.position, state.pose.orientation, state.twist.linear, state.twist.angular
    base = (p.x, p.y, p.z, q.w, q.x, q.y, q.z, v.x, v.y, v.z, w.x, w.y, w.z)
    m = np.array([*base, *state.joint_position, *state.joint_velocity])
    if problem := spec.measurement.problem(m):
        raise MbmfError(f"state of episode {state.episode}, tick {state.tick}: {problem}")
    return m


def applied_action_from(state: Any, spec: RobotSpec) -> np.ndarray | None:
    """The action (nu,) that was applied since the previous tick, or None at the start of an episode.

    Raises:
        MbmfError: wrong size, not finite, or not within [-1, 1].
    """
    u = np.asarray(state.applied_action, dtype=np.float64)
    if not len(u) and state.tick == 0:
        return None
    if u.shape != (spec.nu,):
        raise MbmfError(f"applied_action: expected {spec.nu} numbers for robot {spec.name!r}, got {len(u)}")
    if not np.isfinite(u).all():
        raise MbmfError("applied_action: not all numbers are finite")
    if not (np.abs(u) <= 1 + 1e-9).all():
        raise MbmfError(f"applied_action: expected numbers within [-1, 1], got {u}")
    return u


class EpisodeBuilder:
    """Collects the ticks of one stream, in memory and within a bound.

    A transition is kept only between ticks k and k + 1 of one episode whose stamps lie one control period apart;
    whatever is missing in between ends the episode.

    Args:
        spec: the robot.
        max_transitions: at most about so many are kept, the newest, and no episode without motion; by default all are.
        source: of the episodes.
    """

    def __init__(self, spec: RobotSpec, max_transitions: int | None = None, source: str = "log"):
        self.spec = spec
        self.transitions = 0  # accepted so far, forgotten ones included
        self.rejected = 0
        self.problem = ""  # of the last message that was rejected
        self.newest: Episode | None = None  # the transition that the last message made, if it made one
        self._source = source
        self._max = max_transitions
        self._episodes: deque[Episode] = deque()
        self._kept = 0
        self._measurements: list[np.ndarray] = []
        self._actions: list[np.ndarray] = []
        self._begun = 0, 0  # episode and tick of the first of the measurements
        self._last: tuple[int, int, float] | None = None  # episode, tick, stamp [s]

    def add(self, state: Any) -> bool:
        """Take the next RobotState of the stream; whether it was usable. Those that are not are counted."""
        try:
            m, u = measurement_from(state, self.spec), applied_action_from(state, self.spec)
        except MbmfError as error:
            self.reject(str(error))
            return False
        stamp_s = state.header.stamp.sec + 1e-9 * state.header.stamp.nanosec
        here = (int(state.episode), int(state.tick), stamp_s)
        self.newest = None
        if self._last and here[:2] == self._last[:2]:
            return True  # a tick that was published again
        if u is None or not self._follows(here):
            self._cut()
            self._measurements, self._begun = [m], here[:2]
        else:
            if (here[1] - 1) % PIECE_STEPS == 0 and self._actions:
                self._cut()
                self._begun = here[0], here[1] - 1
            self._measurements.append(m)
            self._actions.append(u)
            self.newest = Episode(np.stack(self._measurements[-2:]), u[None], self._source)
            self.transitions += 1
            self._kept += 1
        self._last = here
        return True

    def reject(self, problem: str) -> None:
        """Count a message that could not even be decoded."""
        self.rejected += 1
        self.problem = problem

    def interrupt(self) -> None:
        """What comes next does not follow what came before, whatever its numbers say."""
        self._last = None

    @property
    def kept(self) -> int:
        """Transitions in memory."""
        return self._kept

    def forget_all(self) -> None:
        """Drop everything that is in memory; the counts go on."""
        self.interrupt()
        self._episodes.clear()
        self._measurements, self._actions, self._kept = [], [], 0

    def add_store(self, store: TransitionStore) -> None:
        """Take whole episodes that were recorded before."""
        for episode in store.episodes:
            self._kept += len(episode)
            self._keep(episode)
        self._forget()

    def store(self) -> TransitionStore:
        """The transitions kept, the episode under way included."""
        out = TransitionStore(self.spec, list(self._episodes))
        if self._actions:
            out.add(self._under_way())
        return out

    def _under_way(self) -> Episode:
        episode, tick = self._begun
        piece, skipped = divmod(tick, PIECE_STEPS)
        arrays = np.stack(self._measurements), np.stack(self._actions)
        return Episode(*arrays, self._source, f"{episode}/{piece}", skipped)

    def _follows(self, here: tuple[int, int, float]) -> bool:
        if self._last is None:
            return False
        (episode, tick, stamp_s), dt_s = self._last, self.spec.dt_s
        return here[:2] == (episode, tick + 1) and abs(here[2] - stamp_s - dt_s) < 0.5 * dt_s

    def _cut(self) -> None:
        """End the episode under way; its last measurement may begin the next one."""
        if self._actions:
            self._keep(self._under_way())
            self._forget()
        self._measurements, self._actions = self._measurements[-1:], []

    def _keep(self, episode: Episode) -> None:
        """Take a whole episode that has been counted; one that teaches nothing must not push out what does."""
        if self._max is None or moves(self.spec, episode.actions):
            self._episodes.append(episode)
        else:
            self._kept -= len(episode)

    def _forget(self) -> None:
        """Drop the oldest episodes beyond the bound."""
        while self._max is not None and self._episodes and self._kept - len(self._episodes[0]) >= self._max:
            self._kept -= len(self._episodes.popleft())
