"""The graph of a real robot, or of its stand-in, as data."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbmf_ros.arguments import SimArguments
from mbmf_ros.bringup import programs
from mbmf_ros.errors import MbmfError
from mbmf_ros.graphs import chosen, graph, graph_names, hardware_file
from mbmf_ros.shared_files import shared_file

FILE = shared_file("config", "hardware", "ant_stand_in.yaml")
REST = ["mpc_controller", "dynamics_learner", "waypoints", "display", "cockpit"]


def by_name(name: str = "hardware", config: str | None = "ant_stand_in", **arguments):
    return {program.name: program for program in programs(graph(name), SimArguments(config=config, **arguments))}


def test_the_bridge_takes_the_simulators_place():
    assert list(by_name(robot="ant")) == ["hardware_bridge", *REST]
    assert list(by_name(stand_in=True)) == ["hardware_bridge", *REST, "hardware_stand_in"]
    assert list(by_name("ant_sim", bridge="hardware", stand_in=True)) == [*by_name(stand_in=True)]
    assert list(by_name(headless=True)) == ["hardware_bridge", *REST[:-1]]


def test_bridge_and_stand_in_read_the_same_file():
    running = by_name(stand_in=True, seed=3)
    assert running["hardware_bridge"].parameters["config"] == running["hardware_stand_in"].parameters["config"]
    assert Path(str(running["hardware_bridge"].parameters["config"])) == FILE
    assert running["hardware_stand_in"].parameters["seed"] == 3


def test_nobody_follows_a_clock_that_nobody_publishes():
    assert {program.parameters["use_sim_time"] for program in by_name(stand_in=True, rviz=True).values()} == {False}


def test_a_real_robot_does_not_move_until_it_is_told_to():
    running = by_name()
    assert running["waypoints"].parameters["demo"] is False
    assert running["hardware_bridge"].parameters.get("safety.auto_enable", False) is False
    assert by_name(demo=True)["waypoints"].parameters["demo"] is True
    assert by_name(stand_in=True, auto_enable=True)["hardware_bridge"].parameters["safety.auto_enable"] is True
    assert by_name(stand_in=True, auto_enable=True)["hardware_bridge"].parameters["stand_in"] is True
    assert running["hardware_bridge"].parameters.get("stand_in", False) is False
    with pytest.raises(MbmfError, match="a real robot is enabled by hand"):
        by_name(auto_enable=True)


def test_a_policy_drives_a_real_robot_too(tmp_path):
    (tmp_path / "policy.safetensors").touch()
    running = by_name(controller="policy", policy_path=str(tmp_path))
    assert running["mpc_controller"].parameters["controller"] == "policy"
    assert running["mpc_controller"].parameters["policy_path"] == str(tmp_path / "policy.safetensors")
    assert running["hardware_bridge"].parameters.get("safety.auto_enable", False) is False


def test_the_cockpit_calls_the_bridge_that_there_is():
    assert by_name()["cockpit"].parameters["bridge"] == "hardware_bridge"


def test_the_robot_is_the_one_of_the_file():
    assert chosen(graph("hardware"), SimArguments(config="ant_stand_in")).robot == "ant"
    (file,) = by_name()["hardware_bridge"].params_files
    assert file.name == "ant.yaml"
    with pytest.raises(MbmfError, match=r"ant_stand_in\.yaml is of robot ant, expected swimmer"):
        by_name(robot="swimmer")
    with pytest.raises(MbmfError, match=r"is of robot ant, expected swimmer"):
        by_name("swimmer_sim", bridge="hardware")
    with pytest.raises(MbmfError, match="ant_sim is of ant, got swimmer; take the graph sim"):
        by_name("ant_sim", config=None, robot="swimmer")


def test_a_robot_of_ones_own_needs_no_parameter_file(tmp_path):
    own = tmp_path / "mine.py"
    own.write_text(
        "import dataclasses\nfrom mbmf_ros.robots.ant import ANT\nSPECS = (dataclasses.replace(ANT, name='my_ant'),)\n"
    )
    file = tmp_path / "mine.yaml"
    file.write_text(FILE.read_text().replace("robot: ant", f"robot: {own}"))
    running = by_name(config=str(file), robot=str(own))
    assert {program.parameters["robot"] for program in running.values()} == {str(own)}
    assert running["hardware_bridge"].params_files == ()


def test_the_file_is_a_path_or_the_name_of_one_that_comes_with_the_package(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(FILE.read_text())
    assert hardware_file(str(mine)) == mine
    assert hardware_file("ant_stand_in") == FILE
    for wrong, cause in (
        (None, "expected the robot's hardware file, for example config:=ant_stand_in"),
        (str(tmp_path / "other.yaml"), "there is no file .*other.yaml"),
        ("my_robot", "cannot find config/hardware/my_robot.yaml"),
    ):
        with pytest.raises(MbmfError, match=cause):
            hardware_file(wrong)


def test_a_file_that_is_not_as_it_should_be_is_named_before_anything_starts(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(FILE.read_text().replace("interface: effort", "interfase: effort"))
    with pytest.raises(MbmfError, match="did you mean 'interface'"):
        by_name(config=str(mine))


@pytest.mark.parametrize(
    ("name", "arguments", "cause"),
    [
        ("hardware", {"sync_mode": True}, "sync_mode: only the simulator has it"),
        ("hardware", {"real_time_factor": 0.0}, "real_time_factor: only the simulator has it"),
        ("hardware", {"publish_clock": False}, "publish_clock: only the simulator has it"),
        ("hardware", {"bridge": "sim"}, "graph hardware has no simulator, take ant_sim"),
        ("ant_sim", {}, "config: is for a robot behind the hardware bridge"),
        ("ant_sim", {"config": None, "stand_in": True}, "stand_in: is for a robot behind the hardware bridge"),
        ("ant_sim", {"config": None, "bridge": "hardwear"}, "did you mean 'hardware'"),
    ],
)
def test_what_does_not_go_together_is_named(name, arguments, cause):
    with pytest.raises(MbmfError, match=cause):
        by_name(name, **arguments)


def test_parameter_files_may_speak_to_its_nodes(tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("/**/hardware_stand_in:\n  ros__parameters:\n    noise: bad\n")
    assert by_name(stand_in=True, params_file=str(params))["hardware_stand_in"].params_files[-1] == params
    with pytest.raises(MbmfError, match="unknown node"):
        by_name("ant_sim", config=None, params_file=str(params))


def test_its_launch_file_brings_it_up():
    assert "hardware" in graph_names()
    text = (FILE.parent.parent.parent / "launch" / "hardware.launch.py").read_text()
    assert 'description(graph("hardware"), __file__)' in text
