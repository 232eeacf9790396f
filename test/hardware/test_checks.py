"""Start-up checks: a robot that is as described passes; each way of being another robot is told."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from robot_side import LAYOUT, Robot, config, standing, values

from mbmf_ros.hardware.checks import start_problems
from mbmf_ros.hardware.estimator import Estimator


def problems(
    change: Callable[[Robot], None] = lambda _: None,
    m: np.ndarray | None = None,
    hertz: float = 100.0,
    **described: Any,
) -> list[str]:
    """What is wrong with a robot, changed by ``change``, that is described by ``described``; heard for two seconds."""
    hardware = config(**described)
    estimator, robot = Estimator(hardware), Robot(config(**described))
    change(robot)
    m = standing() if m is None else m
    now_s, found = 0.0, None
    for step in range(int(2 * hertz)):
        now_s = step / hertz
        robot.tell(estimator, m, now_s, now_s)
        found = estimator.measure(now_s)[0]
    return start_problems(estimator, found, now_s)


def test_a_robot_as_described_passes():
    assert problems() == []
    assert problems(imu={"rpy": [math.pi, 0.3, 1.0]}) == []


def test_a_robot_that_says_nothing():
    assert len(start_problems(Estimator(config()), None, 0.0)) == 3


def test_inputs_that_come_too_seldom():
    lines = problems(hertz=50.0)
    assert [line.split(":")[0] for line in lines] == ["joint_states", "imu", "pose"]
    assert "50 messages per second on joint_states, expected 100" in lines[0]
    assert problems(hertz=80.0) == []


def test_a_joint_with_another_sign_is_told_by_its_position():
    def change(robot: Robot) -> None:
        joints = dict(robot.config.joints)
        joints["ankle_1"] = dataclasses.replace(joints["ankle_1"], offset=2.5)
        robot.config = dataclasses.replace(robot.config, joints=joints)

    (line,) = problems(change)
    assert line.startswith("joint ankle_1 (r_ankle_1) is at 3.500 rad, expected -2 to 2; check sign, gear and offset")


def test_a_joint_that_the_first_command_would_jerk():
    joints = {name: {**entry, "center": 0.1} for name, entry in values()["joints"].items()}
    commands = {"order": values()["command"]["order"], "interface": "position"}
    m = standing()
    m[LAYOUT.joint_position] = 0.0
    assert problems(m=m, joints=joints, command=commands) == []
    m[LAYOUT.joint_position][2] = 0.4
    (line,) = problems(m=m, joints=joints, command=commands)
    assert line == "joint hip_2 is at 0.400 rad, the first command would put it to 0.100; move it"
    assert problems(m=m, joints=joints) == []  # a torque jerks nothing


def test_an_imu_that_is_mounted_otherwise_tilts_the_robot():
    def change(robot: Robot) -> None:
        robot.config = dataclasses.replace(robot.config, imu=dataclasses.replace(robot.config.imu, rpy=(2.0, 0.0, 0.0)))

    (line,) = problems(change)
    assert "tilted by 2.00 rad" in line
    assert "imu.rpy" in line


def test_gravity_that_disagrees_with_the_orientation():
    class Confused(Robot):
        def imu(self, m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            q, gyro, _ = super().imu(m)
            return q, gyro, self.force

        force = np.array([9.81, 0.0, 0.0])

    def change(robot: Robot) -> None:
        robot.__class__ = Confused

    (line,) = problems(change)
    assert "gravity and orientation disagree by 1.57 rad" in line
    Confused.force = np.array([0.0, 0.0, 1.0])
    (line,) = problems(change)
    assert "is its unit g?" in line


def test_an_imu_without_orientation_has_to_be_described_as_such():
    hardware = config()
    estimator, robot, m = Estimator(hardware), Robot(hardware), standing()
    for step in range(200):
        estimator.take_joints(0.01 * step, 0.01 * step, *robot.joints(m))
        estimator.take_imu(0.01 * step, 0.01 * step, None, np.zeros(3), None)
        estimator.take_pose(0.01 * step, 0.01 * step, *robot.pose(m))
    assert start_problems(estimator, m, 1.99) == ["imu: it gives no orientation; set imu.tilt: pose"]


def test_a_base_in_the_air_or_lying():
    m = standing()
    m[2] = 5.0
    assert "the base is 5.00 m high, expected 0.2 to 1.3" in problems(m=m)[0]
    m = standing()
    m[LAYOUT.orientation] = (math.cos(1.0), math.sin(1.0), 0.0, 0.0)
    assert "tilted by 2.00 rad" in problems(m=m)[0]
