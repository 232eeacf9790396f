"""The graphs that the tests of this folder break, one at a time; each is brought up once for the tests of a file."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

# At its usual 1 m/s the ant falls by itself about once in ten minutes of sharp turns, which is not the faults' doing.
STEADY = "/**/mpc_controller:\n  ros__parameters:\n    follow_path: {speed_cap_mps: %g}\n"
# So that a busy computer, with tests beside it, does not fail what it does not test. Where every third answer is late,
# the ant fell after 3 of 1000 jumps of its clock at 0.5 m/s, after none at 0.3.
QUICK = "    icem: {batch_size: 64, time_steps: 12}\n"
UNHURRIED = {"rate": 50.0, "max_age": 0.15}
DISK_MB = 48
OTHERS = {"mpc_controller", "dynamics_learner", "waypoints", "display"}
SIMULATED, REAL = OTHERS | {"sim_bridge", "cockpit"}, OTHERS | {"hardware_bridge", "hardware_stand_in"}
_ALONE = ("unshare", "--map-root-user", "--mount")


class Graphs:
    """Brings up what is asked for, and takes down what was up before.

    Attributes:
        disk: the graph's own small disk; None: it has none.
        log: where the graph logs.
        log_may_have_gaps: the test at hand kills who logs.
    """

    def __init__(self, folder: Path):
        self._folder, self._kind, self._graph = folder, "", None
        self.disk: Path | None = None
        self.log = folder
        self.log_may_have_gaps = False

    def get(self, kind: str) -> Any:
        """The graph ``sim`` or ``real``, walking."""
        if self._graph is not None and (kind != self._kind or self._graph.process.poll() is not None):
            self.close()
        if self._graph is None:
            self._kind, self._graph = kind, self._simulated() if kind == "sim" else self._real()
        return self._graph

    def _home(self, parameters: str) -> Path:
        home = self._folder / f"home{len(list(self._folder.iterdir()))}"
        (home / "disk").mkdir(parents=True)
        (home / "params.yaml").write_text(parameters)
        return home

    def _simulated(self) -> Any:
        """The simulated ant; it logs to a small disk, where the kernel lets us mount one for it."""
        from fault_graph import FaultGraph

        home = self._home(STEADY % 0.5)
        mount = f'mount -t tmpfs -o size={DISK_MB}m tmpfs {home / "disk"} && exec "$@"'
        wrap = (*_ALONE, "sh", "-c", mount, "sh")
        may = subprocess.run([*wrap, "true"], capture_output=True, check=False).returncode == 0
        words = ["ant_sim", "--demo", "False", "--cockpit-port", "0", "--record", str(home / "disk" / "log")]
        # What is judged is counted in the robot's own control periods. There is time for the planner as it is: with
        # fewer candidates the ant falls now and then by itself.
        words += ["--real-time-factor", "0.5", "--params-file", str(home / "params.yaml")]
        graph = FaultGraph(words, home, "sim_bridge", wrap if may else ())
        seen = Path(f"/proc/{graph.process.pid}/root{home / 'disk'}") if may else home / "disk"
        self.disk, self.log = seen if may else None, seen / "log"
        return graph

    def _real(self) -> Any:
        """The ant's stand-in behind the hardware bridge."""
        from fault_graph import FaultGraph

        from mbmf_ros.config import load_yaml
        from mbmf_ros.shared_files import shared_file

        home = self._home(STEADY % 0.3 + QUICK)
        content = load_yaml(shared_file("config", "hardware", "ant_stand_in.yaml"))
        for name in ("joint_states", "imu", "pose"):
            content[name] |= UNHURRIED
        content |= {"safety": {"ramp": 0.2}, "jump": {"distance": 0.5}}
        (home / "robot.yaml").write_text(yaml.safe_dump(content))
        words = ["hardware", "--config", str(home / "robot.yaml"), "--stand-in", "--headless"]
        words += ["--record", str(home / "disk" / "log"), "--params-file", str(home / "params.yaml")]
        self.disk, self.log = None, home / "disk" / "log"
        return FaultGraph(words, home, "hardware_bridge")

    def close(self) -> None:
        if self._graph is not None:
            self._graph.close()
            self._graph = None


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graphs]:
    """See the class."""
    graphs = Graphs(tmp_path_factory.mktemp("faults"))
    yield graphs
    graphs.close()


@pytest.fixture(scope="session")
def draw() -> random.Random:
    """For moments that no one chose; the seed is told where a test fails."""
    print(f"moments drawn with seed {os.getpid()}")
    return random.Random(os.getpid())


@pytest.fixture
def sim(graphs: Graphs) -> Iterator[Any]:
    """The simulated ant, walking. After the test: everything in the log is paired rightly, by physics."""
    from pairs import check_physics, logged, stamp_s

    graph = graphs.get("sim")
    graph.until(lambda: graph.status.keys() >= SIMULATED, "every node", timeout_s=120)
    graph.walk()
    begun_s = graph.ticks[-1].stamp_s
    graphs.log_may_have_gaps = False
    yield graph
    heard = {tick.stamp_s for tick in graph.ticks if tick.stamp_s >= begun_s}
    states: list[Any] = []

    def complete() -> bool:
        states[:] = logged(graphs.log, begun_s)
        there = {stamp_s(state) for state in states}
        return max(there, default=0.0) >= max(heard) if graphs.log_may_have_gaps else heard <= there

    graph.until(complete, "the log of what was heard")
    print(f"{check_physics(states)} logged transitions replayed by physics")


@pytest.fixture
def real_to_lose(graphs: Graphs) -> Any:
    """The stand-in behind the hardware bridge, walking; the test may end it all."""
    from std_srvs.srv import SetBool, Trigger

    from mbmf_ros.msg import RobotState

    graph = graphs.get("real")
    graph.until(lambda: graph.status.keys() >= REAL and graph.ticks, "every node, and a state", timeout_s=120)
    if graph.last.status == RobotState.STATUS_TRIPPED:  # it fell in a test before, which fails for that; not this one
        assert graph.call(Trigger, "hardware_stand_in/reset").success
        graph.until(lambda: graph.call(Trigger, "hardware_bridge/clear_estop").success, "a robot on its legs")
        graph.until(lambda: graph.last.status != RobotState.STATUS_TRIPPED, "a robot that may be enabled")
    if graph.last.status == RobotState.STATUS_DISABLED:
        graph.until(lambda: graph.call(SetBool, "hardware_bridge/enable", data=True).success, "being enabled")
    graph.walk()
    return graph


@pytest.fixture
def real(graphs: Graphs, real_to_lose: Any) -> Iterator[Any]:
    """The same, to stay. After the test: what is logged is what was commanded."""
    from pairs import check_commands, logged, stamp_s

    from mbmf_ros.hardware.config import load_hardware

    graph = real_to_lose
    begun_s, commands = graph.ticks[-1].stamp_s, len(graph.commands)
    graphs.log_may_have_gaps = False
    yield graph
    heard_s = graph.ticks[-1].stamp_s

    def complete() -> bool:
        there = {stamp_s(state) for state in logged(graphs.log, begun_s)}
        return max(there, default=0.0) >= heard_s if graphs.log_may_have_gaps else heard_s in there

    graph.until(complete, "the log")
    hardware = load_hardware(graphs.log.parent.parent / "robot.yaml")
    checked = check_commands(
        logged(graphs.log, begun_s), [each for each, _ in graph.commands[max(0, commands - 5) :]], hardware
    )
    print(f"{checked} logged transitions found among the commands")


@pytest.fixture(scope="session")
def record() -> Callable[[dict[str, Any]], None]:
    """Keeps what was measured in the file that MBMF_FAULT_TIMES names, if it names one."""
    from mbmf_ros.experiments.provenance import revision

    file, facts = os.environ.get("MBMF_FAULT_TIMES"), {"revision": revision(), "measured": []}

    def keep(numbers: dict[str, Any]) -> None:
        facts["measured"].append(numbers)
        if file:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    return keep


@pytest.fixture
def measured(request: pytest.FixtureRequest, record: Callable[[dict[str, Any]], None]) -> Callable[..., None]:
    """Tells what a fault did, in numbers whose names have units, in the test's output and on record."""

    def tell(fault: str, **numbers: float) -> None:
        told = {name: round(number, 2) for name, number in numbers.items()}
        print(f"{fault}: {', '.join(f'{name} {number}' for name, number in told.items())}")
        record({"test": request.node.name, "fault": fault, **told, "load": round(os.getloadavg()[0], 1)})

    return tell


@pytest.fixture
def moment(draw: random.Random) -> Any:
    """Waits for a random moment of a random control period of a graph."""

    def wait(graph: Any) -> None:
        import time

        graph.reach(draw.randint(1, 30))
        graph.until(lambda: graph.walking and graph.ticks[-1].applied.any(), "a robot in motion")
        later = time.monotonic() + draw.uniform(0.0, 0.05)
        graph.until(lambda: time.monotonic() >= later, "the moment")

    return wait
