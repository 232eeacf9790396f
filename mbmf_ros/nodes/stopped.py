"""When a robot takes no orders: what was asked for during a stop shall not set it in motion when the stop ends."""

from __future__ import annotations

from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import RobotState

_STOPPED = {
    RobotState.STATUS_ESTOP: "emergency stop; call the bridge's clear_estop first",
    RobotState.STATUS_TRIPPED: "a safety limit was crossed; call the bridge's clear_estop first",
    RobotState.STATUS_DISABLED: "the robot is disabled; call the bridge's enable first",
}


class StoppedError(MbmfError):
    """A person has to let the robot go on first."""


def takes_orders(status: int) -> bool:
    """Whether the robot is neither stopped nor disabled, by its ``RobotState.status``."""
    return status not in _STOPPED


def check_takes_orders(status: int) -> None:
    """Refuse an order to a robot that is stopped or disabled.

    Raises:
        StoppedError: says what to do.
    """
    if not takes_orders(status):
        raise StoppedError(_STOPPED[status])
