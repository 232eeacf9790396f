"""Display: draws the robot and its path for RViz, in the odometry frame, so that no TF is needed to see them.

- subscribes to ``state`` and ``path``;
- publishes ``display/robot`` and ``display/path`` (visualization_msgs/MarkerArray), only while somebody listens.

Plan and candidates are drawn by the controller (``mpc_controller/optimal_path``, ``mpc_controller/candidates``).
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from nav_msgs.msg import Path as PathMessage
from rclpy.node import Node
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import measurement_from, points_from
from mbmf_ros.nodes.drawing import RateLimit, numbered
from mbmf_ros.nodes.rejects import Rejects
from mbmf_ros.nodes.runtime import OK, STEADY, Diagnostics, declare, option, run
from mbmf_ros.robots import RobotSpec, robot
from mbmf_ros.robots.sim import Simulation

_PATH_COLOR = ColorRGBA(r=0.11, g=0.43, b=0.86, a=1.0)
_TEXT_COLOR = ColorRGBA(r=0.95, g=0.95, b=0.95, a=1.0)


@dataclass(frozen=True)
class DisplayConfig:
    """Parameters of the display."""

    robot: str = option("ant", "robot to draw")
    odom_frame: str = option("odom", "frame to draw in")
    frame_rate: float = option(20.0, "drawings of the robot per second, at most [Hz]", 0.1, 100.0)


@dataclass(frozen=True)
class Part:
    """A marker's shape: where it sits in its geom, (3,) [m], and its RViz type and size."""

    geom: int
    offset: tuple[float, float, float]
    kind: int
    scale: tuple[float, float, float]


def parts_of(model: mujoco.MjModel) -> list[Part]:
    """The shapes that make up a MuJoCo model's moving bodies; RViz has no capsules, so they are three shapes each."""
    parts = []
    for geom in range(model.ngeom):
        if model.geom_bodyid[geom] == 0 or model.geom_rgba[geom, 3] == 0:
            continue
        a, b, c = (float(size) for size in model.geom_size[geom])
        centre = (0.0, 0.0, 0.0)
        kind = int(model.geom_type[geom])
        if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
            parts.append(Part(geom, centre, Marker.SPHERE, (2 * a, 2 * a, 2 * a)))
        elif kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
            parts.append(Part(geom, centre, Marker.SPHERE, (2 * a, 2 * b, 2 * c)))
        elif kind == mujoco.mjtGeom.mjGEOM_BOX:
            parts.append(Part(geom, centre, Marker.CUBE, (2 * a, 2 * b, 2 * c)))
        elif kind in (mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_CAPSULE):
            parts.append(Part(geom, centre, Marker.CYLINDER, (2 * a, 2 * a, 2 * b)))
            if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
                ends = ((0.0, 0.0, -b), (0.0, 0.0, b))
                parts += [Part(geom, end, Marker.SPHERE, (2 * a, 2 * a, 2 * a)) for end in ends]
        else:
            name = model.geom(geom).name or geom
            raise MbmfError(f"display: cannot draw geom {name!r}: its type is {mujoco.mjtGeom(kind).name}")
    return parts


class RobotMarkers:
    """Markers of a robot, moved to where a measurement says it is.

    Args:
        spec: the robot.
        frame: that the markers are in: the odometry frame.
    """

    def __init__(self, spec: RobotSpec, frame: str):
        self._simulation = Simulation(spec)
        self._parts = parts_of(self._simulation.model)
        self._offsets = np.array([part.offset for part in self._parts])
        self._geoms = np.array([part.geom for part in self._parts])
        markers = []
        for index, part in enumerate(self._parts):
            marker = Marker(ns="robot", id=index, type=part.kind, action=Marker.ADD)
            marker.header.frame_id = frame
            marker.scale = Vector3(x=part.scale[0], y=part.scale[1], z=part.scale[2])
            r, g, b, a = (float(value) for value in self._simulation.model.geom_rgba[part.geom])
            marker.color = ColorRGBA(r=r, g=g, b=b, a=a)
            markers.append(marker)
        self._message = MarkerArray(markers=markers)

    def move(self, m: np.ndarray) -> MarkerArray:
        """The markers at measurement ``m`` (nm,); the same message every time."""
        self._simulation.reset(m)
        data = self._simulation.data
        rotations = data.geom_xmat[self._geoms].reshape(-1, 3, 3)
        positions = data.geom_xpos[self._geoms] + np.einsum("nij,nj->ni", rotations, self._offsets)
        quaternion = np.zeros(4)
        for marker, position, rotation in zip(self._message.markers, positions.tolist(), rotations, strict=True):
            mujoco.mju_mat2Quat(quaternion, rotation.ravel())
            w, x, y, z = quaternion.tolist()
            marker.pose = Pose(
                position=Point(x=position[0], y=position[1], z=position[2]), orientation=Quaternion(w=w, x=x, y=y, z=z)
            )
        return self._message


def path_markers(path: np.ndarray, frame: str) -> MarkerArray:
    """Markers of a path (P, 2) [m]: where it begins, then its waypoints, numbered; they replace all earlier ones."""
    wipe = Marker(action=Marker.DELETEALL)
    wipe.header.frame_id = frame
    markers = [wipe]

    def add(name: str, index: int, kind: int, scale: tuple[float, float, float], color: ColorRGBA) -> Marker:
        marker = Marker(ns=name, id=index, type=kind, action=Marker.ADD, color=color)
        marker.header.frame_id = frame
        marker.scale = Vector3(x=scale[0], y=scale[1], z=scale[2])
        marker.pose.orientation.w = 1.0
        markers.append(marker)
        return marker

    if len(path) > 1:
        line = add("path", 0, Marker.LINE_STRIP, (0.04, 0.0, 0.0), _PATH_COLOR)
        line.points = [Point(x=float(x), y=float(y), z=0.01) for x, y in path]
    for number, x, y in numbered(path):
        disc = add("waypoints", number, Marker.CYLINDER, (0.22, 0.22, 0.03), _PATH_COLOR)
        disc.pose.position = Point(x=x, y=y, z=0.015)
        text = add("numbers", number, Marker.TEXT_VIEW_FACING, (0.0, 0.0, 0.2), _TEXT_COLOR)
        text.pose.position = Point(x=x, y=y, z=0.25)
        text.text = str(number)
    return MarkerArray(markers=markers)


class Display(Node):
    """See the module."""

    def __init__(self, **options: Any) -> None:
        super().__init__("display", **options)
        self.config = declare(self, DisplayConfig())
        self._spec = robot(self.config.robot)
        self._robot_markers = RobotMarkers(self._spec, self.config.odom_frame)
        self._points = np.zeros((0, 2))
        self._rate = RateLimit(self.config.frame_rate)
        self.rejects, self.drawn = Rejects(), 0
        self._robot = self.create_publisher(MarkerArray, "display/robot", qos.DRAWING)
        self._path = self.create_publisher(MarkerArray, "display/path", qos.LATCHED)
        self.create_subscription(RobotState, "state", self._on_state, qos.STATE_LATEST)
        self.create_subscription(PathMessage, "path", self._on_path, qos.LATCHED)
        # Whoever does not ask for latched messages (RViz, unless told as in config/ant_sim.rviz) sees a repetition.
        self.create_timer(1.0, self._draw_path, clock=STEADY)
        self._diagnostics = Diagnostics(self, self._spec.name, self._condition, self.rejects)

    def _on_state(self, message: RobotState) -> None:
        self._diagnostics.heard("state")
        if not self._robot.get_subscription_count():
            return
        try:
            m = measurement_from(message, self._spec)
        except MbmfError as error:
            self.rejects.add("state", error)
            self.get_logger().warning(f"state ignored: {error}", throttle_duration_sec=5.0)
            return
        if not self._rate.ready(time.monotonic()):
            return
        markers = self._robot_markers.move(m)
        for marker in markers.markers:
            marker.header.stamp = message.header.stamp
        self._robot.publish(markers)
        self.drawn += 1

    def _on_path(self, message: PathMessage) -> None:
        self._points = points_from(message)
        self._draw_path()

    def _draw_path(self) -> None:
        if self._path.get_subscription_count():
            self._path.publish(path_markers(self._points, self.config.odom_frame))

    def _condition(self) -> tuple[bytes, str, dict[str, Any]]:
        return OK, "drawing" if self._robot.get_subscription_count() else "nobody is looking", {"drawn": self.drawn}


def main(args: list[str] | None = None) -> int:
    """Run the node; the process's exit code."""
    return run(Display, args)


if __name__ == "__main__":
    sys.exit(main())
