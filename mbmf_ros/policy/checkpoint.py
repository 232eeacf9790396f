"""Model-free runs on disk: complete after every evaluation, whenever the process is killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from mbmf_ros.control.checkpoint import completed, difference
from mbmf_ros.errors import MbmfError
from mbmf_ros.whole_file import write_whole

Tensors = dict[str, torch.Tensor]
_STATE = "run.json"


class PolicyCheckpoint:
    """A folder with the learner's tensors at the last evaluation; ``run.json``, replaced last, makes them count.

    Args:
        folder: made if it does not exist.
        identity: what makes a run this run.
        defaults: of what a run that was begun before there was such a setting does not say.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], defaults: dict[str, Any] | None = None):
        self.folder = folder
        self.identity, self._defaults = (
            json.loads(json.dumps(each or {}, default=str)) for each in (identity, defaults)
        )
        self._parts: list[int] = []  # evaluations at which something was added

    def save(self, number: int, tensors: Tensors, added: Tensors, state: dict[str, Any]) -> None:
        """Keep what there is at evaluation ``number``.

        Args:
            number: counted from 1.
            tensors: of the learner, all.
            added: what the learner only ever adds to, since the last time; may be empty.
            state: the rest.
        """
        write_whole(self._file("learner", number), save(tensors))
        self._parts = [part for part in self._parts if part < number]
        if added:
            write_whole(self._file("replay", number), save(added))
            self._parts.append(number)
        else:  # a run killed before this counted may have left one
            self._file("replay", number).unlink(missing_ok=True)
        kept = {"identity": self.identity, "number": number, "parts": self._parts, **state}
        write_whole(self.folder / _STATE, json.dumps(kept).encode())
        self._file("learner", number - 1).unlink(missing_ok=True)

    def load(self) -> tuple[Tensors, list[Tensors], dict[str, Any]] | None:
        """The learner's tensors, what it added each time, and the rest; None: nothing has been kept yet.

        Raises:
            MbmfError: it is another run, or damaged.
        """
        file = self.folder / _STATE
        if not file.exists():
            return None
        try:
            state = json.loads(file.read_text("utf-8"))
            identity = completed(state["identity"], self._defaults)
            if identity != self.identity:
                what = difference(identity, self.identity)
                raise MbmfError(f"{self.folder} holds another run: {what}; choose another with --folder")
            number = int(state["number"])
            tensors = load(self._file("learner", number).read_bytes())
            there = [part for part in range(1, number + 1) if self._file("replay", part).exists()]
            self._parts = state.get("parts", there)  # older runs do not say
            if lost := set(self._parts) - set(there):
                raise MbmfError(f"{self._file('replay', min(lost))} is missing; remove the folder to begin anew")
            return tensors, [load(self._file("replay", part).read_bytes()) for part in self._parts], state
        except (ValueError, KeyError, TypeError, SafetensorError, OSError) as error:
            raise MbmfError(f"{file} is damaged ({error}); remove the folder to begin anew") from error

    def _file(self, name: str, number: int) -> Path:
        return self.folder / f"{name}_{number:04d}.safetensors"
