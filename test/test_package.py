"""The package as such: versions and dependencies agree, package.xml is valid, the core needs no ROS 2."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import mbmf_ros
from mbmf_ros.graphs import graph, graph_names

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text()
INTERFACES = sorted([*ROOT.glob("msg/*.msg"), *ROOT.glob("action/*.action")])
CONSTANT = re.compile(r"^\w+ +([A-Z][A-Z0-9_]*) *= *(\w+)", re.MULTILINE)

COLCON = shutil.which("colcon", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))

with_messages = pytest.mark.skipif(
    importlib.util.find_spec("rclpy") is None or importlib.util.find_spec("mbmf_ros.msg") is None,
    reason="ROS 2 or the built messages are not there: `make setup`, or source the colcon workspace",
)


def name_of(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def core_requirements() -> list[str]:
    block = re.search(r"^dependencies = \[\n(.*?)^\]", PYPROJECT, re.MULTILINE | re.DOTALL)
    assert block
    return re.findall(r'^ *"([^"]+)"', block[1], re.MULTILINE)


def test_package_xml_is_valid():
    parser = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg comes with colcon")
    warnings: list[str] = []
    package = parser.parse_package(str(ROOT / "package.xml"), warnings=warnings)
    package.validate(warnings=warnings)
    assert warnings == []
    assert package.get_build_type() == "ament_cmake"
    assert "rosidl_interface_packages" in [group.name for group in package.member_of_groups]


@pytest.mark.skipif(COLCON is None, reason="colcon is not installed")
def test_colcon_takes_it_for_an_ament_package(tmp_path: Path):
    # An invalid package.xml would make colcon fall back to plain CMake, or to setup.py, without a word.
    command = [str(COLCON), "--log-base", str(tmp_path), "list", "--base-paths", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "(ros.ament_cmake)" in done.stdout


def test_one_version():
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert package.findtext("version") == mbmf_ros.__version__
    assert 'version = { attr = "mbmf_ros.__version__" }' in PYPROJECT


def test_lock_file_pins_everything():
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    pinned = {name_of(line) for line in lines}
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; .+)?", line)] == []
    assert {name_of(requirement) for requirement in core_requirements()} <= pinned
    assert {"ros-rclpy", "ros-rmw-fastrtps-cpp", "pytest", "ruff", "basedpyright"} <= pinned


def test_documented_pip_command_names_every_dependency():
    text = (ROOT / "docs/install.md").read_text()
    command = re.search(r"python3 -m pip install (.*)", text)
    assert command
    named = {name_of(word.strip('"')) for word in command[1].split()}
    assert {name_of(requirement) for requirement in core_requirements()} <= named
    assert [pin for pin in core_requirements() if "==" in pin and pin not in command[1]] == []


def test_every_executable_has_its_module():
    text = (ROOT / "CMakeLists.txt").read_text()
    modules = re.findall(r"nodes\.(\w+)", text)
    assert set(modules) == {node.name for name in graph_names() for node in graph(name).nodes}
    for module in [f"nodes/{name}" for name in modules] + ["cli"]:
        source = ROOT / "mbmf_ros" / f"{module}.py"
        assert re.search(r"^def main\(", source.read_text(), re.MULTILINE), f"{source} has no main()"


@pytest.mark.ros
@with_messages
@pytest.mark.parametrize("path", INTERFACES, ids=lambda path: path.stem)
def test_interfaces_import_and_carry_their_constants(path: Path):
    module = importlib.import_module(f"mbmf_ros.{path.suffix[1:]}")
    interface = getattr(module, path.stem)
    parts = [interface.Goal, interface.Result, interface.Feedback] if path.suffix == ".action" else [interface]
    for part, text in zip(parts, path.read_text().split("\n---\n"), strict=True):
        for name, value in CONSTANT.findall(text):
            assert getattr(part, name) == int(value, 0)


@pytest.mark.ros
@with_messages
def test_messages_import_without_any_environment_variable():
    code = "from mbmf_ros.msg import RobotState; from mbmf_ros.action import FollowWaypoints; RobotState()"
    if not (Path(sys.prefix) / "share/mbmf_ros/package.xml").is_file():
        pytest.skip("the messages are in a colcon workspace, which has to be sourced")
    subprocess.run([sys.executable, "-c", code], env={}, cwd="/", check=True, timeout=60)


@pytest.mark.parametrize(("ci", "code", "stream"), [("true", 1, "stderr"), ("", 0, "stdout")])
def test_a_missing_browser_is_an_error_in_ci_and_a_remark_elsewhere(tmp_path, ci, code, stream):
    bash = shutil.which("bash")
    assert bash
    environment = {"PATH": str(tmp_path), "CI": ci}  # neither Chromium nor apt-get is there
    done = subprocess.run(
        [bash, ROOT / "tools/browser.sh"], env=environment, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == code
    assert "apt-get install chromium" in getattr(done, stream)


def test_core_imports_without_ros():
    code = """
import importlib, pkgutil, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("rclpy", "ament_index_python", "launch", "geometry_msgs", "std_msgs"):
            raise ImportError(f"{name} is blocked")
        if name in ("mbmf_ros.msg", "mbmf_ros.action", "mbmf_ros.nodes"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
import mbmf_ros
for part in ("robots", "safety", "hardware", "dynamics", "data", "control", "experiments"):
    package = importlib.import_module(f"mbmf_ros.{part}")
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
