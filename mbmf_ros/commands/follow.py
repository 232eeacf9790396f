"""``mbmf follow``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mbmf_ros.errors import MbmfError
from mbmf_ros.terminal import CONSOLE, at_least, given, progress, write_json


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
    """Robot: its name, or a Python file that says what it is (docs/adding-a-robot.md)."""
    seeds: int = 1
    """Runs per path: seeds 0 to N - 1, each with another start state and heading."""
    first_seed: int = 0
    """Number of the first seed."""
    model: Path | None = None
    """Model file (default: the shipped one)."""
    preset: str = "default"
    """default or paper: planner, model and reward together (the paper's ant's for robots that it does not have)."""
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
        spec = robot(self.robot)
        settings = preset(self.preset, spec)
        settings = replace(settings, **given(planner=self.planner))
        profile = self.profile or settings.dynamics.profile
        controller = make_controller(spec, settings, self.set)
        path = self.model or default_model_path(spec, profile)
        model, info = load_model(path, spec)
        if info.profile != profile:
            raise MbmfError(f"{path} has the state profile {info.profile!r}, expected {profile!r}; choose --profile")
        controller.swap(model, 1)
        paths = load_paths(self.paths)
        for name, waypoints in paths.items():
            if spec.root == "sagittal" and waypoints[:, 1].any():
                raise MbmfError(
                    f"{self.paths}: path {name!r}: {spec.name} moves along the x axis only, expected y = 0 everywhere; "
                    f"make paths for it with `mbmf paths --robot {self.robot}`"
                )
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
