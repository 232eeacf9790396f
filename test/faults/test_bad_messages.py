"""Malformed, foreign and outdated messages on the topics of a robot that walks: it walks on."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from geometry_msgs.msg import PointStamped, PoseStamped, Twist
from nav_msgs.msg import Path as PathMessage

from mbmf_ros.msg import RobotAction, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles
from mbmf_ros.robots import robot

pytestmark = pytest.mark.ros
SPEC = robot("ant")
NAN = math.nan
TIMES = 10


def spoilt(state: RobotState) -> list[RobotState]:
    """States as they must not be, stamped and numbered like a true one."""
    changes = [
        {"joint_position": doubles(np.zeros(3))},
        {"joint_position": doubles([])},
        {"joint_velocity": doubles(np.full(len(state.joint_velocity), NAN))},
        {"joint_velocity": doubles(np.full(len(state.joint_velocity), 1e6))},
        {"robot": "swimmer"},
    ]
    out = [copy.deepcopy(state) for _ in range(len(changes) + 2)]
    for message, change in zip(out, changes, strict=False):
        for name, value in change.items():
            setattr(message, name, value)
    out[-2].pose.position.x = NAN
    out[-1].pose.orientation.w = out[-1].pose.orientation.x = 0.0
    out[-1].pose.orientation.y = out[-1].pose.orientation.z = 0.0
    return out


def test_states_that_are_none_are_refused_by_everyone(sim, moment, measured):
    moment(sim)
    publisher = sim.speak(RobotState, "state", qos.STATE_PUB, listeners=5)
    nodes = ("mpc_controller", "waypoints", "dynamics_learner")
    before = {node: sim.refused(node) for node in nodes}
    first = len(sim.ticks)
    while any(sim.refused(node) - before[node] < TIMES for node in nodes):
        # They come again until everyone has counted some: whoever keeps only the newest state may miss one.
        for message in spoilt(sim.ticks[-1].state):
            publisher.publish(message)
        sim.reach(5)
    sim.probe.destroy_publisher(publisher)
    sim.gets_on()
    sim.undisturbed(first)
    refused = {f"refused_by_{node}": sim.refused(node) - before[node] for node in nodes}
    measured("NaN and wrong sizes on state", **refused, safe_periods=sim.safe_periods(first))


def test_a_state_from_before_is_no_new_beginning(sim, moment, measured):
    moment(sim)
    publisher = sim.speak(RobotState, "state", qos.STATE_PUB, listeners=5)
    first, refused = len(sim.ticks), sim.refused("mpc_controller")
    outdated = copy.deepcopy(sim.ticks[-1].state)
    while sim.refused("mpc_controller") == refused:
        publisher.publish(outdated)
        sim.reach(20)
    sim.probe.destroy_publisher(publisher)
    sim.until(lambda: sim.walking, "walking still")  # it would not find a path again that it had forgotten
    sim.gets_on()
    sim.until(lambda: sim.walking, "walking still")
    sim.undisturbed(first)
    measured("an outdated state", periods=len(sim.ticks) - first, safe_periods=sim.safe_periods(first))


def test_actions_that_are_none_are_never_applied(sim, moment, measured):
    moment(sim)
    publisher = sim.speak(RobotAction, "action", qos.ACTION)
    first, refused = len(sim.ticks), sim.refused("sim_bridge")
    while sim.refused("sim_bridge") - refused < TIMES:
        for action, plan in (
            (np.full(SPEC.nu, NAN), []),
            (np.ones(3), []),
            ([], []),
            (np.zeros(SPEC.nu), np.full(SPEC.nu, math.inf)),
            (np.zeros(SPEC.nu), np.zeros(SPEC.nu + 1)),
        ):
            state = sim.ticks[-1].state
            answer = RobotAction(state_stamp=state.header.stamp, episode=state.episode, tick=state.tick)
            answer.action, answer.plan = doubles(action), doubles(plan)
            publisher.publish(answer)
        sim.reach(2)
    sim.probe.destroy_publisher(publisher)
    sim.gets_on()
    sim.undisturbed(first)
    applied = np.stack([tick.applied for tick in sim.ticks[first:] if len(tick.applied)])
    assert np.isfinite(applied).all()
    assert np.abs(applied).max() <= 1.0
    refused = sim.refused("sim_bridge") - refused
    measured("NaN and wrong sizes on action", refused=refused, safe_periods=sim.safe_periods(first))


def test_orders_that_are_none_change_no_task(sim, moment, measured):
    moment(sim)
    first = len(sim.ticks)
    goal, point, path, twist = PoseStamped(), PointStamped(), PathMessage(), Twist()
    goal.header.frame_id = point.header.frame_id = path.header.frame_id = "odom"
    goal.pose.position.x, point.point.y, twist.linear.x = NAN, math.inf, NAN
    path.poses = [goal]
    orders = (
        (PoseStamped, "goal_pose", goal, "waypoints"),
        (PointStamped, "clicked_point", point, "waypoints"),
        (PathMessage, "follow_path", path, "waypoints"),
        (Twist, "cmd_vel", twist, "mpc_controller"),
    )
    for kind, topic, message, node in orders:
        refused = sim.refused(node)
        publisher = sim.speak(kind, topic, qos.CLICK)
        publisher.publish(message)
        sim.until(lambda node=node, refused=refused: sim.refused(node) > refused, f"the count of {topic} at {node}")
        sim.probe.destroy_publisher(publisher)
    sim.gets_on()
    sim.undisturbed(first)
    measured("NaN in orders", safe_periods=sim.safe_periods(first))
