"""The stand-in behind its topics: what it says, what it takes, what breaks, and how it is put back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg", reason="the messages are not built: `make setup`")

import yaml
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

from mbmf_ros.errors import MbmfError
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import doubles, time_seconds
from mbmf_ros.nodes.hardware_stand_in import HardwareStandIn
from mbmf_ros.shared_files import shared_file

pytestmark = pytest.mark.ros
FILE = shared_file("config", "hardware", "ant_stand_in.yaml")
COMMANDS = "effort_controller/commands"
MOTORS = 8


@pytest.fixture
def robot(rig) -> HardwareStandIn:
    return rig.add(HardwareStandIn, config=str(FILE), noise="clean", clock_offset=500.0)


def command(rig, torque: float) -> None:
    rig.speak(Float64MultiArray, COMMANDS, qos.COMMAND).publish(Float64MultiArray(data=[torque] * MOTORS))


def set_fault(rig, **values: Any) -> Any:
    parameters = [Parameter(f"fault.{name}", value=value).to_parameter_msg() for name, value in values.items()]
    return rig.call(SetParameters, "hardware_stand_in/set_parameters", parameters=parameters).results[0]


def test_it_speaks_what_the_file_says_in_standard_messages(rig, robot):
    joints, imu = rig.hear(JointState, "joint_states", qos.STATS), rig.hear(Imu, "imu/data", qos.STATS)
    odom = rig.hear(Odometry, "odom", qos.STATS)
    rig.until(lambda: joints and imu and odom, "a message of each sensor")
    content = yaml.safe_load(FILE.read_text())
    assert set(joints[-1].name) == {joint["name"] for joint in content["joints"].values()}
    assert len(joints[-1].position) == len(joints[-1].velocity) == len(joints[-1].effort) == MOTORS
    assert (odom[-1].header.frame_id, odom[-1].child_frame_id) == ("odom", "base_link")
    assert imu[-1].linear_acceleration.z < -9  # mounted upside down
    ahead_s = time_seconds(odom[-1].header.stamp) - time.time()
    assert 499 < ahead_s < 501  # its clock was never set to ours


def test_physics_keeps_up_with_the_wall(rig, robot):
    odom = rig.hear(Odometry, "odom", qos.STATE_ALL)
    rig.until(lambda: odom, "a message")
    first_s, started_s, left_out_s = time_seconds(odom[-1].header.stamp), time.monotonic(), robot.left_out_s
    rig.until(lambda: time.monotonic() - started_s > 2.0, "two seconds")
    passed_s = time_seconds(odom[-1].header.stamp) - first_s
    assert passed_s == pytest.approx(time.monotonic() - started_s, abs=0.15)
    assert len(odom) / (passed_s - (robot.left_out_s - left_out_s)) == pytest.approx(100, rel=0.1)


def test_a_command_moves_it_and_is_let_go_of(rig, robot):
    command(rig, 5.0)
    rig.until(lambda: robot.robot.driven, "torque on the joints")
    rig.until(lambda: not robot.robot.driven, "the drivers' timeout", 2.0)


def test_a_command_that_is_none_is_refused_counted_and_told(rig, robot):
    publisher = rig.speak(Float64MultiArray, COMMANDS, qos.COMMAND)
    publisher.publish(Float64MultiArray(data=[1.0] * 3))
    rig.until(lambda: robot.rejects["command"] == 1, "a refusal")
    publisher.publish(Float64MultiArray(data=doubles(np.full(MOTORS, np.nan))))
    rig.until(lambda: robot.rejects["command"] == 2, "another refusal")
    assert "not all numbers are finite" in robot.rejects.last
    assert not robot.robot.driven


def test_faults_come_and_go_while_it_runs(rig, robot):
    imu, odom = rig.hear(Imu, "imu/data", qos.STATS), rig.hear(Odometry, "odom", qos.STATS)
    rig.until(lambda: imu and odom, "sensors")
    assert set_fault(rig, imu_silent=True, odom_jump=3.0).successful
    rig.until(lambda: odom[-1].pose.pose.position.x > 2.5, "the jump")
    imu.clear()
    heard = len(odom)
    rig.until(lambda: len(odom) > heard + 20, "odometry without IMU")
    assert not imu
    assert set_fault(rig, imu_silent=False, nan="imu").successful
    rig.until(lambda: imu and np.isnan(imu[-1].angular_velocity.x), "numbers that are none")
    before_s = time_seconds(odom[-1].header.stamp)
    assert set_fault(rig, nan="", clock_jump=-100.0).successful
    rig.until(lambda: time_seconds(odom[-1].header.stamp) < before_s - 90, "the clock's jump")


def test_a_fault_that_there_is_not_is_refused(rig, robot):
    answer = set_fault(rig, nan="odm")
    assert not answer.successful
    assert "did you mean 'odom'" in answer.reason
    assert robot.robot.faults.nan == ""


def test_it_is_lifted_back(rig, robot):
    truth = rig.hear(Odometry, "hardware_stand_in/truth", qos.STATS)
    publisher = rig.speak(Float64MultiArray, COMMANDS, qos.COMMAND)

    def pushed() -> bool:
        publisher.publish(Float64MultiArray(data=doubles(np.random.default_rng().uniform(-25, 25, MOTORS))))
        return bool(truth) and np.hypot(truth[-1].pose.pose.position.x, truth[-1].pose.pose.position.y) > 0.1

    rig.until(pushed, "a robot that has moved")
    assert rig.call(Trigger, "hardware_stand_in/reset").success
    at = truth[-1]
    rig.until(lambda: truth[-1] is not at, "where it is now")
    assert np.hypot(truth[-1].pose.pose.position.x, truth[-1].pose.pose.position.y) < 0.05


def test_motion_capture_instead_of_odometry(rig, tmp_path):
    content = yaml.safe_load(FILE.read_text())
    content["pose"] |= {"source": "pose", "topic": "mocap/pose", "frame": "lab", "twist": "none"}
    file = tmp_path / "captured.yaml"
    file.write_text(yaml.safe_dump(content))
    rig.add(HardwareStandIn, config=str(file))
    poses = rig.hear(PoseStamped, "mocap/pose", qos.STATS)
    rig.until(lambda: poses, "a pose")
    assert poses[-1].header.frame_id == "lab"
    assert poses[-1].pose.position.z == pytest.approx(0.55, abs=0.1)


@pytest.mark.parametrize(
    ("parameters", "cause"),
    [
        ({}, "config: expected the robot's hardware file"),
        ({"config": "nowhere.yaml"}, "cannot read nowhere.yaml"),
        ({"config": str(FILE), "robot": "swimmer"}, "is of robot 'ant', expected 'swimmer'"),
        ({"config": str(FILE), "noise": "dad"}, "did you mean 'bad'"),
        ({"config": str(FILE), "packet_loss": 2.0}, "packet_loss: expected"),
        ({"config": str(FILE), "actuator_dely": 0.01}, "did you mean 'actuator_delay'"),
    ],
)
def test_bad_parameters_are_named(rig, parameters, cause):
    with pytest.raises(MbmfError, match=cause):
        rig.add(HardwareStandIn, **parameters)


def test_the_file_that_is_shipped_is_there():
    assert Path(FILE).name == "ant_stand_in.yaml"
