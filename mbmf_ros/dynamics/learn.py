"""From recorded episodes to a validated model, in one call."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.dataset import make_dataset, split
from mbmf_ros.dynamics.device import usable_device
from mbmf_ros.dynamics.io import ModelInfo, layout_hash
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.dynamics.rollout_tuning import tune
from mbmf_ros.dynamics.training import FitReport, TrainConfig, fit
from mbmf_ros.dynamics.validation import Validation, one_step_error, validate

OPEN_LOOP_STEPS = 10


def train_model(
    store: TransitionStore,
    dynamics: DynamicsConfig | None = None,
    training: TrainConfig | None = None,
    seed: int = 0,
    progress: Callable[[float, float], None] | None = None,
    extra: dict[str, Any] | None = None,
    held: TransitionStore | None = None,
) -> tuple[Dynamics, ModelInfo, Validation, FitReport]:
    """Train a model on ``store`` and validate it on the episodes held out.

    Args:
        store: recorded episodes; ``training.holdout`` of them are not trained on.
        dynamics: architecture.
        training: how to fit.
        seed: of the split, the initial weights and the batches.
        progress: called about once a second with the share done and the current loss.
        extra: further facts for the model's header.
        held: validate on these episodes and train on all of ``store``.

    Raises:
        MbmfError: too little data, or training diverged.
    """
    dynamics, training = dynamics or DynamicsConfig(), training or TrainConfig()
    train, held = (store, held) if held is not None else split(store, training.holdout, seed)
    model = Dynamics(store.spec, dynamics, seed)
    data = make_dataset(train, model.profile, training.symmetries)
    held_data = make_dataset(held, model.profile) if held.episodes else None
    tuned = training.rollouts.steps > 0

    def first(share: float, loss: float) -> None:
        if progress:
            progress(0.5 * share if tuned else share, loss)

    report = fit(model, data, held_data, training, seed, train.transitions, progress=first)
    if tuned:
        tune(
            model,
            train,
            training.rollouts,
            seed,
            training.symmetries,
            lambda share, loss: progress(0.5 + 0.5 * share, loss) if progress else None,
            usable_device(training.device),
        )
        if held_data is not None:
            report = replace(report, one_step_error=one_step_error(model, held_data.inputs, held_data.outputs))
    validation = validate(model, held)
    info = ModelInfo(
        robot=store.spec.name,
        profile=dynamics.profile,
        layout_hash=layout_hash(model),
        transitions=store.transitions,
        one_step_error=report.one_step_error,
        open_loop_error=validation.nrmse.get(OPEN_LOOP_STEPS, float("nan")),
        open_loop_steps=OPEN_LOOP_STEPS,
        extra={
            "training": dataclasses.asdict(training),
            "seed": seed,
            "updates": report.updates,
            "nrmse": {str(horizon): error for horizon, error in validation.nrmse.items()},
            "e_h": {str(horizon): error for horizon, error in validation.e_h.items()},
            **(extra or {}),
        },
    )
    return model.requires_grad_(False), info, validation, report
