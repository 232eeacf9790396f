"""What ``mbmf baseline`` and ``mbmf finetune`` have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mbmf_ros.errors import MbmfError
from mbmf_ros.terminal import CONSOLE, at_least, busy, command_line, progress, writable, write_json

if TYPE_CHECKING:
    from mbmf_ros.policy.model_free import ModelFreeRun

FINAL_EPISODES = 10


class Options(Protocol):
    """Those of both."""

    @property
    def learner(self) -> str: ...
    @property
    def budget(self) -> int: ...
    @property
    def patience(self) -> int: ...
    @property
    def seed(self) -> int | None: ...
    @property
    def json(self) -> Path | None: ...


def check(options: Options) -> None:
    """Refuse numbers that make no sense and files that cannot be written.

    Raises:
        MbmfError: there is one.
    """
    at_least("--budget", options.budget)
    at_least("--patience", options.patience, 0)
    at_least("--seed", options.seed, 0)
    if options.seed is not None and options.seed >= 2**31:
        raise MbmfError(f"--seed: expected less than {2**31}, got {options.seed}")
    if options.json is not None:
        writable("--json", options.json)


def carry_out(options: Options, run: ModelFreeRun, settings: dict[str, Any], **more: Any) -> int:
    """Learn, judge the last and the best policy in fresh episodes, and write the result.

    Args:
        options: of the command.
        run: new, or as it was when it was interrupted.
        settings: for the result.
        more: entries of the result.
    """
    from mbmf_ros.experiments.provenance import revision

    folder = run.checkpoint.folder
    if run.curve:
        CONSOLE.print(f"{folder}: goes on after {run.steps} steps")
    if run.steps > options.budget:
        raise MbmfError(f"{folder}: {run.steps} steps are spent already; raise --budget or choose --folder")
    writable("--folder", folder / "run.json")
    begins = not run.learner.notes

    def told(line: str) -> None:
        nonlocal begins
        if begins and run.learner.notes:
            begins = False
            CONSOLE.print(handed_over(run.learner.notes), soft_wrap=True)
        CONSOLE.print(line)

    with progress("learning", options.budget) as report:
        report(run.steps)
        try:
            stopped = run.run(options.budget, options.patience, report, told)
        except KeyboardInterrupt:
            kept = run.curve[-1]["steps"] if run.curve else 0
            CONSOLE.print(f"interrupted; {kept} steps are kept in {folder}: the same command goes on from there")
            raise
    if stopped:
        CONSOLE.print(f"stopped: no better evaluation in {options.patience} steps")
    if len(run.curve) == 1:
        CONSOLE.print(f"nothing learnt: --budget {options.budget} leaves no room for the first update")
    assert run.best is not None
    with busy(f"evaluating the last policy and the best, {FINAL_EPISODES} episodes each"):
        returns, best = (run.evaluate(policy, 1, FINAL_EPISODES) for policy in (run.learner.policy(), run.best))
    final = sum(returns) / len(returns)
    CONSOLE.print(f"{run.spec.name}, {run.origin.task}: return {final:.1f} after {run.steps} steps, kept in {folder}")
    result = {
        "robot": run.spec.name,
        "task": run.origin.task,
        "learner": options.learner,
        **more,
        "seed": run.seed,
        "budget": options.budget,
        "steps": run.steps,
        "final_return": final,
        "final_returns": returns,
        "best_steps": run.best_row["steps"],
        "best_return": sum(best) / len(best),
        "best_returns": best,
        "stopped_early": stopped,
        "curve": run.curve,
        "notes": run.learner.notes,
        "wall_s": run.wall_s,
        "command": command_line(options),
        "revision": revision(),
        "config": settings,
    }
    write_json(options.json, result)
    return 0


def handed_over(notes: Mapping[str, Any]) -> str:
    """What the learner decided before its first update, for people."""
    said = f"hand-over: first standard deviation {notes['std']:g}"
    if explained := notes.get("explained_variance"):
        best = max(explained)
        said += f"; the critic explains {best:.2f} of the variance of held-out returns"
        said += ", which is less than a constant would: its first advantages say little" if best < 0.0 else ""
    return said
