"""From actions to commands: what arrives at the joints is what was asked for."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from robot_side import SPEC, config, configs, values

from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.commands import Commands
from mbmf_ros.hardware.config import HardwareConfig, parse_hardware

actions = st.lists(st.floats(-1, 1), min_size=SPEC.nu, max_size=SPEC.nu).map(np.array)


def by_name(hardware: HardwareConfig, data: np.ndarray) -> list[float]:
    """What a robot gets for each of the spec's actuated joints."""
    told = dict(zip(hardware.command.order, data.tolist(), strict=True))
    return [told[hardware.joints[name].name] for name in SPEC.actuated_joints]


@given(configs(), actions)
def test_the_torque_at_each_joint_is_the_action_scaled(hardware: HardwareConfig, action: np.ndarray):
    unit = {"N m": 1.0, "mN m": 1e-3}[hardware.units.effort]
    for name, asked, command in zip(
        SPEC.actuated_joints, action, by_name(hardware, Commands(hardware).data(action)), strict=True
    ):
        joint = hardware.joints[name]
        assert command * unit * joint.sign * joint.gear == pytest.approx(joint.scale * asked, rel=1e-9, abs=1e-9)


@given(configs(), actions, st.sampled_from(["velocity", "position"]))
def test_velocities_and_positions_come_back_through_the_readings(
    hardware: HardwareConfig, action: np.ndarray, interface: str
):
    """A robot that does as it is told reads what was asked for."""
    hardware = dataclasses.replace(hardware, command=dataclasses.replace(hardware.command, interface=interface))
    for name, asked, command in zip(
        SPEC.actuated_joints, action, by_name(hardware, Commands(hardware).data(action)), strict=True
    ):
        joint = hardware.joints[name]
        if interface == "position":
            unit = {"rad": 1.0, "deg": math.pi / 180, "turn": 2 * math.pi}[hardware.units.position]
            reached = (command * unit - joint.offset) / (joint.sign * joint.gear)
            expected = np.clip(joint.center + joint.scale * asked, joint.low, joint.high)
        else:
            rates = {"rad/s": 1.0, "deg/s": math.pi / 180, "turn/s": 2 * math.pi, "rpm": math.pi / 30}
            reached = command * rates[hardware.units.velocity] / (joint.sign * joint.gear)
            expected = joint.scale * asked
        assert reached == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_pd_drives_a_joint_to_its_target_and_no_torque_exceeds_its_limit():
    plain = values()
    for entry in plain["joints"].values():
        entry.update(scale=0.5, center=0.2, limit=3.0, sign=-1, gear=2.0)
    plain["command"]["pd"] = {"enabled": True, "kp": 10.0, "kd": 1.0}
    commands = Commands(parse_hardware(plain))
    assert commands.follows_joints
    q, still = np.full(SPEC.nu, 0.2), np.zeros(SPEC.nu)
    assert commands.data(still, q, still) == pytest.approx(np.zeros(SPEC.nu))
    torque = commands.data(np.full(SPEC.nu, 0.2), q, still) * -2.0  # target 0.3, at the joint
    assert torque == pytest.approx(np.full(SPEC.nu, 1.0))
    assert commands.data(np.full(SPEC.nu, 0.2), q, np.full(SPEC.nu, 0.4)) * -2.0 == pytest.approx(np.full(SPEC.nu, 0.6))
    assert commands.data(np.ones(SPEC.nu), q - 1.0, still) * -2.0 == pytest.approx(np.full(SPEC.nu, 3.0))


def test_a_position_never_leaves_the_joints_range():
    plain = values()
    for entry in plain["joints"].values():
        entry.update(scale=5.0, low=-0.5, high=0.7)
    plain["command"]["interface"] = "position"
    commands = Commands(parse_hardware(plain))
    assert commands.data(np.ones(SPEC.nu)) == pytest.approx(np.full(SPEC.nu, 0.7))
    assert commands.data(-np.ones(SPEC.nu)) == pytest.approx(np.full(SPEC.nu, -0.5))
    assert not Commands(config()).follows_joints


def test_pd_without_a_limit_of_its_torque_is_refused():
    plain = values()
    plain["command"]["pd"] = {"enabled": True, "kp": 10.0}
    for name, entry in plain["joints"].items():
        entry["limit"] = 0.0 if name == "ankle_2" else 3.0
    with pytest.raises(MbmfError, match=r"joints\.ankle_2\.limit: expected the largest torque \[N m\]"):
        parse_hardware(plain)
