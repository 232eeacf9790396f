"""From recorded episodes to tensors for training and validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec, StateProfile
from mbmf_ros.robots.symmetry import symmetry_group


@dataclass(frozen=True)
class Dataset:
    """Raw network inputs (N, n_inner + nu) and outputs (N, n_outputs), float32.

    Attributes:
        inputs, outputs: see above.
        transition: for each row the number of the recorded transition that it comes from (N,), where known.
    """

    inputs: Tensor
    outputs: Tensor
    transition: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)


def make_dataset(store: TransitionStore, profile: StateProfile, mirrored: bool = False) -> Dataset:
    """All transitions of ``store`` that begin before a fall; with ``mirrored`` their images under every symmetry too.

    Raises:
        MbmfError: nothing to learn from.
    """
    inputs, outputs, transition, first = [], [], [], 0
    for episode in store.episodes:
        standing = ~store.spec.fallen(episode.measurements[:-1])
        x = profile.encode(episode.measurements)
        inner = x[:-1, profile.n_carried :]
        inputs.append(np.concatenate([inner, episode.actions], axis=-1)[standing])
        outputs.append(profile.targets(x[:-1], x[1:])[standing])
        transition.append(first + np.flatnonzero(standing))
        first += len(episode)
    if not inputs or not sum(map(len, inputs)):
        raise MbmfError("there are no transitions to learn from; collect some first (`mbmf collect`)")
    z = torch.from_numpy(np.concatenate(inputs).astype(np.float32))
    y = torch.from_numpy(np.concatenate(outputs).astype(np.float32))
    number = torch.from_numpy(np.concatenate(transition))
    if mirrored:
        z, y = _images(store.spec, profile, z, y)
    return Dataset(z, y, number.repeat(len(z) // len(number)))


def _images(spec: RobotSpec, profile: StateProfile, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs and outputs under every element of the symmetry group, (G * N, ·)."""
    group = symmetry_group(spec, profile)
    inner, u = z[:, : profile.n_inner], z[:, profile.n_inner :]
    inputs, outputs = [], []
    for on_inner, on_actions, on_outputs in zip(group.inner, group.actions, group.outputs, strict=True):
        image = [inner @ torch.from_numpy(on_inner).T, u @ torch.from_numpy(on_actions).T]
        inputs.append(torch.cat(image, dim=1))
        outputs.append(y @ torch.from_numpy(on_outputs).T)
    return torch.cat(inputs), torch.cat(outputs)


def split(store: TransitionStore, holdout: float, seed: int) -> tuple[TransitionStore, TransitionStore]:
    """Training and held-out episodes; whole episodes, at random, about ``holdout`` of the transitions."""
    order = np.random.default_rng(seed).permutation(len(store.episodes))
    train, held = TransitionStore(store.spec), TransitionStore(store.spec)
    wanted = holdout * store.transitions
    for index in order:
        target = held if held.transitions < wanted and len(store.episodes) > 1 else train
        target.episodes.append(store.episodes[index])
    if not train.episodes:
        raise MbmfError(f"{len(store.episodes)} episodes are too few to hold out {holdout:.0%}; collect more")
    return train, held


def windows(
    store: TransitionStore, profile: StateProfile, horizon: int, count: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Up to ``count`` random stretches without a fall: states (W, H + 1, nx) and actions (W, H, nu)."""
    places: list[tuple[Episode, int]] = []
    for episode in store.episodes:
        fallen = np.flatnonzero(store.spec.fallen(episode.measurements))
        last = (int(fallen[0]) if len(fallen) else len(episode.measurements)) - horizon
        places.extend((episode, start) for start in range(last))
    chosen = np.random.default_rng(seed).permutation(len(places))[:count]
    if not len(chosen):
        return torch.empty(0, horizon + 1, profile.nx), torch.empty(0, horizon, store.spec.nu)
    m = np.stack([places[i][0].measurements[places[i][1] : places[i][1] + horizon + 1] for i in chosen])
    u = np.stack([places[i][0].actions[places[i][1] : places[i][1] + horizon] for i in chosen])
    return torch.from_numpy(profile.encode(m).astype(np.float32)), torch.from_numpy(u.astype(np.float32))
