"""One model, another task: what `mbmf learn` made for one drives another, without a further step of learning.

``python -m mbmf_ros.experiments.transfer --robot ant --to forward_v5 --folder runs/ant_forward_default_0 --json OUT``
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from mbmf_ros.control.algorithm import EVALUATION_EPISODES, resume
from mbmf_ros.control.environments import environment
from mbmf_ros.control.recipes import recipe
from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments.provenance import revision
from mbmf_ros.robots import robot
from mbmf_ros.terminal import write_json
from mbmf_ros.threads import one_thread


@dataclass(frozen=True)
class Transfer:
    """What to evaluate."""

    robot: str
    """Robot."""
    to: str
    """Task to be judged by."""
    folder: Path
    """Where the run is kept."""
    json: Path
    """Result: as that of `mbmf learn`, with the preset `default, from TASK`."""
    task: str = "forward"
    """Task that was learnt."""
    seed: int = 0
    """Of the run."""
    episodes: int = EVALUATION_EPISODES
    """How many."""


def transfer(options: Transfer) -> dict:
    """The result.

    Raises:
        MbmfError: there is no such run.
    """
    spec = robot(options.robot)
    learner = resume(spec, options.task, recipe(spec, options.task), options.seed, options.folder)
    if learner.model is None:
        raise MbmfError(f"{options.folder}: expected a run of `mbmf learn`, there is none")
    learner.env = environment(spec, options.to)
    learner.config = recipe(spec, options.to)
    returns = learner.evaluate(options.episodes)
    return {
        "robot": spec.name,
        "task": options.to,
        "preset": f"default, from {options.task}",
        "seed": options.seed,
        "steps": learner.steps,
        "final_return": sum(returns) / len(returns),
        "final_returns": returns,
        "curve": [],
        "wall_s": learner.wall_s,
        "command": shlex.join(["python", "-m", "mbmf_ros.experiments.transfer", *sys.argv[1:]]),
        "revision": revision(),
    }


def main() -> int:
    """Evaluate and write; the exit code."""
    options = tyro.cli(Transfer, description=__doc__)
    one_thread()
    try:
        write_json(options.json, transfer(options))
    except MbmfError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
