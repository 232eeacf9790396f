"""One training on a growing recording: recent motion counts more, and the model in force is where it may begin."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.acceptance import AcceptanceConfig, Judgement, judge
from mbmf_ros.dynamics.dataset import make_dataset
from mbmf_ros.dynamics.holdout import hold_out, recency
from mbmf_ros.dynamics.io import ModelInfo, layout_hash
from mbmf_ros.dynamics.learn import OPEN_LOOP_STEPS
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.dynamics.training import TrainConfig, fit
from mbmf_ros.dynamics.validation import validate


@dataclass(frozen=True)
class RefitConfig(Ranged):
    """How a model is trained on what has been recorded so far.

    Attributes:
        warm_start: begin with the model in force, where that has the same architecture.
        half_life: of the weight with which a transition is drawn, in transitions recorded after it; 0: all alike.
        since_change: transitions since the robot was noticed to have changed; 0: it has not. The half-life is at most
            that: at least half of the transitions drawn are of the robot as it is now.
        changed: it has, and no model that has learned from what came after it is in force: what the one in force lost
            to better ones before it counts no more.
        seed: of initial weights and batches.
        dynamics, training: architecture, and how to fit.
        acceptance: when the result is good enough.
    """

    warm_start: bool = False
    half_life: int = ranged(0, 0)
    since_change: int = ranged(0, 0)
    changed: bool = False
    seed: int = ranged(0, 0)
    dynamics: DynamicsConfig = field(default_factory=DynamicsConfig)
    training: TrainConfig = field(default_factory=TrainConfig)
    acceptance: AcceptanceConfig = field(default_factory=AcceptanceConfig)

    @property
    def effective_half_life(self) -> float:
        """The half-life with a change taken into account; 0: all alike."""
        limits = [self.half_life] if self.half_life else []
        limits += [self.since_change] if self.since_change else []
        return float(min(limits, default=0))


def refit(
    store: TransitionStore,
    current: Dynamics | None,
    config: RefitConfig,
    progress: Callable[[float, float], None] | None = None,
    behind: Mapping[str, float] | None = None,
) -> tuple[Dynamics, ModelInfo, Judgement]:
    """Train on ``store`` (episodes in the order recorded) and judge the result on what is held out of it.

    Args:
        store: what was recorded.
        current: the model in force.
        config: how.
        progress: called about once a second with the share done and the current loss.
        behind: of the model in force; see :class:`~mbmf_ros.dynamics.acceptance.Judgement`.

    Raises:
        MbmfError: too little data, or training diverged.
    """
    training = config.training
    train, held = hold_out(store, training.holdout)
    warm = config.warm_start and current is not None and current.config == config.dynamics
    model = Dynamics(store.spec, config.dynamics, config.seed)
    if warm and current is not None:
        model.load_state_dict(current.state_dict())
    data = make_dataset(train.store, model.profile, training.symmetries)
    weights = None
    if config.effective_half_life and data.transition is not None:
        drawn = torch.from_numpy(recency(train.transition_ages, config.effective_half_life))
        weights = drawn[data.transition]
    recorded = train.store.transitions
    held_data = make_dataset(held.store, model.profile)
    report = fit(model, data, held_data, training, config.seed, recorded, warm, weights, progress)
    lags = None if config.changed else behind
    judgement = judge(model, current, held, config.acceptance, config.since_change, lags)
    validation = validate(model, held.store)
    extra = {
        "training": dataclasses.asdict(training),
        "seed": config.seed,
        "updates": report.updates,
        "warm_start": warm,
        "half_life": config.effective_half_life,
        "since_change": config.since_change,
        "behind": judgement.behind,
        "nrmse": {str(horizon): error for horizon, error in validation.nrmse.items()},
    }
    open_loop = validation.nrmse.get(OPEN_LOOP_STEPS, float("nan"))
    errors = (report.one_step_error, open_loop)
    info = ModelInfo(store.spec.name, model.profile.name, layout_hash(model), recorded, *errors, OPEN_LOOP_STEPS, extra)
    return model.requires_grad_(False), info, judgement
