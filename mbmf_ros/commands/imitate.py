"""``mbmf imitate``."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from mbmf_ros.commands.settings import assignments
from mbmf_ros.errors import MbmfError
from mbmf_ros.terminal import CONSOLE, at_least, command_line, writable, write_json


@dataclass(frozen=True)
class Imitate:
    """Make a policy of the planner of a run of `mbmf learn`: behaviour cloning, DAgger, improvement in the model.

    The run is kept in a folder: rollouts, curve, and policy.safetensors for `mbmf finetune` or for the controller. The
    same command goes on from there after an interruption.

    Examples:
        mbmf imitate --source runs/half_cheetah_v5_forward_v5_default_0 --json out.json
        mbmf imitate --source runs/hopper_forward_default_0 --seed 1 --workers 4
        mbmf imitate --source runs/swimmer_forward_default_0 --set rounds=6 --set clone.min_updates=10000
        mbmf imitate --source runs/swimmer_forward_default_0 --preset paper
    """

    source: Path
    """Folder of the run of `mbmf learn` whose planner is the expert."""
    robot: str = ""
    """The robot's file, FILE.py or FILE.py:NAME, if the source is a run of a robot of yours."""
    seed: int | None = None
    """Of everything random (default: the expert's)."""
    preset: str = "default"
    """default (tuned) or paper."""
    set: tuple[str, ...] = ()
    """Changes to settings: KEY=VALUE, KEY.KEY=VALUE."""
    workers: int = 0
    """Processes that record rollouts; 0: as many as there are processors."""
    folder: Path | None = None
    """Where to keep the run (default: beside the source, with _imitate_PRESET_SEED at the end)."""
    json: Path | None = None
    """Write the result here, for programs: steps, final_return, curve, wall_s and more."""

    def run(self) -> int:
        from mbmf_ros.experiments.provenance import revision
        from mbmf_ros.policy.expert import open_run
        from mbmf_ros.policy.files import POLICY_FILE
        from mbmf_ros.policy.imitation import Imitation
        from mbmf_ros.policy.recipes import imitation_recipe

        at_least("--seed", self.seed, 0)
        at_least("--workers", self.workers, 0)
        if self.json is not None:
            writable("--json", self.json)
        learner = open_run(self.source, self.robot)
        seed = learner.seed if self.seed is None else self.seed
        if seed >= 2**31:
            raise MbmfError(f"--seed: expected less than {2**31}, got {seed}")
        config = imitation_recipe(learner.spec, self.preset, assignments(self.set))
        folder = self.folder or beside(self.source, f"_imitate_{self.preset}_{seed}")
        workers = self.workers or len(os.sched_getaffinity(0))
        imitation = Imitation(self.source, learner, config, seed, folder, workers, self.robot)
        writable("--folder", folder / "run.json")
        if imitation.curve:
            CONSOLE.print(f"{folder}: goes on after round {len(imitation.curve) - 1}", soft_wrap=True)
        try:
            imitation.run(lambda row: _tell(row, len(imitation.stages) - 1))
        except KeyboardInterrupt:
            CONSOLE.print(f"interrupted; what was recorded is kept in {folder}: the same command goes on from there")
            raise
        outcome = imitation.outcome
        chosen = outcome.get("chosen", outcome["round"])
        CONSOLE.print(
            f"{learner.spec.name}, {learner.task}: return {outcome['return']:.1f} (round {chosen}) after "
            f"{imitation.steps} steps in all, kept in {folder / POLICY_FILE}",
            soft_wrap=True,
        )
        result = {
            "robot": learner.spec.name,
            "task": learner.task,
            "preset": self.preset,
            "seed": seed,
            "expert": str(self.source),
            "steps": imitation.steps,
            "final_return": outcome["return"],
            "final_returns": outcome["returns"],
            "outcome": chosen,
            "curve": imitation.curve,
            "wall_s": imitation.wall_s,
            "command": command_line(self),
            "revision": revision(),
            "config": dataclasses.asdict(config),
        }
        write_json(self.json, result)
        return 0


def beside(folder: Path, ending: str) -> Path:
    """A folder beside ``folder``, of its name with ``ending``; ``.`` and ``..`` are called what they really are."""
    named = folder if folder.name not in ("", "..") else folder.resolve()
    return named.with_name(named.name + ending)


def _tell(row: dict, last: int) -> None:
    expert = "" if row["expert_return"] is None else f" (expert {row['expert_return']:.1f})"
    if row["stage"] in ("act", "improve"):
        values, what = row["rollout_returns"], "improved in the model" if row["stage"] == "improve" else "acted"
        more = f"its {len(values)} rollouts {sum(values) / len(values):.1f}"
    elif row["stage"] == "choose":
        what, more = f"that of round {row['chosen']} chosen", f"of {len(row['finalists'])} by further rollouts"
    else:
        what = "cloned" if row["stage"] == "clone" else "DAgger"
        more = f"error {row['error']:.3f} over {row['labels']} labels"
    what = f"round {row['round']} of {last}, {what}"
    CONSOLE.print(f"{row['steps']:>8} steps  {what}: return {row['return']:.1f}{expert}, {more}", soft_wrap=True)
