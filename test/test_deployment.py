"""A part of a graph on each machine, and whom its nodes meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbmf_ros import up
from mbmf_ros.arguments import SimArguments, parse_arguments
from mbmf_ros.bringup import environment, programs
from mbmf_ros.deployment import (
    discovery_environment,
    enclave,
    network_problem,
    sender_environment,
    shared_memory_problem,
)
from mbmf_ros.errors import MbmfError
from mbmf_ros.graphs import graph

RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
KILTED = {"ROS_DISTRO": "kilted"}
PROFILES, PROFILES_OF_JAZZY = "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"


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


def reach(choice: str | None, base: dict[str, str]) -> str:
    """Whom nodes meet, as discovery_environment has it: on this machine alone it may be said by a profile of ours."""
    said = {**base, **discovery_environment(choice, base)}
    ours = Path(said.get(PROFILES, said.get(PROFILES_OF_JAZZY, ""))).name == "fastdds_this_machine.xml"
    return "LOCALHOST" if ours and said[RANGE] == "SYSTEM_DEFAULT" else said[RANGE]


def test_nodes_meet_on_this_machine_only_unless_somebody_says_otherwise():
    assert reach(None, {}) == "LOCALHOST"
    assert reach("localhost", {}) == "LOCALHOST"
    assert reach("subnet", {}) == "SUBNET"
    assert reach(None, {RANGE: "SUBNET"}) == "SUBNET"
    assert reach("localhost", {RANGE: "SUBNET"}) == "LOCALHOST"  # the latest word holds
    assert reach(None, {RANGE: "OFF"}) == "OFF"


def test_fast_dds_is_kept_from_shared_memory_where_its_users_have_not_said_otherwise():
    profile = discovery_environment(None, KILTED)
    assert profile == {RANGE: "SYSTEM_DEFAULT", PROFILES: profile[PROFILES]}
    assert "<useBuiltinTransports>false" in Path(profile[PROFILES]).read_text()
    assert discovery_environment(None, {**KILTED, RANGE: "LOCALHOST"}) == profile
    assert PROFILES_OF_JAZZY in discovery_environment(None, {"ROS_DISTRO": "jazzy"})
    assert discovery_environment("subnet", KILTED) == {RANGE: "SUBNET", "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}
    assert discovery_environment(None, {**KILTED, RANGE: "OFF"}) == {}
    assert shared_memory_problem(None, KILTED) is None
    assert shared_memory_problem("subnet", KILTED) is None


@pytest.mark.parametrize("distribution", ["iron", "lyrical"])
@pytest.mark.parametrize("middleware", [{}, {"RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"}])
def test_where_nobody_may_read_the_profile_the_nodes_are_not_left_to_the_network(distribution, middleware):
    assert discovery_environment(None, {"ROS_DISTRO": distribution, **middleware}) == {RANGE: "LOCALHOST"}


@pytest.mark.parametrize(
    ("said", "shares"),
    [
        ({PROFILES: "mine.xml"}, False),
        ({PROFILES_OF_JAZZY: "mine.xml"}, False),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "SHM"}, False),
        ({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, False),
        ({"ROS_STATIC_PEERS": "10.0.0.2"}, True),  # LOCALHOST is the only range in which they are all there is
        ({"ROS_DISCOVERY_SERVER": "10.0.0.2:11811"}, True),
        ({"ROS_LOCALHOST_ONLY": "1"}, True),
    ],
)
def test_what_the_user_has_said_of_the_middleware_stays_and_is_told_where_memory_is_shared(said, shares):
    assert discovery_environment(None, {**KILTED, **said}) == {RANGE: "LOCALHOST"}
    assert ("share memory" in str(shared_memory_problem(None, {**KILTED, **said}))) == shares


def test_a_configuration_in_the_working_directory_is_the_users_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert PROFILES in discovery_environment(None, KILTED)
    (tmp_path / "DEFAULT_FASTDDS_PROFILES.xml").touch()
    assert discovery_environment(None, KILTED) == {RANGE: "LOCALHOST"}


def test_humble_has_a_variable_of_its_own():
    humble = {"ROS_DISTRO": "humble"}
    assert discovery_environment(None, humble) == {"ROS_LOCALHOST_ONLY": "1"}
    assert discovery_environment("subnet", humble) == {"ROS_LOCALHOST_ONLY": "0"}
    assert discovery_environment(None, {**humble, "ROS_LOCALHOST_ONLY": "0"}) == {}


def test_between_machines_the_learner_sends_datagrams_of_one_frame_unless_somebody_says_otherwise():
    name = PROFILES
    profiles = sender_environment("dynamics_learner", "subnet", {})
    assert "max_message_size" in Path(profiles[name]).read_text()
    assert sender_environment("dynamics_learner", None, {RANGE: "SUBNET"}) == profiles
    assert sender_environment("dynamics_learner", None, {"ROS_STATIC_PEERS": "10.0.0.2"}) == profiles
    assert sender_environment("dynamics_learner", "subnet", {name: "mine.xml"}) == {}
    assert sender_environment("dynamics_learner", None, {}) == {}
    assert sender_environment("sim_bridge", "subnet", {}) == {}


def test_the_nodes_environment_has_it_for_launch_and_for_up():
    assert environment({}).items() >= discovery_environment(None, {}).items()
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
