"""Who enables a robot behind the hardware bridge."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from std_srvs.srv import Trigger

from mbmf_ros.errors import MbmfError
from mbmf_ros.safety import Mode

pytestmark = pytest.mark.ros


def test_only_a_stand_in_is_enabled_without_anybody(setup):
    with pytest.raises(MbmfError, match=r"robot\.yaml\.safety\.auto_enable: a real robot is enabled by hand"):
        setup(safety={"auto_enable": True})
    with pytest.raises(MbmfError, match=r"auto_enable: is for a stand-in"):
        setup({"safety__auto_enable": True})
    bridge, fake = setup({"safety__auto_enable": True, "stand_in": True})
    fake.rig.until(lambda: bridge.safety.layer.mode is Mode.ACTIVE, "being enabled")


def test_clearing_a_stop_enables_no_stand_in_that_has_problems(setup):
    bridge, fake = setup({"safety__auto_enable": True, "stand_in": True})
    fake.rig.until(lambda: bridge.safety.layer.mode is Mode.ACTIVE, "being enabled")
    assert fake.rig.call(Trigger, "hardware_bridge/estop").success
    fake.silent.add("imu")
    fake.rig.until(bridge._problems, "a problem")
    answer = fake.rig.call(Trigger, "hardware_bridge/clear_estop")
    assert (answer.success, "imu" in answer.message) == (True, True)
    assert bridge.safety.layer.mode is Mode.DISABLED
