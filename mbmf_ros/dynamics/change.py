"""Noticing that a robot is not what its model has learned: a weak motor, a lost leg, ice."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.model import Dynamics


@dataclass(frozen=True)
class ChangeConfig(Ranged):
    """A two-window test on the one-step error.

    Attributes:
        window: transitions in motion whose mean error is looked at.
        usual: so many transitions on the model in force tell its usual error; before that nothing is noticed.
        threshold: an error that is this many times the usual one means that the robot has changed; 0: never.
        cap: a squared error counts at most this many times the usual one: a hard landing is no change.
    """

    window: int = ranged(200, 1)
    usual: int = ranged(400, 1)
    threshold: float = ranged(2.1, 0.0)
    cap: float = ranged(10.0, 1.0)


class ChangeDetector:
    """Compares the running one-step error of the model in force with its usual one.

    For every output of the network, the mean squared error over the last ``window`` transitions, as a share of what is
    usual for that output: its mean over the first ``usual`` transitions on that model. The *surprise* is the largest of
    these shares: a weak motor shows in the numbers of its own joint, and would drown in a mean over all.

    Args:
        config: see there.
    """

    def __init__(self, config: ChangeConfig | None = None):
        self.config = config or ChangeConfig()
        self._model: Dynamics | None = None
        self._usual: Tensor | None = None  # (n_outputs,), mean squared error in the outputs' own units
        self._first: list[Tensor] = []
        self._window: deque[Tensor] = deque(maxlen=self.config.window)  # (n_outputs,) each, as shares of the usual
        self.changed = False

    @property
    def surprise(self) -> float:
        """See the class; NaN until it is known."""
        full = len(self._window) == self.config.window
        return float(torch.stack(list(self._window)).mean(0).max()) if full else math.nan

    def begin(self, model: Dynamics | None, successor: bool = False) -> None:
        """A new model is in force, or none.

        Args:
            model: the model.
            successor: it is no worse on the same robot than the one before, whose usual error counts until its own is
                known; otherwise nothing is noticed until then.
        """
        self._model = model
        self._usual = self._usual if successor else None
        self._first.clear()
        self._window.clear()
        self.changed = False

    def add(self, store: TransitionStore) -> bool:
        """Take in new transitions, in order; whether they show a change that was not noticed before."""
        if self._model is None or not self.config.threshold or not store.episodes:
            return False
        squared = self._learn_usual(squared_errors(self._model, store))
        if self._usual is None:
            return False
        before = self.changed
        for share in (squared / self._usual).clamp_max(self.config.cap):
            self._window.append(share)
        self.changed = self.changed or self.surprise > self.config.threshold
        return self.changed and not before

    def _learn_usual(self, squared: Tensor) -> Tensor:
        """Take in the first errors of a model; those (N, n_outputs) that can be compared with what is usual."""
        known = self._usual is not None
        missing = max(0, self.config.usual - sum(map(len, self._first)))
        if missing:
            self._first.append(squared[:missing])
            if len(squared) >= missing and not self.changed:
                self._usual = torch.cat(self._first).mean(0).clamp_min(1e-12)
        return squared if known else squared[missing:]


@torch.no_grad()
def squared_errors(model: Dynamics, store: TransitionStore) -> Tensor:
    """Squared one-step errors of the ensemble's mean (N, n_outputs), of transitions from before a fall."""
    before = np.concatenate([episode.measurements[:-1] for episode in store.episodes])
    after = np.concatenate([episode.measurements[1:] for episode in store.episodes])
    actions = np.concatenate([episode.actions for episode in store.episodes])
    standing, profile = ~store.spec.fallen(before), model.profile
    x = profile.encode(before[standing])
    inputs = np.concatenate([x[:, profile.n_carried :], actions[standing]], axis=1)
    z = (torch.from_numpy(inputs.astype(np.float32)) - model.input_mean) / model.input_std
    mean = model.network(z.expand(model.members, -1, -1))[..., : profile.n_outputs].mean(0)
    outputs = torch.from_numpy(profile.targets(x, profile.encode(after[standing])).astype(np.float32))
    return (mean * model.output_std + model.output_mean - outputs).square()
