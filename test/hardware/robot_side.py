"""A robot as its messages show it: the inverse of what the bridge computes, written on its own for the tests."""

from __future__ import annotations

import math
from typing import Any

import mujoco
import numpy as np
from hypothesis import strategies as st

from mbmf_ros.hardware.config import HardwareConfig, parse_hardware
from mbmf_ros.hardware.estimator import Estimator
from mbmf_ros.robots import robot
from mbmf_ros.robots.sim import start_measurement

SPEC = robot("ant")
LAYOUT = SPEC.measurement
UP = np.array([0.0, 0.0, 9.81])
DEGREES, RPM = 180 / math.pi, 30 / math.pi


def values(**changes: Any) -> dict[str, Any]:
    """The contents of a hardware YAML: the ant under names of its own, all signs and gears plain."""
    joints = {name: {"name": f"r_{name}", "low": -2.0, "high": 2.0} for name in SPEC.joints}
    plain = {"robot": "ant", "joints": joints, "command": {"order": [f"r_{name}" for name in SPEC.actuated_joints]}}
    return plain | changes


def config(**changes: Any) -> HardwareConfig:
    """The robot of :func:`values`."""
    return parse_hardware(values(**changes))


def quaternion(matrix: np.ndarray) -> np.ndarray:
    """Of a rotation matrix (3, 3), by MuJoCo, (4,)."""
    q = np.empty(4)
    mujoco.mju_mat2Quat(q, matrix.ravel())
    return q


def matrix(q: np.ndarray) -> np.ndarray:
    """Of a quaternion (4,), by MuJoCo, (3, 3)."""
    out = np.empty(9)
    mujoco.mju_quat2Mat(out, q / np.linalg.norm(q))
    return out.reshape(3, 3)


def mount(rpy: tuple[float, ...]) -> np.ndarray:
    """Rotation (3, 3) of a URDF's roll, pitch, yaw."""
    (r, p, y), (c, s) = rpy, (np.cos, np.sin)
    x = np.array([[1, 0, 0], [0, c(r), -s(r)], [0, s(r), c(r)]])
    b = np.array([[c(p), 0, s(p)], [0, 1, 0], [-s(p), 0, c(p)]])
    z = np.array([[c(y), -s(y), 0], [s(y), c(y), 0], [0, 0, 1]])
    return z @ b @ x


class Robot:
    """Says what a robot in a given state would say.

    Args:
        config: as the bridge has it.
        imu_yaw: where the IMU takes forward to be [rad]: it knows no heading.
    """

    def __init__(self, config: HardwareConfig, imu_yaw: float = 0.0):
        self.config, self.imu_yaw = config, imu_yaw
        self.order = np.random.default_rng(3).permutation(len(SPEC.joints))

    def joints(self, m: np.ndarray) -> tuple[list[str], list[float], list[float]]:
        """Names, positions and velocities of a joint state, in an order of the robot's own."""
        angle = {"rad": 1.0, "deg": DEGREES, "turn": 0.5 / math.pi}[self.config.units.position]
        rate = {"rad/s": 1.0, "deg/s": DEGREES, "turn/s": 0.5 / math.pi, "rpm": RPM}[self.config.units.velocity]
        names, position, velocity = [], [], []
        for index in self.order:
            joint = self.config.joints[SPEC.joints[index]]
            q, dq = m[LAYOUT.joint_position][index], m[LAYOUT.joint_velocity][index]
            names.append(joint.name)
            position.append((joint.sign * joint.gear * q + joint.offset) * angle)
            velocity.append(joint.sign * joint.gear * dq * rate)
        return names, position, velocity

    def imu(self, m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Orientation, angular velocity and acceleration at rest, in the IMU's frame."""
        base, fixed = matrix(m[LAYOUT.orientation]), mount(self.config.imu.rpy)
        wrong = mount((0.0, 0.0, self.imu_yaw))
        return quaternion(wrong @ base @ fixed), fixed.T @ m[LAYOUT.angular_velocity], fixed.T @ base.T @ UP

    def pose(self, m: np.ndarray) -> tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Frame, position and orientation of the tracked frame, and its twist as the configuration has it."""
        base, fixed, xyz = matrix(m[LAYOUT.orientation]), mount(self.config.pose.rpy), np.array(self.config.pose.xyz)
        v, w = m[LAYOUT.linear_velocity], m[LAYOUT.angular_velocity]
        at_tracked = v + np.cross(w, xyz)  # in base_link
        into = base if self.config.pose.twist == "odom" else fixed.T
        return (
            "odom",
            m[LAYOUT.position] + base @ xyz,
            quaternion(base @ fixed),
            into @ at_tracked,
            into @ w,
        )

    def tell(self, estimator: Estimator, m: np.ndarray, stamp_s: float, arrival_s: float) -> None:
        """Send everything at once."""
        estimator.take_joints(stamp_s, arrival_s, *self.joints(m))
        estimator.take_imu(stamp_s, arrival_s, *self.imu(m))
        estimator.take_pose(stamp_s, arrival_s, *self.pose(m))


def same(a: np.ndarray, b: np.ndarray, atol: float = 1e-9) -> None:
    """Two measurements say the same; a quaternion and its negative are one orientation."""
    part, turned = LAYOUT.orientation, b.copy()
    turned[part] *= np.sign(a[part] @ b[part])
    np.testing.assert_allclose(a, turned, atol=atol)


def standing() -> np.ndarray:
    """At rest in the start pose."""
    return start_measurement(SPEC)


@st.composite
def measurements(draw: st.DrawFn) -> np.ndarray:
    """Any state of the ant that is not upside down, where heading has no meaning."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    m = rng.normal(0.0, 2.0, LAYOUT.size)
    yaw, axis = rng.uniform(-math.pi, math.pi), rng.normal(size=2)
    tilt = draw(st.floats(0.0, 2.8)) * axis / np.linalg.norm(axis)
    half = np.linalg.norm(tilt) / 2
    swing = np.array([np.cos(half), *(np.sin(half) * axis / np.linalg.norm(axis)), 0.0])
    turned = np.empty(4)
    mujoco.mju_mulQuat(turned, np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]), swing)
    m[LAYOUT.orientation] = turned
    return m


angles = st.tuples(*[st.floats(-math.pi, math.pi)] * 3)


@st.composite
def configs(draw: st.DrawFn) -> HardwareConfig:
    """The ant with any signs, gears, offsets, units and mounts."""
    plain = values()
    for entry in plain["joints"].values():
        entry["sign"] = draw(st.sampled_from([1, -1]))
        entry["gear"] = draw(st.floats(0.01, 100.0))
        entry["offset"] = draw(st.floats(-3.0, 3.0))
        entry["scale"] = draw(st.floats(0.1, 200.0))
        entry["center"] = draw(st.floats(-1.0, 1.0))
    plain["command"]["order"] = draw(st.permutations(plain["command"]["order"]))
    plain["units"] = {
        "position": draw(st.sampled_from(["rad", "deg", "turn"])),
        "velocity": draw(st.sampled_from(["rad/s", "deg/s", "turn/s", "rpm"])),
        "effort": draw(st.sampled_from(["N m", "mN m"])),
    }
    plain["imu"] = {"rpy": list(draw(angles))}
    xyz = draw(st.tuples(*[st.floats(-0.5, 0.5)] * 3))
    plain["pose"] = {"rpy": list(draw(angles)), "xyz": list(xyz), "twist": draw(st.sampled_from(["base", "odom"]))}
    return parse_hardware(plain)
