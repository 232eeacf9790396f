"""Transitions from bags: logs of the learner, and what ``ros2 bag record`` recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mbmf_ros.data.bag import STATE_TYPE, StateReader, bags
from mbmf_ros.data.episodes import EpisodeBuilder
from mbmf_ros.data.mcap import library
from mbmf_ros.data.mcap_writer import LIBRARY
from mbmf_ros.data.motion import moves
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec

_SAMPLED = 10  # of so many states one tells whether there is motion ...
_FEW = 20  # ... but not if there are fewer of these in a file
_LONGEST_PAUSE_NS = 1_000_000_000
"""Between files, a longer one means another start of the robot: equal numbers of episode and tick then mean nothing."""


@dataclass(frozen=True)
class LogContents:
    """What a log holds.

    Attributes:
        store: the transitions.
        messages: RobotState messages read.
        rejected: of those, malformed ones, and ones of another robot.
        problem: why the last of them was rejected.
        damages: what of the files could not be read.
        topics: transitions per topic.
    """

    store: TransitionStore
    messages: int
    rejected: int
    problem: str
    damages: list[str] = field(default_factory=list)
    topics: dict[str, int] = field(default_factory=dict)


def read_log(
    path: Path, spec: RobotSpec, max_transitions: int | None = None, topics: Collection[str] = ()
) -> LogContents:
    """The transitions in bags: rosbag2 folders (MCAP or SQLite), a folder of such folders, or one file.

    Ticks are paired only if they follow each other in one episode of one topic; gaps and malformed messages end an
    episode. What is torn or damaged is read as far as it is whole; the files are left as they are.

    Args:
        path: folder or file.
        spec: the robot.
        max_transitions: at most about so many of the newest are kept, and no stretch without motion; all by default.
        topics: only these; all by default.

    Raises:
        MbmfError: there is no such log, or it holds nothing of this robot.
        OSError: it cannot be read.
    """
    store, heard, damages = TransitionStore(spec), Counter[str](), list[str]()
    builders: dict[tuple[int, str], EpisodeBuilder] = {}
    others: dict[str, str] = {}
    robots = Counter[str]()
    for number, files in enumerate(bags(path)):
        if max_transitions is not None:
            files = _newest(files, spec, topics, max_transitions)
        reader = StateReader(files, topics)
        last: dict[str, tuple[int, int]] = {}  # file and time [ns] of a topic's last message
        for message in reader:
            topic = message.topic
            builder = builders.setdefault((number, topic), EpisodeBuilder(spec, max_transitions))
            file, time_ns = last.get(topic, (message.file, message.time_ns))
            if message.file != file and message.time_ns - time_ns > _LONGEST_PAUSE_NS:
                builder.interrupt()
            last[topic] = (message.file, message.time_ns)
            heard[topic] += 1
            if message.state is None:
                builder.reject("the message could not be decoded")
            else:
                builder.add(message.state)
                robots[message.state.robot] += 1
        others |= reader.others
        damages += reader.damages
    transitions = Counter[str]()
    for (_, topic), builder in builders.items():
        store.extend(kept := builder.store())
        transitions[topic] += kept.transitions
    messages, rejected = sum(heard.values()), sum(builder.rejected for builder in builders.values())
    problem = next((builder.problem for builder in builders.values() if builder.problem), "")
    if not messages or messages == rejected:
        raise MbmfError(_nothing(path, spec, robots, problem, others, damages, topics))
    return LogContents(store, messages, rejected, problem, damages, dict(transitions))


def _newest(files: list[Path], spec: RobotSpec, topics: Collection[str], transitions: int) -> list[Path]:
    """The last files with about so many transitions in motion, without those in which the robot seems to rest.

    Of files that others wrote, which may be few, all.
    """
    chosen: list[Path] = []
    some = False  # states in the chosen ones
    for file in reversed(files):
        if file.suffix != ".mcap" or library(file) != LIBRARY:
            return files
        states = (message.state for message in StateReader([file], topics, _SAMPLED))
        actions = [np.asarray(state.applied_action) for state in states if state is not None]
        moving = sum(len(action) == spec.nu and moves(spec, action) for action in actions)
        if moving or len(actions) < _FEW or not some:
            chosen.append(file)
            some = some or bool(actions)
        transitions -= _SAMPLED * moving
        if transitions < 0:
            break
    return chosen[::-1]


def _nothing(
    path: Path,
    spec: RobotSpec,
    robots: Counter[str],
    problem: str,
    others: dict[str, str],
    damages: list[str],
    topics: Collection[str],
) -> str:
    """Why there are no transitions, and what there is instead."""
    where = f" on {', '.join(topics)}" if topics else ""
    expected = f"{path}: expected {STATE_TYPE} messages of robot {spec.name!r}{where}"
    if robots and spec.name not in robots:
        return f"{expected}, found robot {', '.join(map(repr, robots))}; choose it with --robot"
    if problem:
        return f"{expected}, found only unusable ones ({problem})"
    if damages:
        return f"{expected}, found none; {damages[0]}"
    found = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(others.items()))
    return f"{expected}, found none{f'; the topics there are {found}' if found else ''}"
