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
        threshold: an error that is this many times what is to be expected means that the robot has changed; 0: never.
        cap: a squared error counts at most this many times the expected one: a hard landing is no change.
        learnable_window: transitions in motion in whose errors something to learn is looked for.
        learnable: share of the error that could be learned, above what could from the beginning, that means that the
            robot has changed; 0: never.
    """

    window: int = ranged(200, 1)
    usual: int = ranged(400, 1)
    threshold: float = ranged(2.1, 0.0)
    cap: float = ranged(10.0, 1.0)
    learnable_window: int = ranged(800, 4 * FOLDS)
    learnable: float = ranged(0.07, 0.0, 1.0)


class ChangeDetector:
    """Compares the one-step errors of the model in force with its usual ones.

    For every output of the network, the mean squared error over the last ``window`` transitions, as a share of what is
    usual for that output: its mean over the first ``usual`` transitions on that model. The *surprise* is the largest of
    these shares: a weak motor shows in the numbers of its own joint, and would drown in a mean over all. Errors grow
    also when the robot begins to move in another way, but then the members of the ensemble disagree more: an error is
    as surprising as it has grown more than their spread (its mean square, as a share of the usual too).

    A payload or a slippery floor makes errors no larger than walking does. But a good model's errors are as good as
    random, and these are not: the *learnable* share of the errors over ``learnable_window`` transitions
    (:func:`learnable_share`), less that of the first such window, shows them; the mean of the :data:`TELLING` outputs
    where it is largest.

    Args:
        config: see there.

    Attributes:
        changed: a change was noticed on the model in force.
        within: the noticed change came within about so many last transitions.
        evidence: what showed it, for people; empty: no change was noticed.
    """

    def __init__(self, config: ChangeConfig | None = None):
        self.config = config or ChangeConfig()
        self._longest = max(self.config.window, self.config.usual, self.config.learnable_window)
        self.within = self.config.window
        self.begin(None)

    @property
    def surprise(self) -> float:
        """See the class; NaN until it is known."""
        config = self.config
        if self._usual is None or len(self._errors) < config.window:
            return math.nan
        last = slice(-config.window, None)
        spread = (self._spread[last].square() / self._usual[1]).clamp_max(config.cap).mean(0)
        shares = self._errors[last].square() / (self._usual[0] * spread.clamp_min(1.0))
        return float(shares.clamp_max(config.cap).mean(0).max())

    @property
    def learnable(self) -> float:
        """See the class; NaN until it is known."""
        return math.nan if self._learnable is None else float(self._learnable.sort().values[-TELLING:].mean())

    def begin(self, model: Dynamics | None, successor: bool = False) -> None:
        """A new model is in force, or none.

        Args:
            model: the model.
            successor: it is no worse on the same robot than the one before, whose errors count until enough of its own
                are known; otherwise nothing is noticed until then.
        """
        self._model = model
        self._own = 0  # transitions on this model
        self._own_share_known = False  # what can be learned in a window of them
        self.changed, self.evidence = False, ""
        if successor:
            return
        self._usual: Tensor | None = None  # (2, n_outputs), mean squares of error and spread
        self._errors = self._spread = self._inputs = torch.empty(0, 0)  # the last ones, in the outputs' own units
        self._learnable_at_first: Tensor | None = None  # (n_outputs,)
        self._learnable: Tensor | None = None  # (n_outputs,), less that

    def add(self, store: TransitionStore) -> bool:
        """Take in new transitions, in order; whether they show a change that was not noticed before."""
        config = self.config
        if self._model is None or not (config.threshold or config.learnable) or not store.episodes:
            return False
        self._remember(*one_step_errors(self._model, store))
        if self._usual is None:
            return False
        before = self.changed
        self._look_for_something_to_learn()
        if not self.changed and 0 < config.threshold < self.surprise:
            self.changed, self.within = True, config.window
            self.evidence = f"the model's error is {self.surprise:.1f} times what is to be expected"
        elif not self.changed and 0 < config.learnable < self.learnable:
            self.changed, self.within = True, config.learnable_window // 2
            self.evidence = f"{self.learnable:.0%} of the model's error could be learned"
        return self.changed and not before

    def _remember(self, *new: Tensor) -> None:
        """Keep errors, spread and inputs; from the first ones on a model learn what is usual."""
        known = self._own >= self.config.usual and self._usual is not None
        self._own += len(new[0])
        old = (self._errors, self._spread, self._inputs)
        rows = [torch.cat([a.reshape(-1, b.shape[1]), b]) for a, b in zip(old, new, strict=True)]
        count = len(rows[0]) if self._usual is None else self._own
        if count >= self.config.usual and not known and not self.changed:
            first = slice(len(rows[0]) - count, len(rows[0]) - count + self.config.usual)
            squared = torch.stack([rows[0][first], rows[1][first]], dim=1).square()
            absurd = 100.0 * squared.quantile(0.9, dim=0)  # a single wrong measurement is not usual
            self._usual = squared.minimum(absurd).mean(0).clamp_min(1e-12)
        self._errors, self._spread, self._inputs = (row[-self._longest :] for row in rows)

    def _look_for_something_to_learn(self) -> None:
        config = self.config
        if self._usual is None or not config.learnable or len(self._errors) < config.learnable_window:
            return
        last, cap = slice(-config.learnable_window, None), config.cap**0.5
        errors = (self._errors[last] / self._usual[0].sqrt()).clamp(-cap, cap)
        share = learnable_share(errors, self._inputs[last].clamp(-cap, cap))
        own = self._own >= config.learnable_window
        if self._learnable_at_first is None:
            self._learnable_at_first = share.clamp_min(0.0)
        elif own and not self._own_share_known:  # a good successor leaves no more to learn than the model before it
            self._learnable_at_first = self._learnable_at_first.minimum(share.clamp_min(0.0))
        self._own_share_known = own
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
