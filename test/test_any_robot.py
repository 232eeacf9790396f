"""The graph of any robot: by its name, or by the file of a robot of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbmf_ros.arguments import SimArguments
from mbmf_ros.bringup import programs
from mbmf_ros.errors import MbmfError
from mbmf_ros.graphs import graph


def test_any_robot_can_be_simulated(tmp_path, monkeypatch):
    own = tmp_path / "mine.py"
    own.write_text(
        "import dataclasses\nfrom mbmf_ros.robots.ant import ANT\nSPECS = (dataclasses.replace(ANT, name='our_ant'),)\n"
    )
    monkeypatch.chdir(tmp_path)
    for name, told in (("hopper_v5", "hopper_v5"), ("mine.py", str(own)), ("mine.py:our_ant", f"{own}:our_ant")):
        running = programs(graph("sim"), SimArguments(robot=name, headless=True))
        assert {program.parameters["robot"] for program in running} == {told}
        assert not any(program.params_files for program in running)
    (with_file, *_) = programs(graph("sim"), SimArguments(robot="swimmer", headless=True))
    assert [file.name for file in with_file.params_files] == ["swimmer.yaml"]
    launch_file = Path(__file__).resolve().parent.parent / "launch" / "sim.launch.py"
    assert 'description(graph("sim"), __file__)' in launch_file.read_text()


def test_a_robot_that_cannot_be_simulated_is_told(tmp_path):
    with pytest.raises(MbmfError, match="robot: expected the robot to simulate"):
        programs(graph("sim"), SimArguments())
    with pytest.raises(MbmfError, match=r"unknown robot 'hoper' .did you mean 'hopper'"):
        programs(graph("sim"), SimArguments(robot="hoper"))
    with pytest.raises(MbmfError, match=r"there is no robot file .*nowhere\.py"):
        programs(graph("sim"), SimArguments(robot="nowhere.py"))
    with pytest.raises(MbmfError, match="hopper_sim is of hopper, got hopper_v5; take the graph sim"):
        programs(graph("hopper_sim"), SimArguments(robot="hopper_v5"))
