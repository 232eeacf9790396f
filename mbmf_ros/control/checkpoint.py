"""Runs of Algorithm 1 on disk: complete after every iteration, whenever the process is killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.io import ModelInfo, layout_hash, load_model, save_model
from mbmf_ros.errors import MbmfError
from mbmf_ros.whole_file import write_whole

if TYPE_CHECKING:
    from mbmf_ros.control.algorithm import Learner

RUN_FILE = "run.json"
EVALUATION = ("evaluation_settings", "evaluation_replan_every")  # settings that are no part of what a run is
_STORES = ("random", "held", "own")


class Checkpoint:
    """A folder with the new transitions and the model of each iteration; ``run.json``, replaced last, makes them count.

    Args:
        folder: made if it does not exist.
        identity: what makes a run this run.
        defaults: the part of it that a run begun before a setting existed had.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], defaults: dict[str, Any] | None = None):
        self.folder = folder
        self.identity = json.loads(json.dumps(identity, default=str))
        self._defaults = json.loads(json.dumps(defaults or {}, default=str))
        self._saved = dict.fromkeys(_STORES, 0)  # episodes on disk

    def save(self, learner: Learner) -> None:
        """Keep what the last iteration added."""
        self.folder.mkdir(parents=True, exist_ok=True)
        iteration = len(learner.curve)
        for name in _STORES:
            store: TransitionStore = getattr(learner, name)
            fresh = TransitionStore(store.spec, store.episodes[self._saved[name] :])
            if fresh.episodes:
                fresh.save(self._file(name, iteration))
                self._saved[name] = len(store.episodes)
            else:  # a run killed before its first iteration was kept may have left one
                self._file(name, iteration).unlink(missing_ok=True)
        assert learner.model is not None
        save_model(self._file("model", iteration), learner.model, model_info(learner, self.identity))
        evaluation = {key: getattr(learner.config, key) for key in EVALUATION}
        state = {"identity": self.identity, "curve": learner.curve, "wall_s": learner.wall_s, "evaluation": evaluation}
        write_whole(self.folder / RUN_FILE, json.dumps(state).encode())
        self._file("model", iteration - 1).unlink(missing_ok=True)

    def restore(self, learner: Learner) -> None:
        """Put the run in the folder, if there is one, into ``learner``.

        Raises:
            MbmfError: it is another run, or damaged.
        """
        file = self.folder / RUN_FILE
        if not file.exists():
            return
        try:
            state = json.loads(file.read_text("utf-8"))
            identity, curve, wall_s = state["identity"], state["curve"], float(state["wall_s"])
        except (ValueError, KeyError, TypeError) as error:
            raise MbmfError(f"{file} is damaged ({error}); remove the folder to begin anew") from error
        identity = completed(identity, self._defaults)
        if identity != self.identity:
            what = difference(identity, self.identity)
            raise MbmfError(f"{self.folder} holds another run: {what}; choose another with --folder")
        for iteration in range(1, len(curve) + 1):
            for name in _STORES:
                part = self._file(name, iteration)
                if part.exists():
                    getattr(learner, name).extend(TransitionStore.load(part, learner.spec))
        learner.model = load_model(self._file("model", len(curve)), learner.spec)[0]
        learner.curve, learner.wall_s = curve, wall_s
        self._saved = {name: len(getattr(learner, name).episodes) for name in _STORES}
        if learner.steps != curve[-1]["steps"]:
            raise MbmfError(f"{self.folder}: expected {curve[-1]['steps']} transitions, found {learner.steps}")

    def _file(self, name: str, iteration: int) -> Path:
        return self.folder / f"{name}_{iteration:04d}.safetensors"


def model_info(learner: Learner, identity: dict[str, Any]) -> ModelInfo:
    """What the file of a run's present model says about itself.

    Its errors are its own, on random motion that no model of the run learns from (see
    :class:`mbmf_ros.control.judging.HeldOut`); not a number where there is none.
    """
    assert learner.model is not None
    judged = learner.held_out.judge(learner.model)
    return ModelInfo(
        robot=learner.spec.name,
        profile=learner.model.profile.name,
        layout_hash=layout_hash(learner.model),
        transitions=learner.steps,
        one_step_error=judged.one_step,
        open_loop_error=judged.open_loop,
        open_loop_steps=judged.steps,
        extra=identity,
    )


def completed(kept: Any, defaults: Any) -> Any:
    """``kept`` with what it lacks of ``defaults``."""
    if not (isinstance(kept, dict) and isinstance(defaults, dict)):
        return kept
    return {**defaults, **{key: completed(value, defaults.get(key)) for key, value in kept.items()}}


def difference(kept: Any, asked: Any, where: str = "") -> str:
    """The first place in which two runs differ, for people."""
    if isinstance(kept, dict) and isinstance(asked, dict):
        for key in sorted(asked.keys() | kept.keys()):
            if kept.get(key) != asked.get(key):
                return difference(kept.get(key), asked.get(key), f"{where}.{key}" if where else key)
    return f"{where} is {kept!r} there, {asked!r} here"
