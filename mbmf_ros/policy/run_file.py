"""``run.json`` in the folder of a run: which command made it, and what it holds of an imitation."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from mbmf_ros.control.checkpoint import RUN_FILE, completed, difference
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.recipes import ImitationConfig
from mbmf_ros.whole_file import write_whole


def command_of(identity: dict[str, Any]) -> str:
    """The command whose runs have such an identity: learn, imitate, finetune or baseline; empty: none that is known."""
    marks = {
        "imitate": "expert" in identity,
        "finetune": "policy" in identity,
        "baseline": "learner" in identity,
        "learn": "planner" in identity["config"],
    }
    return next((command for command, there in marks.items() if there), "")


def check_source(folder: Path, identity: dict[str, Any], wanted: str) -> None:
    """Refuse to begin with a run of another command.

    Args:
        folder: of the run.
        identity: what its ``run.json`` says that it is.
        wanted: the command whose run is asked for.

    Raises:
        MbmfError: it is of another one.
    """
    if (command := command_of(identity)) not in ("", wanted):
        raise MbmfError(
            f"--source: {folder} is a run of `mbmf {command}`, expected one of `mbmf {wanted}`; choose another folder, "
            f"or make one with `mbmf {wanted}`"
        )


def keep_run(folder: Path, identity: dict[str, Any], curve: list[dict[str, Any]], wall_s: float) -> None:
    """Write what an imitation is, and its rounds so far; before the first there are none."""
    state = {"identity": identity, "curve": curve, "wall_s": wall_s}
    write_whole(folder / RUN_FILE, json.dumps(state).encode())


def kept_run(folder: Path, identity: dict[str, Any]) -> tuple[list[dict[str, Any]], float]:
    """The rounds of an imitation that :func:`keep_run` has kept, and the time they took; a new one has none.

    Args:
        folder: of the run; need not exist.
        identity: what it must be.

    Raises:
        MbmfError: the folder holds another run, a damaged one, or recordings of nobody knows which.
    """
    file = folder / RUN_FILE
    if not file.exists():
        if any((folder / "rollouts").glob("*.safetensors")):
            raise MbmfError(
                f"{folder} holds recordings of a run that does not say what it is ({file.name} is missing); remove the "
                "folder to begin anew, or choose another with --folder"
            )
        return [], 0.0
    try:
        state = json.loads(file.read_text("utf-8"))
        there, curve, wall_s = state["identity"], state["curve"], float(state["wall_s"])
    except (ValueError, KeyError, TypeError) as error:
        raise MbmfError(f"{file} is damaged ({error}); remove the folder to begin anew") from error
    there = completed(there, {"config": json.loads(json.dumps(dataclasses.asdict(ImitationConfig())))})
    if there != identity:
        raise MbmfError(f"{folder} holds another run: {difference(there, identity)}; choose another with --folder")
    return curve, wall_s
