"""The whole graph for an hour, learning and walking: does it leak, does it get late?

    python -m mbmf_ros.experiments.soak --out results/soak --minutes 60

It brings up what ``mbmf up ant_sim --learn`` brings up, gives the robot waypoints again and again, and samples what
every process needs. It writes ``soak.csv`` (a row per process and sample), ``traffic.csv`` (what the robot did) and
``soak.json`` (numbers and verdicts; :mod:`mbmf_ros.experiments.soak_analysis` says how growth is judged).

The learner's memory of transitions is bounded and fills once: it is set small, so that it is full long before anything
is judged. Training processes come and go; they are sampled, and not judged. Exit code 1: a verdict is no.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shlex
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from mbmf_ros.bringup import Role, environment
from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments.processes import children_of, needs_of
from mbmf_ros.experiments.provenance import revision
from mbmf_ros.experiments.soak_analysis import CHILD, CLIENT, analyse
from mbmf_ros.supervisor import Command, Supervisor
from mbmf_ros.up import UpConfig, plan

COLUMNS = ("t_s", "program", "pid", "rss_mb", "own_mb", "threads", "files", "cpu_s")


@dataclass(frozen=True)
class Soak:
    """Run the whole graph for long, and look at what it needs."""

    out: Path
    """Folder of the results."""
    minutes: float = 60.0
    """How long [min]."""
    settle_minutes: float = 10.0
    """Growth is judged after that [min]."""
    sample_s: float = 10.0
    """Between two samples [s]."""
    seed: int = 0
    """Of the graph and of the waypoints."""
    graph: str = "ant_sim --learn"
    """What is brought up, as `mbmf up` takes it."""
    cockpit: bool = False
    """Serve the cockpit as well."""
    max_transitions: int = 6000
    """That the learner keeps in memory: at 20 per second full after five minutes."""
    params_file: Path | None = None
    """Parameters of the nodes; --max-transitions is the caller's business then."""
    reach: float = 1.5
    """Distance between waypoints [m]."""
    range: float = 8.0
    """Beyond this distance from the origin waypoints lead back [m]."""


def main(config: Soak) -> int:
    """Run it; the exit code is 0 if every verdict is yes."""
    if not 0 < 3 * config.settle_minutes <= config.minutes:
        raise MbmfError(f"--settle-minutes: expected at most a third of --minutes, got {config.settle_minutes:g}")
    config.out.mkdir(parents=True, exist_ok=True)
    samples, traffic = config.out / "soak.csv", config.out / "traffic.csv"
    with tempfile.TemporaryDirectory(prefix="mbmf_ros_soak_") as scratch:
        commands = _commands(config, Path(scratch), traffic)
        supervisor = Supervisor(commands)
        with samples.open("w", newline="", encoding="utf-8") as out:
            sampler = Sampler(supervisor, out, config.sample_s)
            sampler.start()
            try:
                code = supervisor.run()
            finally:
                sampler.stop()
    if code != 0:
        raise MbmfError(f"the graph ended with exit code {code}; what its nodes said stands above")
    facts = {
        **analyse(_rows(samples), _rows(traffic), 60 * config.settle_minutes),
        "niceness": os.nice(0),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "revision": revision(),
        "command": " ".join(["python -m mbmf_ros.experiments.soak", *sys.argv[1:]]),
        "config": {key: str(value) for key, value in dataclasses.asdict(config).items() if key != "out"},
    }
    (config.out / "soak.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in facts.items() if key != "programs"}, indent=1))
    return 0 if all(facts["verdicts"].values()) else 1


def _commands(config: Soak, scratch: Path, traffic: Path) -> list[Command]:
    """The graph, and the client, with which everything ends."""
    parameters = config.params_file or scratch / "soak.yaml"
    if config.params_file is None:
        learner = {"ros__parameters": {"max_transitions": config.max_transitions}}
        parameters.write_text(json.dumps({"/**/dynamics_learner": learner}), encoding="utf-8")
    asked = tyro.cli(UpConfig, args=shlex.split(config.graph))
    up = dataclasses.replace(
        asked,
        headless=not config.cockpit,
        demo=False,
        seed=config.seed,
        record=str(scratch / "log"),
        params_file=str(parameters),
    )
    commands, _ = plan(up)
    what = {
        "csv": str(traffic),
        "seconds": 60 * config.minutes,
        "sample_s": config.sample_s,
        "seed": config.seed,
        "reach": config.reach,
        "range": config.range,
    }
    argv = (sys.executable, "-m", "mbmf_ros.soak_client", json.dumps(what), "--ros-args")
    extra = {**commands[0].environment, **environment()}
    return [*commands, Command(CLIENT, argv, Role(restarts=0, required=True), extra, leads=True)]


class Sampler(threading.Thread):
    """Writes what the programs of a supervisor need, again and again.

    Args:
        supervisor: of the programs.
        out: where the rows go.
        period_s: between two samples.
    """

    def __init__(self, supervisor: Supervisor, out: Any, period_s: float):
        super().__init__(name="sampler", daemon=True)
        self._supervisor, self._period_s, self._flush = supervisor, period_s, out.flush
        self._rows: csv.DictWriter[str] = csv.DictWriter(out, COLUMNS)
        self._rows.writeheader()
        self._enough = threading.Event()

    def stop(self) -> None:
        """Sample no more."""
        self._enough.set()
        self.join()

    def run(self) -> None:
        """Until it is enough."""
        started = time.monotonic()
        while not self._enough.wait(self._period_s):
            t_s = time.monotonic() - started
            for pid, name in self._supervisor.running.items():
                self._sample(t_s, name, pid)
                for child in children_of(pid):
                    self._sample(t_s, f"{name} {CHILD}", child)
            self._flush()

    def _sample(self, t_s: float, program: str, pid: int) -> None:
        needs = needs_of(pid)
        if needs is not None:
            values = {key: round(value, 2) for key, value in vars(needs).items()}
            self._rows.writerow({"t_s": round(t_s, 1), "program": program, "pid": pid, **values})


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Soak, description=__doc__)))
    except MbmfError as error:
        sys.exit(f"error: {error}")
