"""What has to be right about a robot before the first command: it is the one that the YAML and the spec describe."""

from __future__ import annotations

import numpy as np

from mbmf_ros.hardware.estimator import Estimator
from mbmf_ros.hardware.rotations import rotate
from mbmf_ros.hardware.samples import ImuSample

GRAVITY = 9.81  # m/s^2


def start_problems(estimator: Estimator, m: np.ndarray | None, now_s: float) -> list[str]:
    """Why no command should be sent yet, one line each that says what to do; empty: all is well.

    Args:
        estimator: what has been heard so far.
        m: the measurement now, (nm,); None: there is none.
        now_s: by our steady clock [s].
    """
    if unusable := estimator.silent(now_s) or estimator.late():
        return unusable
    problems = [*_rates(estimator, now_s), *_gravity(estimator)]
    if m is None:
        return [*problems, "no measurement: messages of one instant are missing (sync.tolerance, sync.stamps)"]
    return [*problems, *_joints(estimator, m), *_pose(estimator, m)]


def _rates(estimator: Estimator, now_s: float) -> list[str]:
    checks, lines = estimator.config.checks, []
    for name, one in estimator.inputs.items():
        settings, rate = estimator.settings(name), one.rate(now_s, checks.window)
        if rate < checks.rate_share * settings.rate:
            lines.append(f"{name}: {rate:.0f} messages per second on {settings.topic}, expected {settings.rate:g}")
    return lines


def _gravity(estimator: Estimator) -> list[str]:
    """The measured gravity, averaged, against what the IMU's own orientation calls up."""
    checks = estimator.config.checks
    samples: list[ImuSample] = [message.sample for message in estimator.inputs["imu"].messages]
    up = [
        rotate(sample.orientation, sample.specific_force)
        for sample in samples
        if sample.orientation is not None and sample.specific_force is not None
    ]
    if estimator.config.imu.tilt == "imu" and any(sample.orientation is None for sample in samples):
        return ["imu: it gives no orientation; set imu.tilt: pose"]
    if not up:
        return []
    mean = np.mean(up, axis=0)
    size = float(np.linalg.norm(mean))
    if abs(size - GRAVITY) > checks.gravity:
        return [f"imu: at rest it should feel {GRAVITY:g} m/s^2, it feels {size:.2f}; is it moving, or is its unit g?"]
    off_rad = float(np.arccos(np.clip(mean[2] / size, -1.0, 1.0)))
    if off_rad > checks.gravity_angle:
        return [f"imu: gravity and orientation disagree by {off_rad:.2f} rad; is the orientation's z axis up?"]
    return []


def _joints(estimator: Estimator, m: np.ndarray) -> list[str]:
    margin, lines = estimator.config.checks.joint_margin, []
    positions = m[estimator.spec.measurement.joint_position]
    for name, joint, position in zip(estimator.spec.joints, estimator.config.in_order(), positions, strict=True):
        if not joint.low - margin <= position <= joint.high + margin:
            lines.append(
                f"joint {name} ({joint.name}) is at {position:.3f} rad, expected {joint.low:g} to {joint.high:g}; "
                "check sign, gear and offset"
            )
    return [*lines, *_start(estimator, m)]


def _start(estimator: Estimator, m: np.ndarray) -> list[str]:
    """Whether the first command, the safe action, would jerk a joint to where it is told to be."""
    config, spec, lines = estimator.config, estimator.spec, []
    if not config.command.postures:
        return []
    for name, action in zip(spec.actuated_joints, spec.safe_action, strict=True):
        joint = config.joints[name]
        position = m[spec.measurement.joint_position][spec.joints.index(name)]
        target = joint.center + joint.scale * action
        if abs(position - target) > config.checks.start_distance:
            lines.append(
                f"joint {name} is at {position:.3f} rad, the first command would put it to {target:.3f}; move it"
            )
    return lines


def _pose(estimator: Estimator, m: np.ndarray) -> list[str]:
    """The robot stands the way its spec says, and the IMU agrees with the odometry on where up is."""
    spec, lines = estimator.spec, []
    low, high = spec.height_range_m
    height = float(m[2])
    if not low <= height <= high:
        lines.append(
            f"the base is {height:.2f} m high, expected {low:g} to {high:g}; check the pose's origin and pose.xyz"
        )
    q = m[spec.measurement.orientation]
    up = float(rotate(q, np.array([0.0, 0.0, 1.0]))[2])
    if up < spec.min_up:
        lines.append(f"the base is tilted by {np.arccos(np.clip(up, -1, 1)):.2f} rad; put it upright, or check imu.rpy")
    return lines
