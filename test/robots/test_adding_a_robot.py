"""docs/adding-a-robot.md is true: its robot is built, collects, trains, learns and drives, as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mbmf_ros import cli
from mbmf_ros.control.recipes import recipe
from mbmf_ros.dynamics.io import load_model
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import profile, registry, robot
from mbmf_ros.robots.sim import Simulation, build_model, start_measurement

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-robot.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The first block of code in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found
    return found.group(1)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the two files of the page; robots that a test names are forgotten after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_FILES", {})
    monkeypatch.setattr(registry, "_OWN", {})
    registry._load.cache_clear()
    Path("crawler.py").write_text(block("python"))
    Path("crawler.yaml").write_text(block("yaml"))
    return tmp_path


def test_its_commands_run(place: Path):
    """With less data than on the page."""
    fewer = {"4000": "1100", "20000": "600"}
    commands = [line.split() for line in block("console").splitlines() if line.startswith("mbmf ")]
    assert [command[1] for command in commands] == ["learn", "collect", "train"]
    settings = "iteration_steps=50 random_episode_steps=100 first.min_updates=20 refit.min_updates=20"
    settings += " planner_settings.batch_size=8 planner_settings.time_steps=3 planner_settings.iterations=1"
    for command in commands:
        words = [fewer.get(word, word) for word in command[1:]]
        more = {"learn": ["--episodes", "1", "--set", *settings.split(), "first.epochs=1", "refit.epochs=1"]}
        more |= {"train": ["--epochs", "1"]}
        assert cli.main([*words, *more.get(command[1], [])]) == 0
    result = json.loads(Path("crawler.json").read_text())
    assert (result["robot"], result["steps"]) == ("crawler", 1100)
    assert result["config"]["dynamics"]["hidden"] == 64  # of the YAML
    model, info = load_model(Path("crawler.safetensors"))  # by now the robot is known by its name
    assert (info.robot, info.transitions, model.members) == ("crawler", 600, 2)
    Path("paths.json").write_text('{"ahead": [[0.2, 0.0]]}')
    walk = [
        "--robot",
        "crawler.py",
        "--model",
        "crawler.safetensors",
        "--set",
        "planner.batch_size=8",
        "planner.time_steps=4",
    ]
    assert cli.main(["follow", "--paths", "paths.json", *walk, "--json", "walk.json"]) == 0
    assert json.loads(Path("walk.json").read_text())["summary"]["runs"] == 1


def test_its_robot_moves_as_a_robot_should(place: Path):
    spec = robot("crawler.py")
    simulation, rng = Simulation(spec), np.random.default_rng(0)
    m = simulation.reset(start_measurement(spec))
    assert not spec.fallen(m)
    moved = np.array([simulation.step(rng.uniform(-1, 1, spec.nu)) for _ in range(100)])
    assert np.ptp(moved[:, 0]) > 0.02
    assert not spec.fallen(moved).any()
    for name in ("body", "paper"):
        assert np.isfinite(profile(spec, name).encode(moved)).all()


def test_its_recipe_is_the_yaml_beside_it(place: Path):
    assert recipe(robot("crawler.py"), "forward").random_steps == 1000
    Path("crawler.yaml").write_text("forward: {random_stepz: 1}")
    with pytest.raises(MbmfError, match=r"crawler.yaml: .*random_steps"):
        recipe(robot("crawler.py"), "forward")
    Path("crawler.yaml").write_text("forward: 3")
    with pytest.raises(MbmfError, match=r"crawler.yaml: learning: expected a mapping"):
        recipe(robot("crawler.py"), "forward")


def test_a_file_in_the_package_is_found_by_its_name(place: Path, monkeypatch: pytest.MonkeyPatch):
    """In a copy of the list of modules, that is: the package itself is left alone."""
    package = Path(registry.__file__).parent
    (place / "robots").mkdir()
    for file in (*package.glob("*.py"), place / "crawler.py"):
        (place / "robots" / file.name).write_text(file.read_text())
    program = f"""
import mbmf_ros.robots as robots
robots.__path__.insert(0, {str(place / "robots")!r})
from mbmf_ros.robots import registry
registry.__file__ = {str(place / "robots" / "registry.py")!r}
print(robots.robot("crawler").nu, *registry.robot_names())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=package.parents[1])
    assert ended.stderr == ""
    nu, *names = ended.stdout.split()
    assert nu == "2"
    assert {"ant", "crawler", "hopper"} <= set(names)


def test_naming_robots_needs_no_mujoco():
    program = "import sys; from mbmf_ros.robots import robot; robot('hopper'); print('mujoco' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('JOINTS = ("shoulder", "elbow")', 'JOINTS = ("shoulder", "wrist")', "its model has no joint 'wrist'"),
        ("safe_action=(0.0, 0.0)", "safe_action=(0.0,)", "safe_action: expected 2 numbers, got 1"),
        ("dt_s=0.05", "dt_s=0.052", "expected a multiple of physics_dt_s"),
        ("physics_dt_s=0.005", "physics_dt_s=0.0", "expected a multiple of physics_dt_s"),
        ("min_up=0.0", "min_up=0.0, symmetries=(1,)", "symmetries: expected none"),
        ('base_body="', 'base_body="no_', "its model has no body 'no_"),
        ("actuated_joints=JOINTS", 'actuated_joints=("shoulder", "root_z")', "has no actuator on joint 'root_z'"),
        ('axis="0 1 0"/>', 'axis="0 1 0" pos="0 0 0.1"/>', "a hinge about y on the base, at its origin"),
        ('root="sagittal"', 'root="planar"', "root: expected free, sagittal, horizontal"),
        ('root="sagittal"', 'root="horizontal"', "expected slides along x and y"),
        ('name="crawler",', 'name="ant",', "there is a robot 'ant' already"),
        ('name="crawler",', 'name="my crawler",', "expected a name of letters"),
        ("SPECS = (", "ROBOTS = (", r"expected SPECS = \(RobotSpec"),
        ("import math", "import maths", "ModuleNotFoundError: No module named 'maths'"),
        ("MODEL = ", "MODEL == ", "NameError"),
        ("<worldbody>", "<worldbodi>", "is no valid MJCF"),
        ("height_range_m=", "hight_range_m=", "unexpected keyword argument 'hight_range_m'"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(place: Path, old: str, new: str, said: str):
    content = Path("crawler.py").read_text()
    assert old in content
    Path("crawler.py").write_text(content.replace(old, new, 1))
    with pytest.raises(MbmfError, match=said):
        Simulation(robot("crawler.py"))


def test_files_and_names_that_are_not_there_are_named(place: Path):
    with pytest.raises(MbmfError, match=r"there is no robot file .*walker\.py"):
        robot("walker.py")
    with pytest.raises(MbmfError, match="did you mean 'crawler'"):
        robot("crawler.py:crawlr")
    assert robot("crawler.py:crawler") is robot("crawler") is robot("./crawler.py")
    Path("other").mkdir()
    Path("other/crawler.py").write_text(Path("crawler.py").read_text())
    with pytest.raises(MbmfError, match="there is a robot 'crawler' already"):
        robot("other/crawler.py")
    assert build_model(robot("crawler")).nu == 2
