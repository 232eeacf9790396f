"""Noticing that a robot is not what its model has learned: a weak motor, a lost leg, a payload, a slippery floor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.model import Dynamics

FOLDS = 5
RIDGE = 0.05  # of the number of transitions
TELLING = 3  # outputs: what happens to a robot shows in several, chance in one


@dataclass(frozen=True)
class ChangeConfig(Ranged):
    """Two tests on the one-step error: whether it has grown, and whether there is something to learn in it.

    Attributes:
        window: transitions in motion whose mean squared error is looked at.
        usual: so many transitions on the model in force tell its usual error; before that nothing is noticed.
        threshold: an error that is this many times the usual one means that the robot has changed; 0: never.
        cap: a squared error counts at most this many times the usual one: a hard landing is no change.
        learnable_window: transitions in motion in whose errors something to learn is looked for.
        learnable: share of the error that could be learned, above what could from the beginning, that means that the
            robot has changed; 0: never.
    """

    window: int = ranged(200, 1)
    usual: int = ranged(400, 1)
    threshold: float = ranged(2.1, 0.0)
    cap: float = ranged(10.0, 1.0)
    learnable_window: int = ranged(800, 4 * FOLDS)
    learnable: float = ranged(0.06, 0.0, 1.0)


class ChangeDetector:
    """Compares the one-step errors of the model in force with its usual ones.

    For every output of the network, the mean squared error over the last ``window`` transitions, as a share of what is
    usual for that output: its mean over the first ``usual`` transitions on that model. The *surprise* is the largest of
    these shares: a weak motor shows in the numbers of its own joint, and would drown in a mean over all. Errors grow
    also when the robot begins to move in another way, but then the members of the ensemble disagree more: an error is
    as surprising as it has grown more than their spread (its mean square, as a share of the usual too).

    A payload or a slippery floor makes errors no larger than walking does. But a good model's errors are as good as
    random, and these are not: the *learnable* share of the errors over ``learnable_window`` transitions
    (:func:`learnable_share`), less that of the first such window on that model, shows them; the mean of the
    :data:`TELLING` outputs where it is largest.

    Args:
        config: see there.

    Attributes:
        changed: a change was noticed on the model in force.
        within: the noticed change came within so many last transitions.
        evidence: what showed it, for people; empty: no change was noticed.
    """

    def __init__(self, config: ChangeConfig | None = None):
        self.config = config or ChangeConfig()
        self._model: Dynamics | None = None
        self._usual: Tensor | None = None  # (2, n_outputs), mean squares of error and spread, in the outputs' own units
        self._first: list[Tensor] = []
        self._errors = self._spread = self._inputs = torch.empty(0)  # the last ones; errors and spread in usual ones
        self._learnable_at_first: Tensor | None = None  # (n_outputs,)
        self._learnable: Tensor | None = None  # (n_outputs,), less that
        self.changed = False
        self.within = self.config.window
        self.evidence = ""

    @property
    def surprise(self) -> float:
        """See the class; NaN until it is known."""
        window = self.config.window
        if len(self._errors) < window:
            return math.nan
        expected = self._spread[-window:].square().mean(0).clamp_min(1.0)
        return float((self._errors[-window:].square().mean(0) / expected).max())

    @property
    def learnable(self) -> float:
        """See the class; NaN until it is known."""
        return math.nan if self._learnable is None else float(self._learnable.sort().values[-TELLING:].mean())

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
        self._errors = self._spread = self._inputs = torch.empty(0)
        self._learnable_at_first = self._learnable = None
        self.changed, self.evidence = False, ""

    def add(self, store: TransitionStore) -> bool:
        """Take in new transitions, in order; whether they show a change that was not noticed before."""
        config = self.config
        if self._model is None or not (config.threshold or config.learnable) or not store.episodes:
            return False
        errors, spread, inputs = one_step_errors(self._model, store)
        known = self._learn_usual(torch.stack([errors, spread], dim=1).square())
        if self._usual is None or not known:
            return False
        before, cap, usual = self.changed, config.cap**0.5, self._usual.sqrt()
        errors, spread = errors[-known:] / usual[0], spread[-known:] / usual[1]
        self._remember(*(values.clamp(-cap, cap) for values in (errors, spread, inputs[-known:])))
        if not self.changed and 0 < config.threshold < self.surprise:
            self.changed, self.within = True, config.window
            self.evidence = f"the model's error is {self.surprise:.1f} times the usual"
        elif not self.changed and 0 < config.learnable < self.learnable:
            self.changed, self.within = True, config.learnable_window
            self.evidence = f"{self.learnable:.0%} of the model's error could be learned"
        return self.changed and not before

    def _learn_usual(self, squared: Tensor) -> int:
        """Take in what is squared (N, 2, n_outputs); how many of the last ones can be compared with what is usual."""
        known = self._usual is not None
        missing = max(0, self.config.usual - sum(map(len, self._first)))
        if missing:
            self._first.append(squared[:missing])
            if len(squared) >= missing and not self.changed:
                self._usual = torch.cat(self._first).mean(0).clamp_min(1e-12)
        return len(squared) if known else max(0, len(squared) - missing)

    def _remember(self, errors: Tensor, spread: Tensor, inputs: Tensor) -> None:
        """Keep what the tests look at, and find out what of it could be learned."""
        config = self.config
        longest = max(config.window, config.learnable_window)
        self._errors = torch.cat([self._errors.reshape(-1, errors.shape[1]), errors])[-longest:]
        self._spread = torch.cat([self._spread.reshape(-1, spread.shape[1]), spread])[-longest:]
        self._inputs = torch.cat([self._inputs.reshape(-1, inputs.shape[1]), inputs])[-longest:]
        if not config.learnable or len(self._errors) < config.learnable_window:
            return
        last = slice(-config.learnable_window, None)
        share = learnable_share(self._errors[last], self._inputs[last])
        if self._learnable_at_first is None:
            self._learnable_at_first = share.clamp_min(0.0)
        self._learnable = share - self._learnable_at_first


def learnable_share(errors: Tensor, inputs: Tensor) -> Tensor:
    """How much of the squared errors a linear function of the inputs takes away that was fitted to others of them.

    Ridge regression, cross-validated over :data:`FOLDS` stretches of time: what comes one after the other is alike, and
    would tell of itself.

    Args:
        errors: (N, n_outputs), in order, in root mean squares of the usual ones.
        inputs: (N, n_inputs), standardised.

    Returns:
        (n_outputs,), as a share of the squared errors or the usual ones, whichever are larger: at most 1, and negative
        where nothing can be learned.
    """
    count = len(errors)
    y, x = errors.double(), torch.cat([torch.ones(count, 1), inputs], dim=1).double()
    penalty = RIDGE * count * torch.eye(x.shape[1], dtype=torch.float64)
    penalty[0, 0] = 1e-6  # the mean is free
    gram, moment, left = x.T @ x + penalty, x.T @ y, torch.empty_like(y)
    for fold in torch.arange(count).tensor_split(FOLDS):
        part = x[fold]
        weights = torch.linalg.solve(gram - part.T @ part, moment - part.T @ y[fold])
        left[fold] = y[fold] - part @ weights
    total = y.square().sum(0)
    return ((total - left.square().sum(0)) / total.clamp_min(count)).float()


@torch.no_grad()
def one_step_errors(model: Dynamics, store: TransitionStore) -> tuple[Tensor, Tensor, Tensor]:
    """Errors of the ensemble's mean over one step, of transitions from before a fall.

    Returns:
        the errors and the standard deviation of the members' predictions (N, n_outputs), in the outputs' own units, and
        the network's standardised inputs (N, n_inputs).
    """
    before = np.concatenate([episode.measurements[:-1] for episode in store.episodes])
    after = np.concatenate([episode.measurements[1:] for episode in store.episodes])
    actions = np.concatenate([episode.actions for episode in store.episodes])
    standing, profile = ~store.spec.fallen(before), model.profile
    x = profile.encode(before[standing])
    inputs = np.concatenate([x[:, profile.n_carried :], actions[standing]], axis=1)
    z = (torch.from_numpy(inputs.astype(np.float32)) - model.input_mean) / model.input_std
    predicted = model.network(z.expand(model.members, -1, -1))[..., : profile.n_outputs]
    outputs = torch.from_numpy(profile.targets(x, profile.encode(after[standing])).astype(np.float32))
    mean = predicted.mean(0)
    spread = (predicted - mean).square().mean(0).sqrt()
    return mean * model.output_std + model.output_mean - outputs, spread * model.output_std, z
