"""Rollouts with their rewards, one file each: what was recorded stays recorded, whenever the process is killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mbmf_ros.control import rollout
from mbmf_ros.control.environments import Environment
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec
from mbmf_ros.whole_file import write_whole

_FORMAT, _LABELS_FORMAT = "mbmf_ros/rollout", "mbmf_ros/labels"


@dataclass(frozen=True)
class Rollout:
    """One episode, or its beginning.

    Attributes:
        measurements: (T + 1, nm); row t is measured when ``actions[t]`` begins.
        actions: (T, nu), as executed.
        rewards: (T,).
        terminated: whether the task ended it; else it was cut off.
        labels: (T, nu), what the expert would have done; empty (0, nu) where it was not asked.
        source: who acted: ``expert`` or ``policy``; ``random`` or ``on_policy`` while the expert learnt.
    """

    measurements: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool
    labels: np.ndarray
    source: str

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def value(self) -> float:
        """Its return, undiscounted."""
        return float(self.rewards.sum())


def roll_out(
    env: Environment,
    actor: Callable[[np.ndarray], np.ndarray],
    seed: int,
    steps: int,
    source: str,
    expert: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Rollout:
    """Run ``actor`` for an episode of at most ``steps`` steps.

    Args:
        env: where.
        actor: maps measurements (nm,) to actions (nu,).
        seed: of the start.
        steps: longest length.
        source: who acts.
        expert: asked for a label at every measurement.
    """
    labels: list[np.ndarray] = []

    def act(m: np.ndarray) -> np.ndarray:
        if expert is not None:
            labels.append(expert(m))
        return actor(m)

    made = rollout.roll_out(env, act, seed, steps, source)
    episode, told = made.episode, np.array(labels).reshape(-1, env.spec.nu)[: len(made.episode)]
    return Rollout(episode.measurements, episode.actions, made.rewards, made.terminated, told, source)


def recorded(
    path: Path, env: Environment, actor: Callable[[np.ndarray], np.ndarray], seed: int, steps: int, source: str
) -> Rollout:
    """What ``path`` holds, or else :func:`roll_out`, which it holds from then on."""
    if path.exists():
        return load_rollout(path, env.spec)
    made = roll_out(env, actor, seed, steps, source)
    save_rollout(path, made, env.spec)
    return made


def save_rollout(path: Path, rollout: Rollout, spec: RobotSpec) -> None:
    """Write one file; it is whole or not there."""
    names = ("measurements", "actions", "rewards", "labels")
    arrays = {name: np.ascontiguousarray(getattr(rollout, name)) for name in names}
    about = {"format": _FORMAT, "robot": spec.name, "source": rollout.source}
    about["terminated"] = json.dumps(rollout.terminated)
    write_whole(path, save(arrays, metadata=about))


def load_rollout(path: Path, spec: RobotSpec) -> Rollout:
    """Read what :func:`save_rollout` wrote.

    Raises:
        MbmfError: a missing or foreign file, another robot's, or numbers that do not fit together.
    """
    arrays, about = _read(path, spec, _FORMAT)
    try:
        rollout = Rollout(**arrays, terminated=json.loads(about["terminated"]), source=about["source"])
    except (TypeError, KeyError, ValueError) as error:
        raise MbmfError(f"{path} is damaged ({error}); remove it, and it is recorded again") from error
    steps, nu = len(rollout.rewards), spec.nu
    fits = rollout.measurements.shape == (steps + 1, spec.measurement.size) and rollout.actions.shape == (steps, nu)
    if not (fits and rollout.labels.shape in ((steps, nu), (0, nu))):
        raise MbmfError(f"{path} is damaged (its numbers do not fit together); remove it, and it is recorded again")
    return rollout


@dataclass(frozen=True)
class Labels:
    """What an expert would have done, (N, nu), at some measurements, (N, nm)."""

    measurements: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def save_labels(path: Path, labels: Labels, spec: RobotSpec) -> None:
    """Write one file; it is whole or not there."""
    arrays = {"measurements": np.ascontiguousarray(labels.measurements), "labels": np.ascontiguousarray(labels.labels)}
    write_whole(path, save(arrays, metadata={"format": _LABELS_FORMAT, "robot": spec.name}))


def load_labels(path: Path, spec: RobotSpec) -> Labels:
    """Read what :func:`save_labels` wrote.

    Raises:
        MbmfError: see :func:`load_rollout`.
    """
    arrays, _ = _read(path, spec, _LABELS_FORMAT)
    try:
        labels = Labels(**arrays)
    except TypeError as error:
        raise MbmfError(f"{path} is damaged ({error}); remove it, and it is recorded again") from error
    fits = labels.labels.shape == (len(labels), spec.nu)
    if not fits or labels.measurements.shape != (len(labels), spec.measurement.size):
        raise MbmfError(f"{path} is damaged (its numbers do not fit together); remove it, and it is recorded again")
    return labels


def load_rollouts(folder: Path, spec: RobotSpec, number: int | None = None) -> list[Rollout]:
    """The rollouts of a folder, all or those of round ``number``, in the order of their names.

    Raises:
        MbmfError: see :func:`load_rollout`.
    """
    names = "*.safetensors" if number is None else f"{number:02d}_*.safetensors"
    return [load_rollout(path, spec) for path in sorted(folder.glob(names))]


def labelled(folder: Path, rounds: Iterable[int], spec: RobotSpec) -> tuple[np.ndarray, np.ndarray]:
    """Measurements (N, nm) and labels (N, nu) of some rounds' rollouts and replays, as far as an expert was asked.

    Raises:
        MbmfError: see :func:`load_rollout`.
    """
    m, u = [np.zeros((0, spec.measurement.size))], [np.zeros((0, spec.nu))]
    for number in rounds:
        for made in load_rollouts(folder / "rollouts", spec, number):
            m.append(made.measurements[: len(made.labels)])
            u.append(made.labels)
        for path in sorted((folder / "replays").glob(f"{number:02d}_*.safetensors")):
            replay = load_labels(path, spec)
            m.append(replay.measurements)
            u.append(replay.labels)
    return np.concatenate(m), np.concatenate(u)


def _read(path: Path, spec: RobotSpec, kind: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The finite arrays of a file of that kind, and what it says about itself.

    Raises:
        MbmfError: see :func:`load_rollout`.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise MbmfError(f"{path} is not a whole file ({error}); remove it, and it is recorded again") from error
    if about.get("format") != kind or about.get("robot") != spec.name:
        raise MbmfError(f"{path} is no {kind.partition('/')[2]} of {spec.name!r}; remove it")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise MbmfError(f"{path} is damaged (not all numbers are finite); remove it, and it is recorded again")
    return arrays, about
