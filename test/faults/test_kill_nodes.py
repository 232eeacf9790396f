"""`kill -9` of each node of the simulated ant's graph at a random moment, and a controller that hangs."""

from __future__ import annotations

import signal
import time

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from mbmf_ros.msg import RobotState

pytestmark = pytest.mark.ros


def lost_and_found(graph, first: int, killed_s: float, fault: str, measured) -> None:
    """Control is lost: the robot holds within 2 control periods, and walks on when the controller is back."""
    graph.until(lambda: graph.last.status == RobotState.STATUS_HOLDING, "holding")
    graph.until(lambda: graph.first_safe(first) >= 0, "the safe action")
    safe = graph.first_safe(first)
    held = graph.ticks[safe]
    measured(
        fault,
        safe_periods_after_control_was_lost=graph.periods_out_of_control(first),
        safe_ms_after_the_fault=1e3 * (held.at_s - killed_s),
    )
    assert held.state.action_source == RobotState.SOURCE_SAFE
    assert graph.periods_out_of_control(first) <= 2


def test_a_killed_controller(sim, moment, measured):
    moment(sim)
    before = sim.pids()["mpc_controller"]
    sim.status.pop("mpc_controller")
    first, killed_s = sim.kill("mpc_controller")
    lost_and_found(sim, first, killed_s, "kill -9 mpc_controller", measured)
    safe = sim.first_safe(first)
    sim.until(lambda: sim.is_back("mpc_controller", before), "the restart")
    back = len(sim.ticks)
    sim.until(lambda: sim.walking and len(sim.ticks) > back, "answers")
    held = [tick for tick in sim.ticks[safe:] if tick.state.action_source == RobotState.SOURCE_SAFE]
    measured("kill -9 mpc_controller", held_periods=len(held), walks_on_s_after_the_fault=time.monotonic() - killed_s)
    sim.gets_on()  # along the path that it had: the waypoints node's topic is latched
    sim.undisturbed(first)


def test_a_controller_that_hangs_for_two_seconds(sim, moment, measured):
    moment(sim)
    first, stopped_s = sim.kill("mpc_controller", signal.SIGSTOP)
    try:
        lost_and_found(sim, first, stopped_s, "SIGSTOP mpc_controller", measured)
        sim.until(lambda: time.monotonic() > stopped_s + 2.0, "two seconds")
        assert sim.last.status == RobotState.STATUS_HOLDING
        assert "the controller does not answer" in sim.safety.reason
    finally:
        sim.kill("mpc_controller", signal.SIGCONT)
    woken = len(sim.ticks)
    sim.until(lambda: sim.walking and len(sim.ticks) > woken, "answers")
    measured("SIGSTOP mpc_controller", walks_on_periods_after_sigcont=len(sim.ticks) - woken)
    sim.gets_on()
    sim.undisturbed(first)


@pytest.mark.parametrize("node", ["dynamics_learner", "display", "cockpit"])
def test_a_killed_node_that_does_not_control(sim, graphs, moment, measured, node):
    graphs.log_may_have_gaps = node == "dynamics_learner"
    moment(sim)
    before = sim.pids()[node]
    sim.status.pop(node)
    first, killed_s = sim.kill(node)
    periods = sim.gets_on(1.0)
    sim.until(lambda: sim.is_back(node, before), "the restart", timeout_s=120)
    back_s = time.monotonic()
    sim.gets_on()
    sim.reach(30)  # of a log with a gap, enough is after it to judge
    sim.undisturbed(first)
    late = sim.safe_periods(first)
    measured(
        f"kill -9 {node}",
        one_metre_periods=periods,
        back_s_after_the_fault=back_s - killed_s,
        late_share=late / (len(sim.ticks) - first),
    )


def test_killed_waypoints(sim, moment, measured):
    moment(sim)
    before = sim.pids()["waypoints"]
    sim.status.pop("waypoints")
    first, killed_s = sim.kill("waypoints")
    periods = sim.gets_on(0.2)  # it is back soon
    sim.until(lambda: sim.is_back("waypoints", before), "the restart")
    sim.until(lambda: not sim.walking, "standing still: the task was lost with its owner")
    stands_s = time.monotonic() - killed_s
    measured("kill -9 waypoints", periods_for_0_2_m=periods, stands_still_s_after_the_fault=stands_s)
    sim.undisturbed(first)
    sim.walk()  # it takes the next task


def test_a_killed_bridge_ends_the_simulation(graphs, moment, measured):
    graph = graphs.get("sim")
    graph.walk()
    moment(graph)
    nodes = graph.pids()
    first, killed_s = graph.kill("sim_bridge")
    assert graph.process.wait(timeout=60) == 1
    measured("kill -9 sim_bridge", all_ended_s_after_the_fault=time.monotonic() - killed_s)
    assert (
        "sim_bridge was killed by SIGKILL (exit code -9); nothing works without it: stopping everything" in graph.said()
    )
    assert not graph.pids()
    assert set(nodes) >= {"mpc_controller", "waypoints"}
    assert len(graph.ticks) >= first
