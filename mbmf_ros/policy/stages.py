"""The rounds of an imitation: which there will be, and whether a folder has them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mbmf_ros.control.checkpoint import RUN_FILE
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.recipes import ImitationConfig
from mbmf_ros.policy.run_file import check_source

CANDIDATES = ("act", "improve")  # stages whose policies act by themselves, and may be the result


def stages_of(config: ImitationConfig) -> list[str]:
    """The stage of every round."""
    stages, improvement = ["clone", *["dagger"] * config.rounds], config.improvement
    if improvement.rounds:
        stages += ["act", *["improve"] * improvement.rounds, *["choose"] * (improvement.finalists > 1)]
    return stages


def outcome_of(curve: list[dict[str, Any]]) -> dict[str, Any]:
    """The row of the policy that is the result: the last one, or, of those that acted by themselves and unless one was
    chosen, the one whose rollouts returned most.

    These rollouts are part of the budget; the evaluations, which are not, decide nothing.

    Raises:
        MbmfError: there are no rows yet.
    """
    if not curve:
        raise MbmfError("no round of the imitation is finished; the same `mbmf imitate` as before goes on")
    if curve[-1]["stage"] == "choose":
        return curve[-1]
    acted = [row for row in curve if row["stage"] in CANDIDATES]
    return max(acted, key=lambda row: np.mean(row["rollout_returns"])) if acted else curve[-1]


def check_finished(folder: Path) -> None:
    """Refuse the policy of an imitation that still goes on; what no ``run.json`` tells of is taken for finished.

    Runs from before the stages ``act``, ``improve`` and ``choose`` existed are finished without them.

    Raises:
        MbmfError: rounds are missing, the run is of another command, or the file is damaged.
    """
    file = folder / RUN_FILE
    if not file.exists():
        return
    try:
        state = json.loads(file.read_text("utf-8"))
        check_source(folder, state["identity"], "imitate")
        config = state["identity"]["config"]
        improvement = config.get("improvement", {})
        stages = [row.get("stage", "dagger") for row in state["curve"]]
        wanted = [config["rounds"] + 1, improvement.get("rounds", 0)]
        made = [stages.count("clone") + stages.count("dagger"), stages.count("improve")]
        if wanted[1] and improvement.get("finalists", 0) > 1:
            wanted, made = [*wanted, 1], [*made, stages.count("choose")]
        lacking = sum(max(0, want - have) for want, have in zip(wanted, made, strict=True))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MbmfError(f"{file} is damaged ({error}); make the policy again with `mbmf imitate`") from error
    if lacking:
        raise MbmfError(
            f"{folder}: the imitation is not finished, {lacking} round{'s' * (lacking > 1)} or more are missing; "
            "let `mbmf imitate` finish it: the same command as before goes on"
        )
