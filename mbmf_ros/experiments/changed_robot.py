"""A robot changes while it walks: whether that is noticed, and what learning on makes of it.

    python -m mbmf_ros.experiments.changed_robot --out results/changed_robot --seeds 3

In lock-step and without ROS. For every change and seed the robot walks laps with its shipped model, ``usual_s``
seconds as built and ``after_s`` seconds changed: once with that model to the end, and once learning as the learner node
does, with its decisions and settings; simulated time stands still while it trains. A robot that fell begins anew at the
start. Writes one JSON file per run, which is kept, and a table of all.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console

from mbmf_ros.control.follow import planar_pose, start_of, to_odom
from mbmf_ros.control.path import Path as WalkedPath
from mbmf_ros.control.path import PathTracker
from mbmf_ros.control.presets import make_controller, preset
from mbmf_ros.data.motion import moving
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.dynamics.change import ChangeDetector
from mbmf_ros.dynamics.continual import Continual, ContinualConfig
from mbmf_ros.dynamics.io import default_model_path, load_model
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.dynamics.refit import RefitConfig, refit
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.experiments.learning_curves import write_table
from mbmf_ros.experiments.provenance import revision
from mbmf_ros.robots import RobotSpec, robot
from mbmf_ros.robots.disturbance import Disturbance, DisturbanceConfig
from mbmf_ros.robots.sim import Simulation
from mbmf_ros.threads import one_thread

LAP_M = ((2.0, 0.0), (2.0, 2.0), (0.0, 2.0), (0.0, 0.0))
LAPS = 200
LOOK_S = 0.5  # between two looks at what came
PART_S = 60.0  # means are over the last minute as built, and the first and last one changed
COLUMNS = (
    *(
        "change",
        "learns",
        "seed",
        "noticed_after_s",
        "false_alarms",
        "models",
        "refused",
        "falls_usual",
        "falls_changed",
    ),
    *("cross_track_usual_m", "cross_track_first_minute_m", "cross_track_last_minute_m", "falls_last_minute"),
)


@dataclass(frozen=True)
class ChangedRobot:
    """A robot that changes while it walks."""

    out: Path
    """Folder of the results."""
    robot: str = "ant"
    """Robot."""
    changes: tuple[str, ...] = ("none", "weak_motor", "lost_leg", "payload", "heavy", "slippery", "icy")
    """Which changes."""
    seeds: int = 3
    """Runs per change, with and without learning."""
    usual_s: float = 120.0
    """Time as built [s]."""
    after_s: float = 180.0
    """Time changed [s]."""
    learning: ContinualConfig = field(default_factory=ContinualConfig)
    """When and how to learn."""


def change_of(name: str, spec: RobotSpec, mass_kg: float, seed: int) -> DisturbanceConfig:
    """What changes: another motor, or leg of two motors, for every seed; half of the robot's mass, or heavy: all of it.

    Raises:
        MbmfError: there is no such change.
    """
    weak, lost = np.ones((2, spec.nu))
    weak[(3 * seed + 1) % spec.nu] = 0.3
    leg = seed % (spec.nu // 2)
    lost[2 * leg : 2 * leg + 2] = 0.0
    known = {
        "none": DisturbanceConfig(),
        "weak_motor": DisturbanceConfig(motor_strength=tuple(weak)),
        "lost_leg": DisturbanceConfig(motor_strength=tuple(lost)),
        "payload": DisturbanceConfig(payload_kg=0.5 * mass_kg),
        "heavy": DisturbanceConfig(payload_kg=mass_kg),
        "slippery": DisturbanceConfig(floor_friction_scale=0.3),
        "icy": DisturbanceConfig(floor_friction_scale=0.1),
    }
    if name not in known:
        raise unknown("change", name, known)
    return known[name]


class Learner:
    """The learner node's decisions and trainings, one after the other with the robot's steps.

    Args:
        spec: the robot.
        model: in force at first.
        config: when and how to learn.
        learns: else it watches only.
        seed: of everything random.
    """

    def __init__(self, spec: RobotSpec, model: Dynamics, config: ContinualConfig, learns: bool, seed: int):
        self.model, self.learns, self.base = model, learns, RefitConfig(seed=seed)
        self.models = self.refused = 0
        self._continual = Continual(spec, config)
        self._continual.begin(model)
        self._spec = spec
        self._behind: dict[str, float] = {}
        self._measured: list[list[np.ndarray]] = []
        self._applied: list[list[np.ndarray]] = []

    @property
    def detector(self) -> ChangeDetector:
        """What tells that the robot has changed."""
        return self._continual.detector

    def begin(self, m: np.ndarray) -> None:
        """The robot was put to ``m`` (nm,)."""
        self._measured.append([m])
        self._applied.append([])

    def take(self, action: np.ndarray, m: np.ndarray) -> None:
        """``action`` (nu,) led to ``m`` (nm,)."""
        before = self._measured[-1][-1]
        self._measured[-1].append(m)
        self._applied[-1].append(action)
        self._continual.take(Episode(np.stack([before, m]), action[None], "log"))

    def look(self) -> tuple[bool, bool]:
        """Whether a change was noticed just now, and whether there is another model."""
        noticed = self._continual.watch()
        if not self.learns or self._continual.until_training:
            return noticed, False
        pairs = zip(self._measured, self._applied, strict=True)
        episodes = [Episode(np.stack(m), np.stack(u), "log") for m, u in pairs if u]
        settings = self._continual.settings(self.base)
        self._continual.started()
        store = moving(TransitionStore(self._spec, episodes))
        model, _, judgement = refit(store, self.model, settings, behind=self._behind)
        self._continual.ended(judgement.accepted)
        self.models += judgement.accepted
        self.refused += not judgement.accepted
        if judgement.accepted:
            self.model, self._behind = model, judgement.behind
            self._continual.begin(model)
        return noticed, judgement.accepted


def walk(config: ChangedRobot, name: str, seed: int, learns: bool) -> dict[str, Any]:
    """One run."""
    spec = robot(config.robot)
    simulation = Simulation(spec)
    disturbance = Disturbance(simulation)
    change = change_of(name, spec, float(simulation.model.body_mass.sum()), seed)
    model, _ = load_model(default_model_path(spec), spec)
    controller = make_controller(spec, preset("default", spec), seed=seed)
    controller.swap(model, 1)
    learner = Learner(spec, model, config.learning, learns, seed)
    usual, steps = (round(seconds / spec.dt_s) for seconds in (config.usual_s, config.usual_s + config.after_s))
    look = max(1, round(LOOK_S / spec.dt_s))
    noticed, fell, cross_track = [], [], np.empty(steps)
    surprise, learnable = np.full((2, steps), np.nan)
    starts, version, m, tracker = itertools.count(1000 * seed), 1, None, None
    for step in range(steps):
        if step == usual:
            disturbance.apply(change)
        if m is None or tracker is None:
            m = simulation.reset(start_of(spec, next(starts)))
            learner.begin(m)
            pose = planar_pose(m)
            path = WalkedPath.from_waypoints(np.array(pose[:2]), to_odom(np.array(LAP_M * LAPS), pose))
            tracker = PathTracker(path, spec.paths.reach_m, spec.paths.goal_reach_m)
            controller.reset()
            controller.set_path(path)
        action = controller.act(m).action
        m = simulation.step(action)
        learner.take(action, m)
        tracker.update(m[:2])
        cross_track[step] = tracker.cross_track_m
        if spec.fallen(m):
            fell.append(step)
            m = None
        if (step + 1) % look == 0:
            told, learned = learner.look()
            surprise[step], learnable[step] = learner.detector.surprise, learner.detector.learnable
            noticed += [step + 1] if told else []
            if learned:
                version += 1
                controller.swap(learner.model, version)
    part = round(PART_S / spec.dt_s)
    right = [step for step in noticed if step > usual and name != "none"]
    return {
        "change": name,
        "learns": learns,
        "seed": seed,
        "noticed_after_s": (right[0] - usual) * spec.dt_s if right else None,
        "false_alarms": len(noticed) - len(right),
        "surprise_usual": _highest(surprise[:usual]),
        "surprise_changed": _highest(surprise[usual:]),
        "learnable_usual": _highest(learnable[:usual]),
        "learnable_changed": _highest(learnable[usual:]),
        "models": learner.models,
        "refused": learner.refused,
        "falls_usual": sum(step < usual for step in fell),
        "falls_changed": sum(step >= usual for step in fell),
        "falls_last_minute": sum(step >= steps - part for step in fell),
        "cross_track_usual_m": float(cross_track[max(0, usual - part) : usual].mean()),
        "cross_track_first_minute_m": float(cross_track[usual : usual + part].mean()),
        "cross_track_last_minute_m": float(cross_track[max(usual, steps - part) :].mean()),
    }


def _highest(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else None


def main(config: ChangedRobot) -> int:
    """Run what has no result yet, then write the table; the exit code."""
    one_thread()
    console = Console(stderr=True)
    config.out.mkdir(parents=True, exist_ok=True)
    for seed, name, learns in itertools.product(range(config.seeds), config.changes, (False, True)):
        file = config.out / f"{config.robot}_{name}_{'learns' if learns else 'as_it_is'}_{seed}.json"
        if file.is_file():
            continue
        console.print(f"{name}, {'learning' if learns else 'with the model as it is'}, seed {seed}")
        row = walk(config, name, seed, learns)
        command = " ".join(["python -m mbmf_ros.experiments.changed_robot", *sys.argv[1:]])
        file.write_text(json.dumps({**row, "revision": revision(), "command": command}, indent=1) + "\n")
        console.print(_line(row))
    rows = [json.loads(file.read_text()) for file in sorted(config.out.glob(f"{config.robot}_*.json"))]
    write_table(config.out / "changed_robot.csv", COLUMNS, rows)
    return 0


def _line(row: Mapping[str, Any]) -> str:
    after = "not noticed" if row["noticed_after_s"] is None else f"noticed after {row['noticed_after_s']:.1f} s"
    return (
        f"  {after}, {row['false_alarms']} false alarms; {row['falls_changed']} falls; cross-track "
        f"{row['cross_track_usual_m']:.3f} m, then {row['cross_track_first_minute_m']:.3f}, in the end "
        f"{row['cross_track_last_minute_m']:.3f}"
    )


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(ChangedRobot, description=__doc__)))
    except MbmfError as error:
        sys.exit(f"error: {error}")
