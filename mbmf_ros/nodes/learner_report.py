"""What the dynamics learner says about itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mbmf_ros.data.recorder import Recorder
from mbmf_ros.dynamics.continual import Continual
from mbmf_ros.dynamics.io import ModelInfo
from mbmf_ros.dynamics.retrain import Verdict
from mbmf_ros.msg import LearnerStatus


@dataclass
class Trainings:
    """How the trainings of a learner went.

    Attributes:
        accepted, refused: how many.
        refusal: why the last refused one was.
        failure: why the last training gave no model; empty if it did, or if what it failed on is gone.
        recent_error, old_error: of the newest model trained here, on held-out data.
        memory_mb: that the last training needed.
    """

    accepted: int = 0
    refused: int = 0
    refusal: str = ""
    failure: str = ""
    recent_error: float = math.nan
    old_error: float = math.nan
    memory_mb: int = 0

    def add(self, verdict: Verdict) -> None:
        """A training has ended."""
        self.memory_mb = verdict.memory_mb or self.memory_mb
        if not verdict.accepted:
            self.fail(verdict.reason)
            return
        self.accepted, self.failure = self.accepted + 1, ""
        self.recent_error = math.nan if verdict.recent_error is None else verdict.recent_error
        self.old_error = math.nan if verdict.old_error is None else verdict.old_error

    def fail(self, reason: str) -> None:
        """A training gave no model, or could not even begin."""
        self.refused += 1
        self.refusal = self.failure = reason


def fill_status(
    status: LearnerStatus,
    recorder: Recorder,
    info: ModelInfo | None,
    trainings: Trainings,
    continual: Continual,
    progress: float | None,
    paused: bool,
) -> None:
    """Write into ``status`` what is known of the record, of the model in force, of the trainings and of the robot.

    Args:
        status: to be filled.
        recorder, info, trainings, continual: what is known.
        progress: of the training under way, if one is.
        paused: nothing is recorded.
    """
    if progress is not None:
        status.state, status.progress = LearnerStatus.STATE_TRAINING, progress
    elif recorder.error:
        status.state = LearnerStatus.STATE_ERROR
    elif paused:
        status.state = LearnerStatus.STATE_PAUSED
    ticks = recorder.ticks
    status.logged, status.kept, status.rejected = ticks.transitions, ticks.kept, ticks.rejected
    status.one_step_error = status.open_loop_error = math.nan
    if info is not None:
        status.model_transitions = info.transitions
        status.one_step_error, status.open_loop_error = info.one_step_error, info.open_loop_error
    status.recent_error, status.old_error = trainings.recent_error, trainings.old_error
    status.accepted, status.refused, status.refusal = trainings.accepted, trainings.refused, trainings.refusal
    status.memory_mb = trainings.memory_mb
    status.until_training = continual.until_training
    status.surprise, status.learnable = continual.detector.surprise, continual.detector.learnable
    status.changed, status.changes = continual.changed, continual.changes


def diagnosis(
    recorder: Recorder, trainings: Trainings, continual: Continual, progress: float | None
) -> dict[str, object]:
    """The same for diagnostics, with the progress of a training if one is under way."""
    return {
        "training": trainings.failure or "idle" if progress is None else f"{progress:.0%}",
        "transitions": recorder.ticks.transitions,
        "transitions kept": recorder.ticks.kept,
        "states logged": recorder.logged,
        "states waiting for the disk": recorder.waiting,
        "states given up": recorder.given_up,
        "log": recorder.error or recorder.folder or "off",
        "trainings accepted": trainings.accepted,
        "trainings refused": trainings.refused,
        "last refusal": trainings.refusal or "none",
        "error on recent data": trainings.recent_error,
        "error on old data": trainings.old_error,
        "memory of training [MB]": trainings.memory_mb,
        "surprise": continual.detector.surprise,
        "learnable": continual.detector.learnable,
        "changes of the robot": continual.changes,
    }
