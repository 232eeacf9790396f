"""``mbmf train``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mbmf_ros.errors import MbmfError
from mbmf_ros.terminal import CONSOLE, at_least, command_line, given, plain, progress, writable, write_json


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
