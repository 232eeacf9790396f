"""The cockpit's 3D view: a robot, its path, plan and candidates in a web page, and clicks as points on the ground.

Knows viser and MuJoCo, but no ROS. World coordinates are the odometry frame, z up, the ground at z = 0.
"""

from __future__ import annotations

import contextlib
import io
from collections import deque
from collections.abc import Callable

import numpy as np
import viser
from mjviser.scene import ViserMujocoScene

from mbmf_ros.nodes.drawing import numbered
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.measurement import quaternion_of_yaw, yaw_of
from mbmf_ros.robots.sim import Simulation, start_measurement

PATH_COLOR = (28, 110, 220)
PLAN_COLOR = (20, 160, 90)
TRAIL_COLOR = (130, 130, 140)
_CAMERA_OFFSET_M = np.array([-3.0, -3.2, 2.6])  # from the robot to a new browser's camera
_TRAIL_STEP_M = 0.05
_TRAIL_POINTS = 800


def ground_point(origin: np.ndarray, direction: np.ndarray) -> np.ndarray | None:
    """Where a ray meets the ground z = 0, (2,) [m]; None where it points at the sky or along the ground.

    Args:
        origin: start of the ray, (3,) [m].
        direction: of any length, (3,).
    """
    if abs(direction[2]) < 1e-9 * np.linalg.norm(direction):
        return None
    distance = -origin[2] / direction[2]
    if distance <= 0:
        return None
    return (origin + distance * direction)[:2]


def segments(points: np.ndarray, height_m: float) -> np.ndarray:
    """The line segments (P - 1, 2, 3) of a polyline (P, 2), lifted to ``height_m`` [m]."""
    lifted = np.column_stack([points, np.full(len(points), height_m)])
    return np.stack([lifted[:-1], lifted[1:]], axis=1)


class Scene:
    """What a browser shows of one robot. May be called from any one thread.

    Args:
        server: of the page.
        spec: the robot.
    """

    def __init__(self, server: viser.ViserServer, spec: RobotSpec):
        self.server = server
        self._spec = spec
        self._robot = Simulation(spec)
        self._meshes = ViserMujocoScene(server, self._robot.model, num_envs=1)
        self._meshes.camera_tracking_enabled = False  # it moves the world instead of the camera: clicks would be off
        self._dress()
        self._heading = server.scene.add_frame("/robot", show_axes=False)
        reach = 0.45
        server.scene.add_arrows(
            "/robot/heading",
            np.array([[[0.0, 0.0, 0.0], [reach, 0.0, 0.0]]]),
            PLAN_COLOR,
            shaft_radius=0.02,
            head_radius=0.05,
            head_length=0.12,
            position=(0.0, 0.0, 0.32),
        )
        self._marks: list[tuple[viser.CylinderHandle, viser.LabelHandle]] = []  # disc and number of each waypoint
        self._trail: deque[np.ndarray] = deque(maxlen=_TRAIL_POINTS)
        self._trail_grew = False
        self._looked_at = np.full(2, np.inf)
        self.show_robot(start_measurement(spec))

    def _dress(self) -> None:
        """Ground, light and theme."""
        scene = self.server.scene
        scene.configure_environment_map("park", environment_intensity=0.7)
        model = self._robot.model
        for index in np.flatnonzero(model.geom_bodyid == 0):  # mjviser's floor
            scene.remove_by_name(f"/fixed_bodies/world/{model.geom(index).name}")
        scene.add_grid(
            "/ground",
            infinite_grid=True,
            cell_size=1.0,
            section_size=5.0,
            cell_color=(214, 219, 227),
            section_color=(170, 180, 196),
            plane_color=(244, 246, 249),
            plane_opacity=1.0,
            fade_distance=45.0,
            shadow_opacity=0.25,
            position=(0.0, 0.0, -0.002),
        )
        scene.world_axes.visible = False
        self.server.initial_camera.fov = np.deg2rad(50.0)

    def on_ground_click(self, callback: Callable[[np.ndarray | None], None]) -> None:
        """Have ``callback`` called in viser's thread with the point on the ground (2,) [m]; None: that was the sky."""

        async def clicked(event: viser.SceneClickEvent) -> None:  # a coroutine, so that clicks stay in their order
            callback(ground_point(np.array(event.ray_origin), np.array(event.ray_direction)))

        self.server.scene.on_click()(clicked)  # pyright: ignore[reportArgumentType]  # viser awaits coroutines

    @property
    def watched(self) -> bool:
        """Whether a browser is looking."""
        return bool(self.server.get_clients())

    def show_robot(self, m: np.ndarray) -> None:
        """Put the robot where measurement ``m`` (nm,) says."""
        self._robot.reset(m)
        position = m[self._spec.measurement.position]
        with self.server.atomic():
            self._heading.position = position
            self._heading.wxyz = quaternion_of_yaw(float(yaw_of(m[self._spec.measurement.orientation])))
            self._meshes.update_from_mjdata(self._robot.data)
        if np.linalg.norm(position[:2] - self._looked_at) > 0.5:
            self._looked_at = position[:2].copy()
            target = np.array([*self._looked_at, 0.3])
            self.server.initial_camera.position = target + _CAMERA_OFFSET_M
            self.server.initial_camera.look_at = target

    def show_path(self, points: np.ndarray) -> None:
        """Show the active path (P, 2) [m]: where it begins, then its waypoints, numbered; none: P = 0."""
        marks = numbered(points)
        with self.server.atomic():
            self._show_line("/path", points, 0.015, PATH_COLOR, 0.035)
            # Kept and moved: labels that are removed and added again under one name get lost in the browser.
            for index in range(len(self._marks), len(marks)):
                self._marks.append(self._add_mark(f"/waypoints/{index}"))
            for (disc, label), (number, x, y) in zip(self._marks, marks, strict=False):
                disc.position = (x, y, 0.015)
                label.position = (x, y, 0.22)
                label.text = str(number)
            for index, mark in enumerate(self._marks):
                for part in mark:
                    part.visible = index < len(marks)

    def _add_mark(self, name: str) -> tuple[viser.CylinderHandle, viser.LabelHandle]:
        scene = self.server.scene
        disc = scene.add_cylinder(f"{name}/disc", 0.11, 0.03, color=PATH_COLOR)
        return disc, scene.add_label(f"{name}/label", "", anchor="bottom-center")

    def _show_line(
        self, name: str, points: np.ndarray, height_m: float, color: tuple[int, int, int], thickness_m: float
    ) -> None:
        """Show a polyline (P, 2) [m] under ``name``, instead of the one that was there; none: P < 2."""
        if len(points) < 2:
            self.server.scene.remove_by_name(name)
            return
        self.server.scene.add_line_segments(name, segments(points, height_m), color, thickness=thickness_m)

    def show_plan(self, points: np.ndarray) -> None:
        """Show the positions (P, 2) [m] that the controller's chosen plan predicts; none: P < 2."""
        self._show_line("/plan", points, 0.05, PLAN_COLOR, 0.04)

    def clear_plan(self) -> None:
        """Show no plan."""
        self.server.scene.remove_by_name("/plan")

    def show_candidates(self, lines: np.ndarray, colors: np.ndarray) -> None:
        """Show line segments (N, 2, 3) [m] in colours (N, 2, 3), 0 to 255; none: N = 0."""
        if len(lines) == 0:
            self.clear_candidates()
            return
        self.server.scene.add_line_segments("/candidates", lines, colors.astype(np.uint8), thickness=0.012)

    def clear_candidates(self) -> None:
        """Show no candidates."""
        self.server.scene.remove_by_name("/candidates")

    def extend_trail(self, xy: np.ndarray) -> None:
        """Remember that the robot was at ``xy`` (2,) [m]."""
        if not self._trail or np.linalg.norm(xy - self._trail[-1]) > _TRAIL_STEP_M:
            self._trail.append(xy.copy())
            self._trail_grew = True

    def show_trail(self) -> None:
        """Show where the robot has been."""
        if self._trail_grew:
            self._show_line("/trail", np.array(self._trail), 0.008, TRAIL_COLOR, 0.02)
            self._trail_grew = False

    def clear_trail(self) -> None:
        """Forget where the robot has been."""
        self._trail.clear()
        self.server.scene.remove_by_name("/trail")

    def look_at_robot(self, client: viser.ClientHandle) -> None:
        """Turn one browser's camera back to the robot."""
        with client.atomic():
            target = np.array([*self._robot.data.xpos[1][:2], 0.3])
            client.camera.position = target + _CAMERA_OFFSET_M
            client.camera.look_at = target


def close_server(server: viser.ViserServer) -> None:
    """Stop serving; viser's word about it is kept off the terminal."""
    with contextlib.redirect_stdout(io.StringIO()):
        server.stop()


def open_server(host: str, port: int, label: str) -> viser.ViserServer:
    """Serve a page on ``host`` at ``port`` or, where that is taken, at the next free one; 0: any."""
    with contextlib.redirect_stdout(io.StringIO()):  # viser draws a box around the address; the node logs it
        server = viser.ViserServer(host=host, port=port, label=label, verbose=False)
    server.gui.configure_theme(show_logo=False, show_share_button=False, brand_color=PATH_COLOR)
    return server
