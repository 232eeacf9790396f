"""The launch file, under ROS 2's own launch; what stands behind it is tested in test_bringup.py."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mbmf_ros.arguments import argument_texts

launch = pytest.importorskip("launch", reason="ROS 2's launch is not on PyPI")
pytest.importorskip("launch_ros", reason="ROS 2's launch_ros is not on PyPI")

FILE = Path(__file__).resolve().parent.parent / "launch" / "ant_sim.launch.py"
HARDWARE_FILE = FILE.with_name("hardware.launch.py")
NODES = ["sim_bridge", "mpc_controller", "dynamics_learner", "waypoints", "display", "cockpit"]
HARDWARE_NODES = ["hardware_bridge", *NODES[1:], "hardware_stand_in"]
PROGRAMS = [*NODES, "hardware_bridge", "hardware_stand_in"]


@pytest.fixture(autouse=True)
def packages(tmp_path_factory, monkeypatch):
    """A prefix with what the launch file runs: this package's nodes, unless they are installed, and an RViz."""
    root = tmp_path_factory.mktemp("prefix")
    before = os.environ.get("AMENT_PREFIX_PATH", "")
    programs = {"rviz2": {"rviz2": "signal.pause()"}}
    if not any((Path(prefix) / "lib/mbmf_ros/sim_bridge").exists() for prefix in before.split(os.pathsep)):
        programs["mbmf_ros"] = {n: f"from mbmf_ros.nodes.{n} import main; sys.exit(main())" for n in PROGRAMS}
    for package, codes in programs.items():
        for folder in ("share/ament_index/resource_index/packages", f"lib/{package}", "bin"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "share/ament_index/resource_index/packages" / package).touch()
        for name, code in codes.items():
            program = root / "lib" / package / name
            program.write_text(f"#!{sys.executable}\nimport signal, sys\n{code}\n")
            program.chmod(0o755)
    (root / "bin/rviz2").symlink_to(root / "lib/rviz2/rviz2")
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join([str(root), *filter(None, [before])]))
    monkeypatch.setenv("PATH", os.pathsep.join([str(root / "bin"), os.environ["PATH"]]))


def load(file: Path) -> Any:
    """The description that a launch file makes."""
    loaded = importlib.util.spec_from_file_location(file.name.replace(".", "_"), file)
    assert loaded
    assert loaded.loader
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    return module.generate_launch_description()


@pytest.fixture
def description():
    return load(FILE)


class Started:
    """What the launch file starts when it is given arguments."""

    def __init__(self, description: Any, monkeypatch: pytest.MonkeyPatch, **arguments: str):
        self.commands: dict[str, str] = {}  # node -> command line, and the parameter files that launch wrote for it
        self.logs: list[str] = []
        context = launch.LaunchContext(argv=[f"{name}:={text}" for name, text in arguments.items()])
        context.launch_configurations.update(arguments)

        def note(node: Any, context: Any) -> None:
            node.prepare(context)
            words = node.process_description.final_cmd
            files = [Path(word).read_text() for word in words if "/launch_params" in word]
            self.commands[Path(words[0]).name] = "\n".join([" ".join(words), *files])

        monkeypatch.setattr(launch.actions.ExecuteLocal, "execute", note)
        for entity in description.entities:
            for action in entity.visit(context) or []:
                if isinstance(action, launch.actions.LogInfo):
                    self.logs.append(launch.utilities.perform_substitutions(context, action.msg))
                else:
                    action.visit(context)


def test_the_defaults_start_the_graph(description, monkeypatch):
    started = Started(description, monkeypatch)
    assert list(started.commands) == NODES
    assert started.logs == []


def test_every_argument_is_declared(description):
    declared = [
        action.name for action in description.entities if isinstance(action, launch.actions.DeclareLaunchArgument)
    ]
    assert declared == [name for name, _, _ in argument_texts()]


@pytest.mark.parametrize(
    ("name", "text", "node", "expected"),
    [
        ("namespace", "lab/robot1", "waypoints", "__ns:=/lab/robot1"),
        ("use_sim_time", "false", "waypoints", "use_sim_time: false"),
        ("use_sim_time", "true", "waypoints", "use_sim_time: true"),
        ("use_sim_time", "true", "sim_bridge", "use_sim_time: false"),
        ("params_file", "{tmp}/params.yaml", "mpc_controller", "--params-file {tmp}/params.yaml"),
        ("model_path", "{tmp}/m.safetensors", "mpc_controller", "model_path: {tmp}/m.safetensors"),
        ("model_path", "{tmp}/m.safetensors", "dynamics_learner", "model_path: {tmp}/m.safetensors"),
        ("planner", "mppi", "mpc_controller", "planner: mppi"),
        ("controller", "policy", "mpc_controller", "controller: policy"),
        ("controller", "policy", "waypoints", "demo: false"),
        ("seed", "5", "sim_bridge", "seed: 5"),
        ("seed", "5", "mpc_controller", "seed: 5"),
        ("demo", "false", "waypoints", "demo: false"),
        ("sync_mode", "true", "sim_bridge", "sync_mode: true"),
        ("publish_clock", "false", "sim_bridge", "publish_clock: false"),
        ("real_time_factor", "2", "sim_bridge", "real_time_factor: 2.0"),
        ("cockpit_port", "8123", "cockpit", "port: 8123"),
        ("record", "{tmp}/log", "dynamics_learner", "log_dir: {tmp}/log"),
        ("log_level", "debug", "display", "--log-level debug"),
    ],
)
def test_arguments_reach_the_nodes(description, monkeypatch, tmp_path, name, text, node, expected):
    (tmp_path / "params.yaml").write_text("/**/mpc_controller:\n  ros__parameters:\n    seed: 1\n")
    (tmp_path / "m.safetensors").touch()
    started = Started(description, monkeypatch, **{name: text.format(tmp=tmp_path)})
    assert expected.format(tmp=tmp_path) in started.commands[node]


@pytest.mark.parametrize(
    "arguments", [{"headless": "true"}, {"cockpit": "false"}, {"headless": "true", "rviz": "true"}]
)
def test_headless_leaves_windows_out(description, monkeypatch, arguments):
    assert list(Started(description, monkeypatch, **arguments).commands) == NODES[:-1]


def test_without_a_display_one_message_and_everything_else(description, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    started = Started(description, monkeypatch, rviz="true")
    assert list(started.commands) == NODES
    assert len(started.logs) == 1


def test_rviz_takes_the_file_that_was_chosen(description, monkeypatch, tmp_path):
    monkeypatch.setenv("DISPLAY", ":0")
    mine = tmp_path / "mine.rviz"
    mine.touch()
    started = Started(description, monkeypatch, rviz="true", rviz_config=str(mine), namespace="robot1")
    assert list(started.commands) == [*NODES, "rviz2"]
    assert f"-d {mine}" in started.commands["rviz2"]
    assert "__ns:=/robot1" in started.commands["rviz2"]


def test_rviz_takes_our_file_by_default(description, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    assert "config/ant_sim.rviz" in Started(description, monkeypatch, rviz="true").commands["rviz2"]


def test_one_argument_swaps_the_simulator_for_hardware(description, monkeypatch):
    swapped = Started(description, monkeypatch, bridge="hardware", config="ant_stand_in")
    assert list(swapped.commands) == HARDWARE_NODES[:-1]
    assert "bridge: hardware_bridge" in swapped.commands["cockpit"]


def test_the_hardware_launch_file_brings_up_bridge_and_stand_in(monkeypatch):
    started = Started(load(HARDWARE_FILE), monkeypatch, robot="ant", config="ant_stand_in", stand_in="true")
    assert list(started.commands) == HARDWARE_NODES
    for node in ("hardware_bridge", "hardware_stand_in"):
        assert "config/hardware/ant_stand_in.yaml" in started.commands[node]
    assert all("use_sim_time: true" not in command for command in started.commands.values())


# Under `ros2 launch` --------------------------------------------------------------------------------------------------


@pytest.fixture
def ros2(tmp_path):
    """Starts `ros2 launch` on the file; all of it is stopped at the end."""
    program = shutil.which("ros2")
    assert program, "launch_ros is there, the command ros2 is not: install ros2launch (ros-<distro>-ros2launch)"
    made: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            **{"HOME": str(tmp_path), "ROS_DOMAIN_ID": str(1 + os.getpid() % 100), "PYTHONUNBUFFERED": "1"},
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        }
        made.append(
            subprocess.Popen(
                [sys.executable, program, "launch", str(FILE), *words],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        return made[-1]

    yield start
    for process in made:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize(
    ("word", "cause"),
    [
        ("rvis:=true", "unknown argument 'rvis' (did you mean 'rviz'?)"),
        ("planner:=icm", "unknown planner 'icm' (did you mean 'icem'?)"),
        ("params_file:=nowhere.yaml", "cannot read nowhere.yaml"),
        ("real_time_factor:=fast", "real_time_factor: expected a number, got 'fast'"),
    ],
)
def test_bad_input_is_one_message(ros2, word, cause):
    process = ros2(word)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert cause in out
    assert "Traceback" not in out


def read_until(process: subprocess.Popen[str], *texts: str) -> str:
    """The output up to where each of the texts has been seen."""
    assert process.stdout
    seen = ""
    for line in process.stdout:
        seen += line
        if all(text in seen for text in texts):
            return seen
    raise AssertionError(f"not all of {texts} came in:\n{seen}")


@pytest.mark.ros
def test_the_graph_comes_up_and_an_interrupt_ends_it(ros2):
    process = ros2("headless:=true", "namespace:=robot1", "record:=none", "demo:=false")
    # The nodes that say that they are up; another one may still be importing, and Python ends that with a traceback.
    seen = read_until(
        process,
        "[robot1.mpc_controller]: model ant.safetensors",
        "[robot1.sim_bridge]: simulating 'ant'",
        "[robot1.dynamics_learner]: version 1",
    )
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does; launch passes it on once more
    out, _ = process.communicate(timeout=60)
    for node in ("mpc_controller-2", "sim_bridge-1", "dynamics_learner-3"):
        assert f"[{node}] Traceback" not in seen + out
        assert f"[{node}]: process has finished cleanly" in out, out


@pytest.mark.ros
def test_the_death_of_the_bridge_brings_the_rest_down(ros2):
    process = ros2("headless:=true", "record:=none", "demo:=false")
    seen = read_until(process, "simulating 'ant'")
    pid = re.search(r"\[sim_bridge-1\]: process started with pid \[(\d+)\]", seen)
    assert pid, seen
    os.kill(int(pid[1]), signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    assert "nothing works without sim_bridge" in out


@pytest.mark.ros
def test_bad_input_of_a_node_is_not_tried_again(ros2, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("/**/waypoints:\n  ros__parameters:\n    demmo: true\n")
    process = ros2("headless:=true", "record:=none", f"params_file:={params}")
    out, _ = process.communicate(timeout=120)
    assert "did you mean 'demo'" in out
    assert "nothing works without waypoints, which ended with exit code 2: stopping everything" in out
    assert out.count("[waypoints-4]: process started") == 1


@pytest.mark.ros
def test_the_rest_goes_on_without_a_node_that_is_not_required(ros2, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("/**/display:\n  ros__parameters:\n    robott: ant\n")
    process = ros2("headless:=true", "record:=none", "demo:=false", f"params_file:={params}")
    seen = read_until(
        process,
        "display ended with exit code 2; going on without it",
        "[mpc_controller]: model ant.safetensors",  # imports PyTorch: seconds after a second try of the display
        "[dynamics_learner]: version 1",
    )
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (seen + out).count("[display-5]: process started") == 1
