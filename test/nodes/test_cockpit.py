"""The cockpit over real ROS, and its page in headless Chromium."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

import rclpy
from nav_msgs.msg import Path as PathMessage
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from mbmf_ros.msg import RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.cockpit import Cockpit
from mbmf_ros.nodes.conversions import fill_state, points_from
from mbmf_ros.nodes.readout import Reports, read_out
from mbmf_ros.nodes.runtime import STEADY
from mbmf_ros.nodes.waypoints import Waypoints
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

pytestmark = pytest.mark.ros
ANT = robot("ant")
CHROMIUM = shutil.which("chromium")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Ros:
    """Nodes of this test, spun in a thread, on a domain of this process."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=1 + os.getpid() % 100)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._nodes: list[Node] = []
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self):
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def add(self, node):
        """Have ``node`` spun; returns it."""
        self._nodes.append(node)
        self._executor.add_node(node)
        return node

    def cockpit(self, **parameters) -> Cockpit:
        """A cockpit with these parameters, at any free port."""
        overrides = [Parameter(name, value=value) for name, value in {"port": 0, **parameters}.items()]
        return self.add(Cockpit(context=self.context, parameter_overrides=overrides))

    def close(self):
        self._executor.shutdown()
        self._thread.join()
        for node in self._nodes:
            node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def ros(monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    world = Ros()
    yield world
    world.close()


class FakeBridge(Node):
    """Says where the robot is, 20 times a second, counts emergency stops, and hears of paths."""

    def __init__(self, context):
        super().__init__("sim_bridge", context=context)
        self.m = start_measurement(ANT)
        self.stops = 0
        self.paths: list[np.ndarray] = []
        self._state = self.create_publisher(RobotState, "state", qos.STATE_PUB)
        self._timer = self.create_timer(0.05, self._tick, clock=STEADY)
        self.create_subscription(PathMessage, "path", lambda path: self.paths.append(points_from(path)), qos.LATCHED)
        self.create_service(Trigger, "~/estop", self._on_estop)

    def _tick(self):
        status = RobotState.STATUS_ESTOP if self.stops else RobotState.STATUS_ACTIVE
        self._state.publish(fill_state(RobotState(status=status), self.m, ANT))

    def silence(self):
        """Stop saying where the robot is."""
        self._timer.cancel()

    def _on_estop(self, _, response):
        self.stops += 1
        response.success = True
        return response


def test_cockpit_without_viser_says_what_to_install():
    code = (
        "import sys; sys.modules['viser'] = None\n"
        "from mbmf_ros.nodes.cockpit import main\n"
        "sys.exit(main(['--ros-args', '-p', 'port:=0']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "pip install viser==1.1.1 mjviser==0.0.14" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_gives_the_next_free_one_and_a_word_about_it(ros):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cockpit = ros.cockpit(port=port)
        assert cockpit.server.get_port() != port
        with socket.create_connection(("127.0.0.1", cockpit.server.get_port()), timeout=5):
            pass


def test_a_command_whose_service_is_missing_is_complained_about(ros, monkeypatch):
    cockpit, told, done = ros.cockpit(bridge="nobody"), [], threading.Event()
    monkeypatch.setattr(cockpit.panel, "tell", lambda title, text: (told.append((title, text)), done.set()))
    cockpit.panel.command("estop")
    assert done.wait(10)
    assert told == [("estop failed", "there is no service /nobody/estop: is /nobody running?")]


@pytest.mark.parametrize(
    ("status", "offered", "service", "kind"),
    [
        (RobotState.STATUS_ACTIVE, "", "", None),
        (RobotState.STATUS_HOLDING, "", "", None),
        (RobotState.STATUS_ESTOP, "clear_estop", "clear_estop", Trigger),
        (RobotState.STATUS_TRIPPED, "clear_trip", "clear_estop", Trigger),
        (RobotState.STATUS_DISABLED, "enable", "enable", SetBool),
    ],
)
def test_the_panel_offers_what_lets_the_robot_go_on(ros, status, offered, service, kind):
    bridge, called, asked = ros.add(Node("sim_bridge", context=ros.context)), threading.Event(), []

    def answer(request, response):
        asked.append(getattr(request, "data", None))
        called.set()
        response.success = True
        return response

    cockpit = ros.cockpit()
    cockpit.panel.show(read_out(Reports(RobotState(status=status), 0.0), 0.0, 1.0))
    assert [name for name, button in cockpit.panel._ways_on.items() if button.visible] == [offered] * bool(offered)
    if offered:
        bridge.create_service(kind, f"~/{service}", answer)
        assert cockpit._commands[offered].wait_for_service(20)
        cockpit.panel.command(offered)
        assert called.wait(20)
        assert asked == [True if kind is SetBool else None]


# In a browser ---------------------------------------------------------------------------------------------------------


class Browser:
    """The page in headless Chromium."""

    def __init__(self, page, cockpit):
        self.page, self.cockpit = page, cockpit
        page.goto(cockpit.url)
        self.wait(lambda: cockpit.server.get_clients(), "the page connects")
        self.client = next(iter(cockpit.server.get_clients().values()))
        start = cockpit.server.initial_camera.position
        self.wait(lambda: np.allclose(self.client.camera.position, start, atol=1e-3), "the camera takes its place")

    def wait(self, condition, what, limit_s=40.0):
        """Wait until ``condition`` holds; ``what`` it means."""
        end = time.monotonic() + limit_s
        while not (value := condition()):
            assert time.monotonic() < end, f"waited {limit_s:g} s until {what}"
            self.page.wait_for_timeout(50)
        return value

    def pixel(self, point):
        """Where the 3D ``point`` [m] is on the page, (x, y)."""
        from viser.transforms import SO3

        camera = self.client.camera
        x, y, z = SO3(camera.wxyz).inverse() @ (np.asarray(point, dtype=float) - camera.position)
        assert z > 0, f"{point} is behind the camera"
        box = self.page.locator("canvas").first.bounding_box()
        focal = 0.5 * box["height"] / np.tan(0.5 * camera.fov)
        return box["x"] + 0.5 * box["width"] + focal * x / z, box["y"] + 0.5 * box["height"] + focal * y / z

    def brown(self, point, radius=6):
        """Share of the pixels around 3D ``point`` [m] that have the ant's colour; the ground is bluish white."""
        import io

        from PIL import Image

        x, y = (round(value) for value in self.pixel(point))
        clip = {"x": x - radius, "y": y - radius, "width": 2 * radius, "height": 2 * radius}
        shot = np.array(Image.open(io.BytesIO(self.page.screenshot(clip=clip))).convert("RGB"), dtype=int)
        return float(np.mean(shot[..., 0] - shot[..., 2] > 25))


@pytest.fixture
def browser(ros):
    if CHROMIUM is None:
        in_ci = os.environ.get("CI") == "true"  # must not pass without having looked at the page
        (pytest.fail if in_ci else pytest.skip)("no Chromium: as root, apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    bridge = ros.add(FakeBridge(ros.context))
    ros.add(Waypoints(context=ros.context))
    cockpit = ros.cockpit()
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        page = chromium.new_page(viewport={"width": 800, "height": 400})
        page.set_default_timeout(40_000)
        yield Browser(page, cockpit), bridge
        chromium.close()


@pytest.mark.browser
def test_the_page_shows_the_robot_and_a_click_is_a_waypoint(browser):
    page, bridge = browser
    # viser remarks that it renders in software, as it does here, on top of the robot.
    page.page.add_style_tag(content=".mantine-Notifications-root {display: none}")
    here, there = np.array([0.0, 0.0, 0.55]), np.array([0.6, -1.1, 0.55])
    page.wait(lambda: page.brown(here) > 0.9, "the robot is drawn")
    assert page.brown(there) < 0.1
    bridge.m = start_measurement(ANT, pose=(there[0], there[1], 0.0))
    page.wait(lambda: page.brown(there) > 0.9, "the robot is drawn at its new place")
    page.wait(lambda: page.brown(here) < 0.1, "the robot has left its old place")

    def click(x, y):
        """Click on ground point (x, y) [m]; returns the path's waypoints (P, 2) then."""
        before = len(bridge.paths)
        page.page.mouse.click(*page.pixel([x, y, 0.0]))
        return page.wait(lambda: bridge.paths[before:], "the path changes", 10.0)[-1][1:]

    page.wait(lambda: bridge.paths, "the waypoints node has spoken")
    goals = np.array([[0.3, 1.2], [2.5, 0.7], [6.0, 4.0]])
    for index, goal in enumerate(goals):
        waypoints = click(*goal)
        assert len(waypoints) == index + 1
        assert np.linalg.norm(waypoints - goals[: index + 1], axis=1).max() < 0.1

    # After turning the camera, too; turning it is no click.
    x, y = page.pixel([0.0, 0.0, 0.0])
    before = page.client.camera.position
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.page.mouse.move(x + 40, y + 10, steps=4)
    page.page.mouse.up()
    page.wait(lambda: np.linalg.norm(page.client.camera.position - before) > 0.5, "the camera turns")
    seen = []

    def still():
        seen.append(page.client.camera.position.copy())
        return len(seen) > 40 and np.allclose(seen[-40:], seen[-1], atol=1e-4)  # for 2 s

    page.wait(still, "the camera stands still")
    waypoints = click(0.7, 0.4)
    assert len(waypoints) == 4
    assert np.linalg.norm(waypoints[-1] - [0.7, 0.4]) < 0.1


@pytest.mark.browser
def test_the_panel_stops_the_robot_and_tells_when_its_state_is_lost(browser):
    page, bridge = browser
    page.page.get_by_text("no controller").wait_for()
    page.page.get_by_role("button", name="EMERGENCY STOP", exact=True).click()
    page.wait(lambda: bridge.stops == 1, "the emergency stop is called", 10.0)
    page.page.get_by_role("button", name="Clear emergency stop").wait_for()
    page.page.get_by_role("button", name="Reset robot").click()
    page.page.get_by_text("there is no service /sim_bridge/reset").first.wait_for()
    bridge.silence()
    page.page.get_by_text("state lost during EMERGENCY STOP").wait_for()
