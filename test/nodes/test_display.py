"""Markers for RViz: where they are, and that nothing is drawn for nobody."""

import os
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

import mujoco
import rclpy
from nav_msgs.msg import Path as PathMessage
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from visualization_msgs.msg import Marker, MarkerArray

from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import fill_state, path_message
from mbmf_ros.nodes.display import Display, RobotMarkers, parts_of, path_markers
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import build_model, start_measurement

pytestmark = pytest.mark.ros
ANT = robot("ant")


def positions(markers):
    return np.array([(m.pose.position.x, m.pose.position.y, m.pose.position.z) for m in markers])


def test_robot_markers_cover_the_robot_where_it_is():
    drawn = list(RobotMarkers(ANT, "odom").move(start_measurement(ANT, pose=(3.0, -2.0, 0.0))).markers)
    torso = drawn[0]
    assert (torso.type, torso.scale.x) == (Marker.SPHERE, 0.5)
    np.testing.assert_allclose(positions([torso]), [[3.0, -2.0, 0.55]], atol=1e-9)
    assert {m.header.frame_id for m in drawn} == {"odom"}
    assert len({(m.ns, m.id) for m in drawn}) == len(drawn) == 1 + 3 * 12  # twelve capsules
    # The outer ends of the shins: the front left foot is at 45 degrees, one leg's length away from the torso.
    feet = positions(drawn) - [3.0, -2.0, 0.0]
    front_left = feet[np.argmax(feet[:, 0] + feet[:, 1])]
    assert front_left[0] == pytest.approx(front_left[1], abs=1e-6)
    assert 0.4 < front_left[0] < 0.9


@pytest.mark.parametrize("name", ["swimmer", "hopper", "half_cheetah_v5"])
def test_robots_that_live_in_a_plane_are_drawn_where_they_are(name):
    spec = robot(name)
    markers = RobotMarkers(spec, "odom")
    here, there = (positions(markers.move(start_measurement(spec, pose=(x, 0.0, 0.0))).markers) for x in (0.0, 2.0))
    np.testing.assert_allclose(there - here, np.tile([2.0, 0.0, 0.0], (len(here), 1)), atol=1e-9)


def test_capsule_ends_turn_with_the_robot():
    markers = RobotMarkers(ANT, "odom")
    straight = positions(markers.move(start_measurement(ANT)).markers)
    turned = positions(markers.move(start_measurement(ANT, pose=(0.0, 0.0, np.pi / 2))).markers)
    np.testing.assert_allclose(turned[:, :2], np.column_stack([-straight[:, 1], straight[:, 0]]), atol=1e-9)


def test_a_cylinder_lies_along_its_geom():
    model = build_model(ANT)
    part = next(index for index, part in enumerate(parts_of(model)) if part.kind == Marker.CYLINDER)
    drawn = list(RobotMarkers(ANT, "odom").move(start_measurement(ANT)).markers)
    ends = positions([drawn[part + 1], drawn[part + 2]])
    q = drawn[part].pose.orientation
    axis = np.zeros(3)
    mujoco.mju_rotVecQuat(axis, np.array([0.0, 0.0, 1.0]), np.array([q.w, q.x, q.y, q.z]))
    np.testing.assert_allclose(ends[1] - ends[0], drawn[part].scale.z * axis, atol=1e-9)


def one_geom(**geom):
    spec = mujoco.MjSpec()
    spec.add_mesh(name="tetrahedron", uservert=[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1])
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[1, 1, 1])  # the world is not drawn
    spec.worldbody.add_body(name="body").add_geom(name="shape", **geom)
    return spec.compile()


def test_boxes_and_ellipsoids_have_their_size():
    box = parts_of(one_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.1, 0.2, 0.3]))
    egg = parts_of(one_geom(type=mujoco.mjtGeom.mjGEOM_ELLIPSOID, size=[0.1, 0.2, 0.3]))
    assert [(part.kind, part.scale) for part in box] == [(Marker.CUBE, (0.2, 0.4, 0.6))]
    assert [(part.kind, part.scale) for part in egg] == [(Marker.SPHERE, (0.2, 0.4, 0.6))]


def test_a_shape_that_cannot_be_drawn_is_named():
    with pytest.raises(MbmfError, match="cannot draw geom 'shape': its type is mjGEOM_MESH"):
        parts_of(one_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="tetrahedron"))


def test_path_markers_number_the_waypoints():
    drawn = list(path_markers(np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 1.0]]), "odom").markers)
    assert drawn[0].action == Marker.DELETEALL
    line = next(m for m in drawn if m.type == Marker.LINE_STRIP)
    assert [(p.x, p.y) for p in line.points] == [(0.0, 0.0), (1.0, 0.0), (2.0, 1.0)]
    texts = [m for m in drawn if m.type == Marker.TEXT_VIEW_FACING]
    assert [(m.text, m.pose.position.x) for m in texts] == [("1", 1.0), ("2", 2.0)]


def test_no_path_wipes_the_old_one():
    assert [m.action for m in path_markers(np.zeros((0, 2)), "odom").markers] == [Marker.DELETEALL]


@pytest.fixture
def world(monkeypatch):
    """A context, an executor and a node to publish from."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=1 + os.getpid() % 100)
    executor = SingleThreadedExecutor(context=context)
    display, peer = Display(context=context), Node("peer", context=context)
    executor.add_node(display)
    executor.add_node(peer)
    yield executor, display, peer
    display.destroy_node()
    peer.destroy_node()
    rclpy.shutdown(context=context)


def spin_until(executor, condition, what, limit_s=15.0):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"waited {limit_s:g} s until {what}"
        executor.spin_once(timeout_sec=0.05)


def test_draws_only_while_somebody_looks(world):
    executor, display, peer = world
    states = peer.create_publisher(RobotState, "state", qos.STATE_PUB)
    arrived = []
    peer.create_subscription(RobotState, "state", arrived.append, qos.STATE_LATEST)
    publish = peer.create_timer(0.02, lambda: states.publish(fill_state(RobotState(), start_measurement(ANT), ANT)))
    spin_until(executor, lambda: states.get_subscription_count() == 2 and len(arrived) > 20, "states flow")
    assert display.drawn == 0

    robots, paths = [], []
    peer.create_subscription(MarkerArray, "display/robot", robots.append, 1)
    peer.create_subscription(MarkerArray, "display/path", paths.append, 1)
    spin_until(executor, lambda: len(robots) > 3 and paths, "robot and an empty path are drawn")
    assert len(paths[-1].markers) == 1
    path = path_message(np.array([[0.0, 0.0], [2.0, 1.0]]), "odom")
    peer.create_publisher(PathMessage, "path", qos.LATCHED).publish(path)
    spin_until(executor, lambda: len(paths[-1].markers) > 1, "the path is drawn")
    np.testing.assert_allclose(positions(paths[-1].markers[2:3]), [[2.0, 1.0, 0.015]])

    publish.destroy()
    states.publish(RobotState(robot="ant"))
    spin_until(executor, lambda: display.rejects["state"] == 1, "an unusable state is counted")
