"""The command line ``mbmf``."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from mbmf_ros.errors import MbmfError
from mbmf_ros.terminal import CONSOLE, at_least, command_line, given, plain, progress, writable, write_json
from mbmf_ros.up import UpConfig, run_up


@dataclass(frozen=True)
class Collect:
    """Collect transitions in simulation: random motion or, with --model, walking along random paths.

    Examples:
        mbmf collect --transitions 100000 --out data/random.safetensors
        mbmf collect --transitions 5000 --model models/ant.safetensors --out data/on_policy.safetensors
    """

    out: Path
    """File to write."""
    robot: str = "ant"
    """Robot."""
    transitions: int = 100_000
    """How many."""
    seed: int = 0
    """Of all randomness."""
    exploration: str | None = None
    """Random actions: uniform, held, coloured or mixed (default: the preset's)."""
    model: Path | None = None
    """Walk with this model, on random paths, instead of moving at random."""
    action_noise: float = 0.1
    """Standard deviation of noise on the actions while walking; the noisy action is what is recorded."""
    preset: str = "default"
    """default or paper."""
    threads: int = 2
    """Physics threads."""
    json: Path | None = None
    """Write a summary here, for programs."""

    def run(self) -> int:
        from mbmf_ros.control.presets import preset
        from mbmf_ros.data.collect import collect_random
        from mbmf_ros.robots import robot

        at_least("--transitions", self.transitions)
        at_least("--seed", self.seed, 0)
        at_least("--threads", self.threads)
        if not 0 <= self.action_noise <= 1:
            raise MbmfError(f"--action-noise: expected a number from 0 to 1, got {self.action_noise}")
        writable("--out", self.out)
        if self.model and self.exploration:
            raise MbmfError("--exploration is for random motion; with --model give --action-noise")
        spec, settings = robot(self.robot), preset(self.preset).collect
        if self.exploration:
            settings = replace(settings, exploration=replace(settings.exploration, kind=self.exploration))
        with progress("collecting", self.transitions) as report:
            if self.model:
                from mbmf_ros.control.on_policy import collect_on_policy
                from mbmf_ros.dynamics.io import load_model

                model, _ = load_model(self.model, spec)
                walking = preset(self.preset)
                store = collect_on_policy(model, self.transitions, self.seed, self.action_noise, report, walking)
            else:
                store = collect_random(spec, self.transitions, self.seed, settings, self.threads, report)
        store.origins.append(command_line(self))
        store.save(self.out)
        minutes = store.transitions * spec.dt_s / 60
        facts = {"transitions": store.transitions, "episodes": len(store.episodes), "robot_minutes": round(minutes, 2)}
        CONSOLE.print(f"{self.out}: {store.transitions} transitions, {len(store.episodes)} episodes, {minutes:.0f} min")
        write_json(self.json, facts)
        return 0


@dataclass(frozen=True)
class Train:
    """Train a dynamics model on recorded transitions and validate it on episodes held out.

    Examples:
        mbmf train --data data/random.safetensors --out models/ant.safetensors
        mbmf train --data data/random.safetensors --limit 25000 --preset paper --out models/ant_paper.safetensors
    """

    data: tuple[Path, ...]
    """Transition files, written by `mbmf collect`."""
    out: Path
    """Model file to write."""
    robot: str = "ant"
    """Robot."""
    limit: int | None = None
    """Use only the first so many transitions of each file."""
    seed: int = 0
    """Of the split, the initial weights and the batches."""
    preset: str = "default"
    """default or paper."""
    profile: str | None = None
    """State profile, body or paper (default: the preset's)."""
    members: int | None = None
    """Networks in the ensemble (default: the preset's)."""
    probabilistic: bool = False
    """Predict a variance as well, and train on the Gaussian likelihood."""
    epochs: int | None = None
    """Passes over the data (default: the preset's, and no fewer gradient steps than it asks for)."""
    json: Path | None = None
    """Write the validation here, for programs."""

    def run(self) -> int:
        from mbmf_ros.control.presets import preset
        from mbmf_ros.data.store import TransitionStore
        from mbmf_ros.dynamics.io import save_model
        from mbmf_ros.dynamics.learn import train_model
        from mbmf_ros.experiments.provenance import revision
        from mbmf_ros.robots import robot

        for option, value, low in (("--limit", self.limit, 1), ("--epochs", self.epochs, 1), ("--seed", self.seed, 0)):
            at_least(option, value, low)
        if not self.data:
            raise MbmfError("--data: expected at least one file written by `mbmf collect`")
        writable("--out", self.out)
        spec, settings = robot(self.robot), preset(self.preset)
        store = TransitionStore(spec)
        for path in self.data:
            part = TransitionStore.load(path, spec)
            store.extend(part.head(self.limit) if self.limit else part)
        dynamics, training = settings.dynamics, settings.training
        dynamics = replace(dynamics, **given(profile=self.profile, members=self.members))
        dynamics = replace(dynamics, probabilistic=self.probabilistic or dynamics.probabilistic)
        if self.epochs:
            training = replace(training, epochs=self.epochs, min_updates=0)
        sources = {
            source: sum(len(e) for e in store.episodes if e.source == source) for source in ("random", "on_policy")
        }
        made = {"data": sources, "commands": [*store.origins, command_line(self)], "revision": revision()}
        with progress("training", 100) as report:
            model, info, validation, fit = train_model(
                store, dynamics, training, self.seed, lambda share, loss: report(round(100 * share)), made
            )
        save_model(self.out, model, info)
        errors = ", ".join(f"{error:.3f} at {horizon}" for horizon, error in validation.nrmse.items())
        CONSOLE.print(f"{self.out}: {store.transitions} transitions, {fit.updates} updates in {fit.wall_s:.0f} s")
        CONSOLE.print(f"normalised error of the open-loop change on held-out data, by horizon: {errors}")
        write_json(self.json, {"transitions": store.transitions, "data": sources, **plain(validation), **plain(fit)})
        return 0


@dataclass(frozen=True)
class Follow:
    """Walk paths in simulation, in lock-step and without ROS; one run per path and seed.

    Examples:
        mbmf paths --out paths.json
        mbmf follow --paths paths.json --seeds 10 --json results.json
        mbmf follow --paths paths.json --planner mppi --set planner.temperature=0.5 follow_path.speed_cap_mps=0.8
    """

    paths: Path
    """JSON file {"name": [[x, y], ...], ...}, metres in the robot's start frame."""
    robot: str = "ant"
    """Robot."""
    seeds: int = 1
    """Runs per path: seeds 0 to N - 1, each with another start state and heading."""
    first_seed: int = 0
    """Number of the first seed."""
    model: Path | None = None
    """Model file (default: the shipped one)."""
    preset: str = "default"
    """default or paper: planner, model and reward together."""
    planner: str | None = None
    """random_shooting, icem or mppi (default: the preset's)."""
    profile: str | None = None
    """State profile that the model must have, body or paper (default: the preset's)."""
    set: tuple[str, ...] = ()
    """Changes to settings: planner.KEY=VALUE or follow_path.KEY=VALUE."""
    json: Path | None = None
    """Write runs and summary here, for programs."""

    def run(self) -> int:
        from mbmf_ros.control.follow import follow, load_paths, summary
        from mbmf_ros.control.presets import make_controller, preset
        from mbmf_ros.dynamics.io import default_model_path, load_model
        from mbmf_ros.robots import robot
        from mbmf_ros.robots.sim import Simulation

        at_least("--seeds", self.seeds)
        at_least("--first-seed", self.first_seed, 0)
        spec, settings = robot(self.robot), preset(self.preset)
        settings = replace(settings, **given(planner=self.planner))
        profile = self.profile or settings.dynamics.profile
        controller = make_controller(spec, settings, self.set)
        path = self.model or default_model_path(spec, profile)
        model, info = load_model(path, spec)
        if info.profile != profile:
            raise MbmfError(f"{path} has the state profile {info.profile!r}, expected {profile!r}; choose --profile")
        controller.swap(model, 1)
        paths = load_paths(self.paths)
        simulation = Simulation(spec)
        rows: list[dict[str, Any]] = []
        with progress("walking", len(paths) * self.seeds) as report:
            for seed in range(self.first_seed, self.first_seed + self.seeds):
                for name, waypoints in paths.items():
                    controller.seed(seed)
                    rows.append(follow(simulation, controller, name, waypoints, seed))
                    write_json(self.json, {"runs": rows, "summary": summary(rows)})
                    report(len(rows))
                    if not rows[-1]["success"]:
                        why = "fell" if rows[-1]["fell"] else "missed a waypoint or ran out of time"
                        CONSOLE.print(f"{name}, seed {seed}: {why}")
        for key, value in summary(rows).items():
            CONSOLE.print(f"{key:>20}  {value}")
        return 0


@dataclass(frozen=True)
class Paths:
    """Write a file of paths to walk: straight, turns, U-turn, figure-eight, slalom, random polyline.

    Examples:
        mbmf paths --seed 7 --out paths.json
    """

    out: Path
    """File to write."""
    seed: int = 0
    """Of sizes, hands and directions."""
    per_shape: int = 1
    """Paths of each shape."""

    def run(self) -> int:
        from mbmf_ros.control.path_shapes import path_set

        at_least("--seed", self.seed, 0)
        at_least("--per-shape", self.per_shape)
        paths = path_set(self.seed, per_shape=self.per_shape)
        write_json(self.out, {name: np.round(points, 4).tolist() for name, points in paths.items()})
        CONSOLE.print(f"{self.out}: {len(paths)} paths")
        return 0


@dataclass(frozen=True)
class Up(UpConfig):
    __doc__ = UpConfig.__doc__

    def run(self) -> int:
        return run_up(self)


_UP_EXAMPLES = "\n\nExamples:\n    mbmf up ant_sim\n    mbmf up ant_sim --headless --paths paths.json --json out.json"


def _named(name: str, kind: type, more: str = "") -> Any:
    """A subcommand whose help shows the whole docstring; of its own accord tyro leaves out the examples."""
    return tyro.conf.subcommand(name, description=(inspect.getdoc(kind) or "") + more)


Command = (
    Annotated[Collect, _named("collect", Collect)]
    | Annotated[Train, _named("train", Train)]
    | Annotated[Follow, _named("follow", Follow)]
    | Annotated[Paths, _named("paths", Paths)]
    | Annotated[Up, _named("up", UpConfig, _UP_EXAMPLES)]
)


def main(arguments: list[str] | None = None) -> int:
    """Run ``mbmf``; returns the exit code: 2 for bad input, 130 for Ctrl-C."""
    try:
        command = tyro.cli(Command, prog="mbmf", description=__doc__, args=arguments)  # type: ignore[arg-type]
        if not isinstance(command, Up):
            from mbmf_ros.threads import one_thread

            one_thread()
        return command.run()
    except MbmfError as error:
        print(f"mbmf: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        print(f"mbmf: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
