"""The YAML of a real robot: what ships loads, and mistakes are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from robot_side import SPEC, config, values

from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.config import load_hardware, parse_hardware

FOLDER = Path(__file__).parents[2] / "config/hardware"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.name)
def test_what_ships_loads(file: Path):
    hardware = load_hardware(file)
    assert [hardware.joints[name] for name in SPEC.joints] == list(hardware.in_order())


def test_the_stand_in_differs_from_the_spec_in_every_way():
    hardware = load_hardware(FOLDER / "ant_stand_in.yaml")
    joints = hardware.in_order()
    assert {joint.sign for joint in joints} == {1, -1}
    assert len({joint.gear for joint in joints}) > 1
    assert len({joint.offset for joint in joints}) == len(joints)
    assert not {joint.name for joint in joints} & set(SPEC.joints)
    assert list(hardware.command.order) != [hardware.joints[name].name for name in SPEC.actuated_joints]


def test_the_example_says_all_there_is_to_say():
    """Every key of every section stands in it, so that whoever copies it need not look elsewhere."""
    import dataclasses

    content = yaml.safe_load((FOLDER / "example.yaml").read_text())

    def check(section: Any, written: dict[str, Any], where: str) -> None:
        names = {field.name for field in dataclasses.fields(section)}
        assert set(written) == names, where
        for name in names:
            value = getattr(section, name)
            if dataclasses.is_dataclass(value):
                check(value, written[name], f"{where}.{name}")

    hardware = load_hardware(FOLDER / "example.yaml")
    check(hardware, content, "example.yaml")
    check(hardware.joints["hip_1"], content["joints"]["hip_1"], "hip_1")


def test_what_a_beginner_starts_with_sends_nothing_and_no_file_of_ours_takes_a_limit_of_theirs_away():
    safety = load_hardware(FOLDER / "example.yaml").safety
    assert safety["dry_run"] is True
    assert "auto_enable" not in safety
    collecting = yaml.safe_load((FOLDER.parent / "collect_on_hardware.yaml").read_text())
    assert not any("safety" in node["ros__parameters"] for node in collecting.values())


def joint(**changes: Any) -> dict[str, Any]:
    """All joints, the first one changed."""
    joints = values()["joints"]
    joints["hip_1"] = {**joints["hip_1"], **changes}
    return {"joints": joints}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"jionts": {}}, r"unknown key in hardware 'jionts' \(did you mean 'joints'\?\)"),
        ({"imu": {"rypes": 1}}, r"unknown key in hardware\.imu 'rypes'"),
        ({"robot": "atn"}, r"unknown robot 'atn' \(did you mean 'ant'\?\)"),
        ({"joints": []}, r"hardware\.joints: expected a mapping"),
        ({"joints": {"hip_9": {}}}, r"unknown joint in hardware\.joints 'hip_9' \(did you mean 'hip_"),
        ({"joints": {"hip_1": {"name": "a"}}}, "joints: 'ankle_1' of robot 'ant' is missing"),
        (joint(gaer=2.0), r"unknown key in hardware\.joints\.hip_1 'gaer' \(did you mean 'gear'\?\)"),
        (joint(sign=0), r"hardware\.joints\.hip_1: sign: expected 1 or -1, got 0"),
        (joint(gear=0.0), r"hip_1: gear: expected a number from"),
        (joint(gear="6"), r"hip_1\.gear: expected float, got '6'"),
        (joint(low=1.0, high=0.5), r"hip_1: low, high: expected a range \[rad\], got 1 to 0.5"),
        (joint(name=""), r"joints\.hip_1: expected the robot's own name"),
        (joint(name="r_hip_2"), r"'r_hip_2' stands for more than one joint"),
        ({"units": {"position": "degrees"}}, r"unknown unit of position 'degrees' \(did you mean 'deg'\?\)"),
        ({"imu": {"rpy": [0.0, 0.0]}}, "rpy: expected three numbers"),
        ({"imu": {"tilt": "odom"}}, "unknown tilt 'odom'"),
        ({"pose": {"source": "odometri"}}, r"did you mean 'odometry'"),
        ({"pose": {"rate": 0.0}}, r"hardware: rate: expected a number from 0.1 to"),
        ({"command": {"order": ["r_hip_1"]}}, r"command\.order: expected each of r_ankle_1, .* once, got r_hip_1"),
        ({"command": {"interface": "torque"}}, "unknown interface 'torque'"),
        ({"command": {"interface": "position", "pd": {"enabled": True}}}, "pd: works over interface effort"),
        ({"sync": {"stamps": "mine"}}, "unknown stamps 'mine'"),
        ({"latency": {"actuator": 0.04, "sensor": 0.02}}, r"expected less than a control period \(0.05 s\) in all"),
        ({"safety": 3}, r"hardware\.safety: expected a mapping"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], match: str):
    with pytest.raises(MbmfError, match=match):
        parse_hardware(values() | change)


def test_a_file_is_named_where_it_is_wrong(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(values() | {"imu": {"tlit": "imu"}}))
    with pytest.raises(MbmfError, match=r"mine\.yaml\.imu 'tlit' \(did you mean 'tilt'\?\)"):
        load_hardware(file)
    file.write_text(yaml.safe_dump(values()))
    assert load_hardware(file) == config()
