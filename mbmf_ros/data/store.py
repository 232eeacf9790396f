"""Recorded episodes in memory and on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec
from mbmf_ros.whole_file import write_whole


@dataclass(frozen=True)
class Episode:
    """An unbroken recording at the control period.

    Attributes:
        measurements: (T + 1, nm); row t is measured when ``actions[t]`` begins.
        actions: (T, nu), as executed.
        source: who acted: ``random``, ``on_policy``, ``log``, or what else names it.
        piece: name of the piece of a recording that this is, or is part of; empty: of none.
        skipped: transitions of that piece before the first one here.
        rewards: (T,), of the task that it was recorded in; None: of none.
        terminated: whether that task, or a divergence of the simulation, ended it after the last step.
    """

    measurements: np.ndarray
    actions: np.ndarray
    source: str = "random"
    piece: str = ""
    skipped: int = 0
    rewards: np.ndarray | None = None
    terminated: bool = False

    def __len__(self) -> int:
        return len(self.actions)


@dataclass
class TransitionStore:
    """Episodes of one robot.

    Raw measurements are kept, not states, so that one recording serves every state profile.
    """

    spec: RobotSpec
    episodes: list[Episode] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)  # the commands that made the data

    def add(self, episode: Episode) -> None:
        """Append an episode.

        Raises:
            MbmfError: shapes that do not fit the robot or each other, or numbers that are not finite.
        """
        m, u, rewards = episode.measurements, episode.actions, episode.rewards
        expected = (len(u) + 1, self.spec.measurement.size)
        if u.ndim != 2 or u.shape[1] != self.spec.nu or m.shape != expected:
            raise MbmfError(
                f"episode of {self.spec.name!r}: expected measurements {expected} and actions (T, {self.spec.nu}), "
                f"got {m.shape} and {u.shape}"
            )
        if rewards is not None and rewards.shape != (len(u),):
            raise MbmfError(f"episode of {self.spec.name!r}: expected rewards ({len(u)},), got {rewards.shape}")
        if not all(np.isfinite(numbers).all() for numbers in (m, u, rewards) if numbers is not None):
            raise MbmfError(f"episode of {self.spec.name!r}: not all numbers are finite")
        self.episodes.append(episode)

    @property
    def transitions(self) -> int:
        """Number of transitions."""
        return sum(len(episode) for episode in self.episodes)

    def extend(self, other: TransitionStore) -> None:
        """Append all episodes of another store of the same robot."""
        for episode in other.episodes:
            self.add(episode)
        self.origins.extend(other.origins)

    def head(self, transitions: int) -> TransitionStore:
        """A store of the first ``transitions`` transitions; the last episode is cut to fit."""
        out, left = TransitionStore(self.spec, origins=list(self.origins)), transitions
        for episode in self.episodes:
            if left <= 0:
                break
            keep = min(left, len(episode))
            out.add(
                replace(
                    episode,
                    measurements=episode.measurements[: keep + 1],
                    actions=episode.actions[:keep],
                    rewards=None if episode.rewards is None else episode.rewards[:keep],
                    terminated=episode.terminated and keep == len(episode),
                )
            )
            left -= keep
        return out

    def save(self, path: Path) -> None:
        """Write one safetensors file; rewards only if all episodes have them.

        Raises:
            MbmfError: there is nothing to write.
            OSError: it cannot be written.
        """
        if not self.episodes:
            raise MbmfError(f"nothing to save to {path}: there are no transitions; collect some first (`mbmf collect`)")
        lengths = np.array([len(episode) for episode in self.episodes], dtype=np.int64)
        arrays = {
            "measurements": np.concatenate([episode.measurements for episode in self.episodes]),
            "actions": np.concatenate([episode.actions for episode in self.episodes]),
            "lengths": lengths,
        }
        metadata = {
            "format": "mbmf_ros/transitions",
            "robot": self.spec.name,
            "sources": json.dumps([episode.source for episode in self.episodes]),
            "origins": json.dumps(self.origins),
        }
        if any(episode.piece for episode in self.episodes):
            metadata["pieces"] = json.dumps([(episode.piece, episode.skipped) for episode in self.episodes])
        rewards = [episode.rewards for episode in self.episodes if episode.rewards is not None]
        if len(rewards) == len(self.episodes):
            arrays["rewards"] = np.concatenate(rewards)
            metadata["terminated"] = json.dumps([episode.terminated for episode in self.episodes])
        write_whole(path, save(arrays, metadata))

    @staticmethod
    def load(path: Path, spec: RobotSpec) -> TransitionStore:
        """Read what :meth:`save` wrote.

        Raises:
            MbmfError: the file is missing, truncated, damaged, foreign, or of another robot.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except FileNotFoundError as error:
            raise MbmfError(f"there is no data file {path}; make one with `mbmf collect --out {path}`") from error
        except (SafetensorError, OSError) as error:
            raise MbmfError(f"{path} is not a whole transitions file ({error}); collect it again") from error
        if metadata.get("format") != "mbmf_ros/transitions":
            raise MbmfError(f"{path} is no transitions file; expected one written by `mbmf collect`")
        if (name := metadata.get("robot")) != spec.name:
            raise MbmfError(f"{path} holds data of robot {name!r}, expected {spec.name!r}")
        try:
            store = TransitionStore(spec, origins=json.loads(metadata.get("origins", "[]")))
            for episode in _episodes(arrays, metadata):
                store.add(episode)
        except (KeyError, ValueError, TypeError) as error:
            raise MbmfError(f"{path} is damaged ({error}); collect it again") from error
        return store


def _episodes(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Iterator[Episode]:
    """What the arrays of a file hold."""
    row, lengths, sources = 0, arrays["lengths"].tolist(), json.loads(metadata["sources"])
    pieces = json.loads(metadata["pieces"]) if "pieces" in metadata else [("", 0)] * len(lengths)
    rewards = arrays.get("rewards")
    ends = [False] * len(lengths) if rewards is None else json.loads(metadata["terminated"])
    if rewards is not None and len(rewards) != sum(lengths):
        raise ValueError(f"{len(rewards)} rewards of {sum(lengths)} transitions")
    for index, (length, source, piece, end) in enumerate(zip(lengths, sources, pieces, ends, strict=True)):
        m = arrays["measurements"][row + index : row + index + length + 1]
        paid = None if rewards is None else rewards[row : row + length]
        yield Episode(m, arrays["actions"][row : row + length], source, *piece, paid, bool(end))
        row += length
