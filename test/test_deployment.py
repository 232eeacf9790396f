"""A part of a graph on each machine, and whom its nodes meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbmf_ros import up
from mbmf_ros.arguments import SimArguments, parse_arguments
from mbmf_ros.bringup import environment, programs
from mbmf_ros.deployment import discovery_environment, enclave, network_problem, sender_environment
from mbmf_ros.errors import MbmfError
from mbmf_ros.graphs import graph

RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"


def names(**arguments) -> list[str]:
    return [program.name for program in programs(graph("ant_sim"), SimArguments(**arguments))]


def test_a_graph_is_split_between_two_machines():
    workstation = names(only="dynamics_learner, cockpit")
    robot = names(without="cockpit,dynamics_learner", headless=True)
    assert workstation == ["dynamics_learner", "cockpit"]
    assert robot == ["sim_bridge", "mpc_controller", "waypoints", "display"]
    assert sorted(workstation + robot) == sorted(names())


def test_both_arguments_together_and_rviz_beside_them():
    assert names(only="waypoints,display", without="display", rviz=True) == ["waypoints", "rviz2"]


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"only": "dynamic_learner"}, "unknown node in only: 'dynamic_learner' (did you mean 'dynamics_learner'?)"),
        ({"without": "cockpit,waypoint"}, "unknown node in without: 'waypoint' (did you mean 'waypoints'?)"),
        ({"only": "display", "without": "display"}, "nothing left to run"),
        ({"only": "cockpit", "headless": True}, "nothing left to run"),
    ],
)
def test_a_part_that_does_not_exist_is_named(arguments, cause):
    with pytest.raises(MbmfError) as caught:
        names(**arguments)
    assert cause in str(caught.value)


def test_nodes_meet_on_this_machine_only_unless_somebody_says_otherwise():
    assert discovery_environment(None, {}) == {RANGE: "LOCALHOST"}
    assert discovery_environment("localhost", {}) == {RANGE: "LOCALHOST"}
    assert discovery_environment("subnet", {})[RANGE] == "SUBNET"
    assert discovery_environment(None, {RANGE: "SUBNET"}) == {}
    assert discovery_environment("localhost", {RANGE: "SUBNET"}) == {RANGE: "LOCALHOST"}  # the latest word holds


def test_humble_has_a_variable_of_its_own():
    humble = {"ROS_DISTRO": "humble"}
    assert discovery_environment(None, humble) == {"ROS_LOCALHOST_ONLY": "1"}
    assert discovery_environment("subnet", humble)["ROS_LOCALHOST_ONLY"] == "0"
    assert discovery_environment(None, {**humble, "ROS_LOCALHOST_ONLY": "0"}) == {}


def test_between_machines_the_learner_sends_datagrams_of_one_frame_unless_somebody_says_otherwise():
    name = "FASTDDS_DEFAULT_PROFILES_FILE"
    profiles = sender_environment("dynamics_learner", "subnet", {})
    assert "max_message_size" in Path(profiles[name]).read_text()
    assert sender_environment("dynamics_learner", None, {RANGE: "SUBNET"}) == profiles
    assert sender_environment("dynamics_learner", None, {"ROS_STATIC_PEERS": "10.0.0.2"}) == profiles
    assert sender_environment("dynamics_learner", "subnet", {name: "mine.xml"}) == {}
    assert sender_environment("dynamics_learner", None, {}) == {}
    assert sender_environment("sim_bridge", "subnet", {}) == {}


def test_the_nodes_environment_has_it_for_launch_and_for_up():
    assert environment({})[RANGE] == "LOCALHOST"
    assert environment({}, "subnet")[RANGE] == "SUBNET"
    assert RANGE not in environment({RANGE: "OFF"})
    assert environment({RANGE: "OFF"}, "subnet")[RANGE] == "SUBNET"


def test_a_network_that_is_not_connected_is_told_where_it_matters(tmp_path):
    for device, state in (("lo", "unknown"), ("eth0", "down")):
        (tmp_path / device).mkdir()
        (tmp_path / device / "operstate").write_text(f"{state}\n")
    assert "no network is connected" in str(network_problem("subnet", {}, tmp_path))
    assert "no network is connected" in str(network_problem(None, {RANGE: "SUBNET"}, tmp_path))
    assert network_problem("localhost", {}, tmp_path) is None
    (tmp_path / "eth0" / "operstate").write_text("up\n")
    assert network_problem("subnet", {}, tmp_path) is None
    assert network_problem("subnet", {}, tmp_path / "not on this system") is None


def test_each_node_has_an_enclave_of_its_own_in_each_namespace():
    assert enclave("", "sim_bridge") == enclave("/", "sim_bridge") == "/sim_bridge"
    assert enclave("/lab/robot1/", "sim_bridge") == "/lab/robot1/sim_bridge"


def test_up_tells_each_node_its_enclave(monkeypatch):
    monkeypatch.setattr(up, "_check_ros", lambda: None)
    for command in up.plan(up.UpConfig(namespace="robot1"))[0]:
        assert command.argv[command.argv.index("--enclave") + 1] == f"/robot1/{command.name}"


def test_as_launch_arguments():
    chosen = parse_arguments({"only": "waypoints", "without": "", "discovery": "subnet"})
    assert chosen == SimArguments(only="waypoints", discovery="subnet")
    with pytest.raises(MbmfError, match="did you mean 'subnet'"):
        parse_arguments({"discovery": "subnett"})
