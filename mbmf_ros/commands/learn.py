"""``mbmf learn``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mbmf_ros.commands.settings import assignments
from mbmf_ros.commands.stages import Stages
from mbmf_ros.errors import MbmfError
from mbmf_ros.terminal import CONSOLE, at_least, command_line, progress, writable, write_json

if TYPE_CHECKING:
    from mbmf_ros.control.algorithm import Learner

ON_POLICY_STEPS = 10_000


@dataclass(frozen=True)
class Learn:
    """Learn a task from nothing (Algorithm 1 of the paper): random data, train, act, aggregate, retrain.

    The run is kept in a folder after every iteration; the same command goes on from there after an interruption, and
    ends exactly as if it had not been interrupted. Every model is judged on random motion that
    is never learnt from (e_h_random in the curve; docs/learning-offline.md).

    Examples:
        mbmf learn --robot swimmer --task forward --budget 6000 --json out.json
        mbmf learn --robot half_cheetah_v5 --task forward_v5 --budget 50000 --seed 1 --json out.json
        mbmf learn --robot hopper --task forward --budget 20000 --set planner_settings.batch_size=128
        mbmf learn --robot swimmer --task forward --budget 23000 --preset paper
    """

    robot: str
    """Robot: ant, ant_paper, half_cheetah, half_cheetah_v5, hopper, hopper_v5, swimmer, swimmer_v5; or a file
    of yours, FILE.py or FILE.py:NAME."""
    task: str = "forward"
    """forward (paper-style reward in our simulation) or forward_v5 (Gymnasium's environment, unchanged)."""
    budget: int | None = None
    """Environment steps to learn from, random ones included (default: the recipe's random steps and 10000 more). With a
    larger one a run that has ended goes on."""
    seed: int = 0
    """Of everything random."""
    preset: str = "default"
    """default (tuned) or paper."""
    set: tuple[str, ...] = ()
    """Changes to settings: KEY=VALUE, KEY.KEY=VALUE."""
    episodes: int = 5
    """Episodes of the evaluation of the final model; they cost no budget."""
    folder: Path | None = None
    """Where to keep the run (default: runs/ROBOT_TASK_PRESET_SEED)."""
    json: Path | None = None
    """Write the result here, for programs: steps, final_return, final_errors, curve, wall_s and more."""

    def run(self) -> int:
        from mbmf_ros.control.algorithm import resume
        from mbmf_ros.control.recipes import recipe
        from mbmf_ros.experiments.provenance import revision
        from mbmf_ros.robots import robot

        at_least("--budget", self.budget, 2)
        at_least("--seed", self.seed, 0)
        if self.seed >= 2**31:
            raise MbmfError(f"--seed: expected less than {2**31}, got {self.seed}")
        at_least("--episodes", self.episodes)
        if self.json is not None:
            writable("--json", self.json)
        spec = robot(self.robot)
        config = recipe(spec, self.task, self.preset, assignments(self.set))
        folder = self.folder or Path("runs") / f"{spec.name}_{self.task}_{self.preset}_{self.seed}"
        learner = resume(spec, self.task, config, self.seed, folder)
        if learner.curve:
            CONSOLE.print(f"{folder}: goes on after {learner.steps} steps")
        budget = self._budget(learner, folder)
        writable("--folder", folder / "run.json")
        with Stages("learning", budget) as bars:
            bars.whole(learner.steps)

            def told(steps: int, what: str) -> None:
                bars.whole(steps)
                CONSOLE.print(f"{steps:>8} steps  {what}")

            try:
                learner.run(budget, told, bars.stage)
            except KeyboardInterrupt:
                kept = learner.curve[-1]["steps"] if learner.curve else 0
                CONSOLE.print(f"interrupted; {kept} steps are kept in {folder}: the same command goes on from there")
                raise
        with progress("evaluating", self.episodes) as report:
            returns = learner.evaluate(self.episodes, report)
        final = sum(returns) / len(returns)
        CONSOLE.print(f"{spec.name}, {self.task}: return {final:.1f} after {learner.steps} steps, kept in {folder}")
        result = {
            "robot": spec.name,
            "task": self.task,
            "preset": self.preset,
            "seed": self.seed,
            "budget": budget,
            "steps": learner.steps,
            "random_steps": learner.random_steps,
            "final_return": final,
            "final_returns": returns,
            "final_errors": learner.judge(),
            "curve": learner.curve,
            "wall_s": learner.wall_s,
            "command": command_line(self),
            "revision": revision(),
            "config": dataclasses.asdict(config),
        }
        write_json(self.json, result)
        return 0

    def _budget(self, learner: Learner, folder: Path) -> int:
        """How many steps to learn from, said to the user.

        Raises:
            MbmfError: too few to act at all, or fewer than there are.
        """
        config = learner.config
        budget = config.random_steps + ON_POLICY_STEPS if self.budget is None else self.budget
        if learner.steps > budget:
            raise MbmfError(
                f"{folder}: the run has {learner.steps} steps already, more than {budget}; raise --budget, or choose "
                "another --folder"
            )
        random, iteration = learner.random_steps if learner.curve else config.random_steps, config.iteration_steps
        if not learner.curve and budget - random < iteration / 4:
            raise MbmfError(
                f"--budget: expected at least {random + iteration}, the recipe's {random} random steps and one "
                f"iteration of {iteration} steps in which the robot acts, got {budget}; or make do with less random "
                "motion: --set random_steps=..."
            )
        CONSOLE.print(f"budget: {budget} steps, {random} of them random motion")
        if random + config.action_repeat <= config.random_steps:
            CONSOLE.print(
                f"{folder}: begun with a smaller budget, so without all of the {config.random_steps} random steps"
            )
        return budget
