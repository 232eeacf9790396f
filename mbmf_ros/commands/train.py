"""``mbmf train``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mbmf_ros.errors import MbmfError
from mbmf_ros.terminal import CONSOLE, at_least, command_line, given, plain, progress, writable, write_json

if TYPE_CHECKING:
    from mbmf_ros.data.store import TransitionStore
    from mbmf_ros.robots import RobotSpec


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a dynamics model on recorded transitions and validate it on episodes held out.

    Bags are logs of the learner and what `ros2 bag record` recorded of a robot's state: folders (MCAP or SQLite,
    compressed or not, whole or torn), folders of such folders, or single files. Standing still is left out.

    Examples:
        mbmf train --data data/random.safetensors --out models/ant.safetensors
        mbmf train --data data/random.safetensors --limit 25000 --preset paper --out models/ant_paper.safetensors
        mbmf train --data data/random.safetensors --device cuda --out models/ant.safetensors
        mbmf train --bag rosbag2_2026_01_31-12_00_00 --topic /robot1/state --out models/robot1.safetensors
    """

    data: tuple[Path, ...] = ()
    """Transition files, written by `mbmf collect`."""
    bag: tuple[Path, ...] = ()
    """Bags with RobotState messages, instead of --data or together with it."""
    topic: tuple[str, ...] = ()
    """Of the bags, learn from these topics only (default: all with states of the robot)."""
    out: Path
    """Model file to write."""
    robot: str = "ant"
    """Robot: its name, or a Python file that says what it is (docs/adding-a-robot.md)."""
    limit: int | None = None
    """Use only the first so many transitions of each file and bag."""
    seed: int = 0
    """Of the split, the initial weights and the batches."""
    preset: str = "default"
    """default or paper (the paper's settings for trajectory following; the ant's for robots that it does not have)."""
    profile: str | None = None
    """State profile, body or paper (default: the preset's)."""
    members: int | None = None
    """Networks in the ensemble (default: the preset's)."""
    probabilistic: bool = False
    """Predict a variance as well, and train on the Gaussian likelihood."""
    epochs: int | None = None
    """Passes over the data (default: the preset's, and no fewer gradient steps than it asks for)."""
    device: str | None = None
    """Where it is computed, as PyTorch names it: cpu, cuda, cuda:1 (default: the preset's, cpu)."""
    json: Path | None = None
    """Write the validation here, for programs."""

    def run(self) -> int:
        from mbmf_ros.control.presets import preset
        from mbmf_ros.dynamics.device import usable_device
        from mbmf_ros.dynamics.io import save_model
        from mbmf_ros.dynamics.learn import train_model
        from mbmf_ros.experiments.provenance import revision
        from mbmf_ros.robots import robot

        for option, value, low in (("--limit", self.limit, 1), ("--epochs", self.epochs, 1), ("--seed", self.seed, 0)):
            at_least(option, value, low)
        if not (self.data or self.bag):
            raise MbmfError("--data or --bag: expected at least one file written by `mbmf collect`, or one bag")
        if self.topic and not self.bag:
            raise MbmfError("--topic is of bags; give --bag too")
        writable("--out", self.out)
        spec = robot(self.robot)
        settings = preset(self.preset, spec)
        dynamics, training = settings.dynamics, replace(settings.training, **given(device=self.device))
        usable_device(training.device)
        store, origins = self._load(spec)
        dynamics = replace(dynamics, **given(profile=self.profile, members=self.members))
        dynamics = replace(dynamics, probabilistic=self.probabilistic or dynamics.probabilistic)
        if self.epochs:
            training = replace(training, epochs=self.epochs, min_updates=0)
        sources = {"random": 0, "on_policy": 0}
        for episode in store.episodes:
            sources[episode.source] = sources.get(episode.source, 0) + len(episode)
        commands = [*store.origins, command_line(self)]
        made = {"data": sources, "sources": origins, "commands": commands, "revision": revision()}
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

    def _load(self, spec: RobotSpec) -> tuple[TransitionStore, dict[str, int]]:
        """All transitions, and how many each file and bag gave."""
        from mbmf_ros.data.motion import moving
        from mbmf_ros.data.read_log import read_log
        from mbmf_ros.data.store import TransitionStore

        store, origins = TransitionStore(spec), dict[str, int]()
        for path in (*self.data, *self.bag):
            if path in self.data:
                part = TransitionStore.load(path, spec)
            else:
                with CONSOLE.status(f"reading {path}"):
                    contents = read_log(path, spec, topics=self.topic)
                part = moving(contents.store)
                topics = ", ".join(f"{topic}: {count}" for topic, count in sorted(contents.topics.items()))
                CONSOLE.print(
                    f"{path}: {part.transitions} transitions in motion of {contents.messages} states ({topics})"
                )
                for damage in contents.damages:
                    CONSOLE.print(f"{path}: left out: {damage}")
                if contents.rejected:
                    CONSOLE.print(f"{path}: {contents.rejected} unusable messages; the last one: {contents.problem}")
                if not part.transitions:
                    raise MbmfError(f"{path}: robot {spec.name!r} never moves there; record it while it does")
            part = part.head(self.limit) if self.limit else part
            store.extend(part)
            origins[str(path)] = part.transitions
        return store, origins
