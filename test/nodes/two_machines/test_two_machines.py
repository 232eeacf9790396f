"""Controller and bridge on the robot, learner on a workstation, and a cable in between that is cut or loses frames."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from machines import lay_cable, lay_lossy_cable
from split_graph import SplitGraph, now

from mbmf_ros.dynamics.io import default_model_path
from mbmf_ros.robots import robot

pytestmark = [
    pytest.mark.ros,
    pytest.mark.timeout(420),
    pytest.mark.skipif(not default_model_path(robot("ant")).is_file(), reason="no model is shipped"),
]

SHORT_CUT_TICKS = 40  # 4 s: the machines still know each other
LEASE_S = 40.0  # longer than Fast DDS takes (20 s) to give a silent participant up
RECONNECTED_S = 20.0
"""How long states and a new model may take after the cable is back; 1 to 4 s on a busy computer with two cores."""

FLUSHED_TICKS = 40
"""After so many more the log has what came before on disk."""

LATE_MORE = 0.1  # of the answers, by chance, when the computer is busy


def test_states_and_models_cross_and_cut_cables_do_no_harm(two, tmp_path, measured):
    robot_machine, workstation = two
    lay_cable(robot_machine, workstation)
    graph = SplitGraph(robot_machine, workstation, tmp_path)
    before = graph.lives(SHORT_CUT_TICKS)
    loaded = now()
    measured("a model of 1.3 MB reaches the controller", graph.until_used(graph.new_model(), 20) - loaded)

    # Short: what the robot lived through meanwhile is sent later, and nothing is missing.
    workstation.unplug()
    had = graph.logged
    meanwhile = graph.lives(SHORT_CUT_TICKS)
    assert graph.logged - had < SHORT_CUT_TICKS / 2, "the cable was not cut"
    version = graph.new_model()
    goes_on(graph, before, meanwhile)
    workstation.plug()
    plugged = now()
    measured("a newer model after a short cut", graph.until_used(version, RECONNECTED_S) - plugged)
    graph.learner.until(lambda: graph.logged > had + SHORT_CUT_TICKS, "the states of the cut", RECONNECTED_S)
    measured("the states of a short cut", now() - plugged)

    # Long: the machines give each other up. The other end is unplugged.
    robot_machine.unplug()
    began = len(graph.states)
    graph.robot.until(lambda: graph.robot.newest("learners") == 0, "the robot gives the learner up", LEASE_S)
    graph.learner.until(lambda: graph.learner.newest("bridges") == 0, "the learner gives the robot up", LEASE_S)
    meanwhile, told = graph.states[began:], graph.logged
    version = graph.new_model()
    goes_on(graph, before, meanwhile)
    robot_machine.plug()
    plugged = now()
    measured("a newer model after a long cut", graph.until_used(version, RECONNECTED_S) - plugged)
    graph.learner.until(lambda: graph.logged > told + 5, "states after the cut", RECONNECTED_S)
    measured("states after a long cut", now() - plugged)

    lived = len(graph.states)
    graph.learner.until(lambda: graph.logged > told + FLUSHED_TICKS, "more states", RECONNECTED_S)
    kept = graph.checked_log().transitions
    assert kept < lived - len(meanwhile) / 2, "the long cut left no gap"
    assert kept > lived - len(meanwhile) - 10 * RECONNECTED_S, "more than the cut is missing"


def goes_on(graph: SplitGraph, before: list[dict], meanwhile: list[dict]) -> None:
    """The robot walked while the cable was cut, and its controller answered as it had before."""
    assert graph.walked_m(meanwhile) > 0.3 * len(meanwhile) * 0.05
    assert graph.late_share(meanwhile) <= graph.late_share(before) + LATE_MORE


def test_models_cross_a_network_that_loses_one_frame_in_a_hundred(two, tmp_path, measured):
    robot_machine, workstation = two
    cable = lay_lossy_cable(robot_machine, workstation, loss=0.01, seed=1)
    graph = SplitGraph(robot_machine, workstation, tmp_path)
    for _ in range(3):
        loaded = now()
        measured("a model of 1.3 MB, 1 % loss", graph.until_used(graph.new_model(), 20) - loaded)
    had = graph.logged
    graph.learner.until(lambda: graph.logged >= had + FLUSHED_TICKS, "more states", 30)
    log = graph.checked_log()
    assert log.transitions >= had
    assert len(log.episodes) <= len({state["episode"] for state in graph.states}), "a state was lost for good"
    carried, lost = map(int, cable.communicate()[0].split())
    assert lost > 0.005 * carried > 10
