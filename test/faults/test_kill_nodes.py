"""`kill -9` of each node of the simulated ant's graph at a random moment, and a controller that hangs."""

from __future__ import annotations

import signal
import time

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from mbmf_ros.msg import RobotState

pytestmark = pytest.mark.ros


def lost_and_found(graph, first: int, killed_s: float, fault: str) -> None:
    """Control is lost: the robot holds within 2 control periods, and walks on when the controller is back."""
    graph.until(lambda: graph.last.status == RobotState.STATUS_HOLDING, "holding")
    graph.until(lambda: graph.first_safe(first) >= 0, "the safe action")
    safe = graph.first_safe(first)
    held = graph.ticks[safe]
    print(
        f"{fault}: safe action {graph.periods_out_of_control(first)} control periods after control was lost, "
        f"{1e3 * (held.at_s - killed_s):.0f} ms after the fault"
    )
    assert held.state.action_source == RobotState.SOURCE_SAFE
    assert graph.periods_out_of_control(first) <= 2


def test_a_killed_controller(sim, moment):
    moment(sim)
    before = sim.pids()["mpc_controller"]
    sim.status.pop("mpc_controller")
    first, killed_s = sim.kill("mpc_controller")
    lost_and_found(sim, first, killed_s, "kill -9 mpc_controller")
    safe = sim.first_safe(first)
    sim.until(lambda: sim.is_back("mpc_controller", before), "the restart")
    back = len(sim.ticks)
    sim.until(lambda: sim.walking and len(sim.ticks) > back, "answers")
    held = [tick for tick in sim.ticks[safe:] if tick.state.action_source == RobotState.SOURCE_SAFE]
    print(f"it walked on after {len(held)} control periods, {time.monotonic() - killed_s:.1f} s after the fault")
    sim.gets_on()  # along the path that it had: the waypoints node's topic is latched
    sim.undisturbed(first)


def test_a_controller_that_hangs_for_two_seconds(sim, moment):
    moment(sim)
    first, stopped_s = sim.kill("mpc_controller", signal.SIGSTOP)
    try:
        lost_and_found(sim, first, stopped_s, "SIGSTOP mpc_controller")
        sim.until(lambda: time.monotonic() > stopped_s + 2.0, "two seconds")
        assert sim.last.status == RobotState.STATUS_HOLDING
        assert "the controller does not answer" in sim.safety.reason
    finally:
        sim.kill("mpc_controller", signal.SIGCONT)
    woken = len(sim.ticks)
    sim.until(lambda: sim.walking and len(sim.ticks) > woken, "answers")
    print(f"it walked on {len(sim.ticks) - woken} control periods after the controller did")
    sim.gets_on()
    sim.undisturbed(first)


@pytest.mark.parametrize("node", ["dynamics_learner", "display", "cockpit"])
def test_a_killed_node_that_does_not_control(sim, graphs, moment, node):
    graphs.log_may_have_gaps = node == "dynamics_learner"
    moment(sim)
    before = sim.pids()[node]
    sim.status.pop(node)
    first, killed_s = sim.kill(node)
    periods = sim.gets_on(1.0)
    sim.until(lambda: sim.is_back(node, before), "the restart", timeout_s=120)
    sim.gets_on()
    sim.reach(30)  # of a log with a gap, enough is after it to judge
    sim.undisturbed(first)
    late = sum(tick.state.action_source == RobotState.SOURCE_SAFE for tick in sim.ticks[first:])
    print(
        f"kill -9 {node}: 1 m on took {periods} control periods; back after {time.monotonic() - killed_s:.1f} s; "
        f"{late} of {len(sim.ticks) - first} periods without an answer in time"
    )


def test_killed_waypoints(sim, moment):
    moment(sim)
    before = sim.pids()["waypoints"]
    sim.status.pop("waypoints")
    first, killed_s = sim.kill("waypoints")
    periods = sim.gets_on()
    sim.until(lambda: sim.is_back("waypoints", before), "the restart")
    sim.until(lambda: not sim.walking, "standing still: the task was lost with its owner")
    print(
        f"kill -9 waypoints: 0.4 m on took {periods} control periods; "
        f"stood still {time.monotonic() - killed_s:.1f} s after the fault"
    )
    sim.undisturbed(first)
    sim.walk()  # it takes the next task


def test_a_killed_bridge_ends_the_simulation(graphs, moment):
    graph = graphs.get("sim")
    graph.walk()
    moment(graph)
    nodes = graph.pids()
    first, killed_s = graph.kill("sim_bridge")
    assert graph.process.wait(timeout=60) == 1
    print(f"kill -9 sim_bridge: all ended {time.monotonic() - killed_s:.1f} s after the fault")
    assert (
        "sim_bridge was killed by SIGKILL (exit code -9); nothing works without it: stopping everything" in graph.said()
    )
    assert not graph.pids()
    assert set(nodes) >= {"mpc_controller", "waypoints"}
    assert len(graph.ticks) >= first
