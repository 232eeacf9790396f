"""The ant's graph on two machines: bridge, controller and waypoints on one, the learner on the other."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machines import Machine

from mbmf_ros.data.read_log import read_log
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.io import default_model_path, load_model, save_model
from mbmf_ros.msg import RobotState
from mbmf_ros.robots import robot

SPEC = robot("ant")
PERIODS_PER_S = 10.0  # half real time: a computer that does a hundred other things answers in time all the same
STARTS_S = 90.0
PARAMETERS = """
/**/sim_bridge:
  ros__parameters:
    real_time_factor: 0.5
/**/mpc_controller:
  ros__parameters:
    follow_path: {{speed_cap_mps: 0.5}}
/**/dynamics_learner:
  ros__parameters:
    save_path: {model}
"""


class Watch:
    """What a watcher (watcher.py) tells; a thread reads it.

    Attributes:
        said: all of it, oldest first.
    """

    def __init__(self, process: subprocess.Popen[str]):
        self.said: list[dict[str, Any]] = []
        self._process, self._news = process, threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._news:
                self.said.append(json.loads(line))
                self._news.notify_all()

    def newest(self, key: str, otherwise: Any = None) -> Any:
        """The last value told under a name."""
        return next((said[key] for said in reversed(self.said) if key in said), otherwise)

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float) -> None:
        """Wait; fails when that takes too long."""
        with self._news:
            assert self._news.wait_for(condition, timeout_s), f"{what}: not within {timeout_s:g} s"

    def call(self, service: str) -> dict[str, Any]:
        """The answer of a service."""
        count = len(self.said)
        assert self._process.stdin
        self._process.stdin.write(f"{service}\n")
        self.until(lambda: any("answer" in said for said in self.said[count:]), f"an answer of {service}", 20)
        return next(said for said in self.said[count:] if "answer" in said)


class SplitGraph:
    """The graph, and what both ends tell of it."""

    def __init__(self, robot_machine: Machine, workstation: Machine, folder: Path):
        self.robot_machine, self.workstation = robot_machine, workstation
        self.log = workstation.home / "log"
        self._model_file = workstation.home / "model.safetensors"
        robot_machine.hide(workstation.home)
        workstation.hide(robot_machine.home)
        parameters = folder / "parameters.yaml"
        parameters.write_text(PARAMETERS.format(model=self._model_file))
        watcher = str(Path(__file__).with_name("watcher.py"))
        self.robot = Watch(robot_machine.start(sys.executable, watcher, "robot"))
        self.learner = Watch(workstation.start(sys.executable, watcher, "workstation"))
        up = (sys.executable, "-m", "mbmf_ros.cli", "up", "ant_sim", "--headless", "--discovery", "subnet")
        common = (*up, "--params-file", str(parameters))
        outputs = folder / "robot.txt", folder / "workstation.txt"
        robot_machine.start(*common, "--without", "dynamics_learner,display", out=outputs[0])
        workstation.start(*common, "--only", "dynamics_learner", "--record", str(self.log), out=outputs[1])
        self.robot.until(lambda: self.walked_m(self.states) > 0.5, "walking", STARTS_S)
        self.learner.until(lambda: self.logged > 20, "states at the learner", STARTS_S)

    @property
    def states(self) -> list[dict[str, Any]]:
        """Every state as the robot published it, without repetitions."""
        return list({(s["episode"], s["tick"]): s for s in self.robot.said if "tick" in s}.values())

    @property
    def logged(self) -> int:
        """Transitions that the learner has."""
        return self.learner.newest("logged", 0)

    def lives(self, ticks: int) -> list[dict[str, Any]]:
        """The states of so many control periods from now on; fails when they take more than twice as long."""
        before = len(self.states)
        self.robot.until(lambda: len(self.states) >= before + ticks, "the robot lives", 2 * ticks / PERIODS_PER_S)
        return self.states[before:]

    def new_model(self) -> int:
        """Give the learner another model, which walks as the shipped one does; its version."""
        model, info = load_model(default_model_path(SPEC), SPEC)
        version = self.learner.newest("version", 0)
        with torch.no_grad():
            for weights in model.parameters():
                weights *= 1 + 1e-6 * (version + 1)
        save_model(self._model_file, model, info)
        answer = self.learner.call("dynamics_learner/load")
        assert answer["success"], answer
        return version + 1

    def until_used(self, version: int, timeout_s: float) -> float:
        """Wait until the controller plans with this version of the model; when that was."""
        self.robot.until(lambda: self.robot.newest("model_used") == version, f"version {version} is used", timeout_s)
        return next(said["at"] for said in self.robot.said if said.get("model_used") == version)

    @staticmethod
    def walked_m(states: list[dict[str, Any]]) -> float:
        """The length of the way of consecutive states."""
        pairs = itertools.pairwise(states)
        return sum(math.dist(a["m"][:2], b["m"][:2]) for a, b in pairs if a["episode"] == b["episode"])

    @staticmethod
    def late_share(states: list[dict[str, Any]]) -> float:
        """The share of control periods without an answer in time."""
        sources = [state["source"] for state in states if state["tick"] > 0]
        return sum(source != RobotState.SOURCE_CONTROLLER for source in sources) / len(sources)

    def checked_log(self) -> TransitionStore:
        """What the log on the workstation gives; each transition is compared with what the robot lived through."""
        contents = read_log(self.log, SPEC)
        newest = contents.store.episodes[-1].measurements[-1].tolist()
        told = lambda: any(state["m"] == newest for state in self.states)  # noqa: E731
        self.robot.until(told, "the newest logged state is told on the robot too", 20)
        true = {tuple(state["m"]): state for state in self.states}
        for number, episode in enumerate(contents.store.episodes):
            logged = [tuple(m) for m in episode.measurements.tolist()]
            unseen = next(i for i, m in enumerate(logged) if m in true) if number == 0 else 0  # before anybody listened
            lived = [true[m] for m in logged[unseen:]]
            first = lived[0]
            assert [s["episode"] for s in lived] == [first["episode"]] * len(lived)
            assert [s["tick"] for s in lived] == list(range(first["tick"], first["tick"] + len(lived)))
            assert episode.actions[unseen:].tolist() == [s["applied"] for s in lived[1:]]
        return contents.store


def now() -> float:
    """As the watchers tell the time [s]."""
    return time.monotonic()
