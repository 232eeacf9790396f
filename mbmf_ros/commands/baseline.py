"""``mbmf baseline``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from mbmf_ros.commands.model_free import carry_out, check
from mbmf_ros.commands.settings import assignments


@dataclass(frozen=True)
class Baseline:
    """Learn a task model-free from a random policy: what the other ways of learning are compared with.

    The run is kept in a folder at every evaluation; the same command goes on from there after an interruption, and
    ends exactly as if it had not been interrupted. The folder's policy.safetensors is the policy with the best
    evaluation. docs/model-free.md has more.

    Examples:
        mbmf baseline --robot swimmer --budget 1000000 --json out.json
        mbmf baseline --robot half_cheetah_v5 --task forward_v5 --seed 1 --folder runs/cheetah
        mbmf baseline --robot ant --patience 2000000 --budget 10000000
        mbmf baseline --robot hopper --set trpo.target_kl=0.02 trpo.batch=4096
    """

    robot: str
    """Robot: ant, ant_paper, half_cheetah, half_cheetah_v5, hopper, hopper_v5, swimmer, swimmer_v5; or a file
    of yours, FILE.py or FILE.py:NAME."""
    task: str = "forward"
    """forward (paper-style reward in our simulation) or forward_v5 (Gymnasium's environment, unchanged)."""
    learner: str = "trpo"
    """trpo or sac."""
    budget: int = 1_000_000
    """Environment steps to learn from. With a larger one a run that has ended goes on."""
    patience: int = 0
    """Stop when the evaluation has not improved for so many environment steps; 0: never."""
    seed: int = 0
    """Of everything random."""
    set: tuple[str, ...] = ()
    """Changes to settings: KEY=VALUE, KEY.KEY=VALUE."""
    folder: Path | None = None
    """Where to keep the run (default: runs/baseline_ROBOT_TASK_LEARNER_SEED)."""
    json: Path | None = None
    """Write the result here, for programs: steps, final_return, curve, wall_s and more."""

    def run(self) -> int:
        from mbmf_ros.policy.settings import baseline_settings, check_learner
        from mbmf_ros.robots import robot

        check(self)
        spec = robot(self.robot)
        config = baseline_settings(spec, assignments(self.set))
        check_learner(self.learner)
        from mbmf_ros.policy.model_free import ModelFreeRun, Origin
        from mbmf_ros.policy.sac import SacLearner
        from mbmf_ros.policy.trpo import TrpoLearner

        folder = self.folder or Path("runs") / f"baseline_{spec.name}_{self.task}_{self.learner}_{self.seed}"
        kind = TrpoLearner if self.learner == "trpo" else SacLearner
        learner = kind(spec.name, self.task, config, self.seed)
        settings = dataclasses.asdict(config)
        origin = Origin(self.task, identity={"learner": self.learner, "config": settings})
        return carry_out(self, ModelFreeRun(spec, config, self.seed, learner, folder, origin), settings)
