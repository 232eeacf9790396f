"""``mbmf collect``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mbmf_ros.errors import MbmfError
from mbmf_ros.terminal import CONSOLE, at_least, command_line, progress, writable, write_json


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
    """Robot: its name, or a Python file that says what it is (docs/adding-a-robot.md)."""
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
    """default or paper (the paper's settings for trajectory following; the ant's for robots that it does not have)."""
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
        spec = robot(self.robot)
        method = preset(self.preset, spec)
        settings = method.collect
        if self.exploration:
            settings = replace(settings, exploration=replace(settings.exploration, kind=self.exploration))
        diverged = 0

        def count() -> None:
            nonlocal diverged
            diverged += 1

        with progress("collecting", self.transitions) as report:
            if self.model:
                from mbmf_ros.control.on_policy import collect_on_policy
                from mbmf_ros.dynamics.io import load_model

                model, _ = load_model(self.model, spec)
                store = collect_on_policy(model, self.transitions, self.seed, self.action_noise, report, method, count)
            else:
                store = collect_random(spec, self.transitions, self.seed, settings, self.threads, report, count)
        store.origins.append(command_line(self))
        store.save(self.out)
        minutes = store.transitions * spec.dt_s / 60
        facts = {"transitions": store.transitions, "episodes": len(store.episodes), "robot_minutes": round(minutes, 2)}
        facts["diverged"] = diverged
        if diverged:
            CONSOLE.print(f"the simulation diverged in {diverged} rollouts; what came before is kept")
        CONSOLE.print(f"{self.out}: {store.transitions} transitions, {len(store.episodes)} episodes, {minutes:.0f} min")
        write_json(self.json, facts)
        return 0
