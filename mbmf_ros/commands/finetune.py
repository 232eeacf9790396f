"""``mbmf finetune``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from mbmf_ros.commands.model_free import carry_out, check
from mbmf_ros.commands.settings import assignments
from mbmf_ros.errors import MbmfError


@dataclass(frozen=True)
class Finetune:
    """Go on model-free from a policy that `mbmf imitate` has made (Mb-Mf of the paper).

    The run is kept in a folder at every evaluation; the same command goes on from there after an interruption, and
    ends exactly as if it had not been interrupted. The folder's policy.safetensors is the policy with the best
    evaluation. docs/model-free.md has more.

    Examples:
        mbmf finetune --source runs/swimmer_forward_default_0_imitate_default_0 --budget 1000000 --json out.json
        mbmf finetune --source runs/hopper_forward_default_0_imitate_default_0 --budget 1000000 --patience 300000
        mbmf finetune --source runs/ant_forward_default_0_imitate_default_0 --set trpo.target_kl=0.02 handover.std=0.2
        mbmf finetune --source runs/swimmer_forward_default_0_imitate_default_0 --preset paper
        mbmf finetune --source runs/swimmer_forward_default_0_imitate_default_0 --learner sac --budget 200000
    """

    source: Path
    """Folder that `mbmf imitate` has written, as a whole."""
    learner: str = "trpo"
    """trpo or sac."""
    preset: str = "default"
    """default (tuned) or paper."""
    budget: int = 1_000_000
    """Environment steps, with those that the policy has cost. With a larger one a run that has ended goes on."""
    patience: int = 0
    """Stop when the evaluation has not improved for so many environment steps; 0: never."""
    seed: int | None = None
    """Of everything random (default: the policy's)."""
    robot: str = ""
    """Only for a robot of yours: FILE.py or FILE.py:NAME. All others are named in the policy's file."""
    set: tuple[str, ...] = ()
    """Changes to settings: KEY=VALUE, KEY.KEY=VALUE."""
    folder: Path | None = None
    """Where to keep the run (default: runs/finetune_ROBOT_TASK_LEARNER_PRESET_SEED)."""
    json: Path | None = None
    """Write the result here, for programs: steps, final_return, curve, wall_s and more."""

    def run(self) -> int:
        from mbmf_ros.policy.settings import check_learner, finetune_settings
        from mbmf_ros.policy.source import load_source

        check(self)
        source = load_source(self.source, self.robot)
        spec, task = source.spec, source.info.task
        check_learner(self.learner)
        config = finetune_settings(spec, source.info.action_repeat, self.preset, assignments(self.set), self.learner)
        if self.preset == "paper" and self.learner != "trpo":
            raise MbmfError("the paper goes on with TRPO; with --preset paper choose --learner trpo")
        from mbmf_ros.policy.handover import TrpoHandover
        from mbmf_ros.policy.model_free import ModelFreeRun, Origin
        from mbmf_ros.policy.sac_handover import SacHandover

        seed = source.seed if self.seed is None else self.seed
        name = f"finetune_{spec.name}_{task}_{self.learner}_{self.preset}_{seed}"
        folder = self.folder or Path("runs") / name
        if folder.resolve() == self.source.resolve():
            raise MbmfError(f"--folder: {folder} is the source, whose policy is kept; choose another")
        kind = TrpoHandover if self.learner == "trpo" else SacHandover
        learner = kind(source, config, seed)
        settings = dataclasses.asdict(config)
        identity = {"learner": self.learner, "preset": self.preset, "policy": source.digest, "config": settings}
        run = ModelFreeRun(spec, config, seed, learner, folder, Origin(task, source.info.steps, identity))
        about = {"source": str(self.source), "source_steps": source.info.steps}
        return carry_out(self, run, settings, preset=self.preset, **about)
