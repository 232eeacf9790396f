"""How a client puts a robot back to where its runs begin: a simulated one, or the stand-in for a real one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.client import Client
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from mbmf_ros.control.follow import planar_pose
from mbmf_ros.errors import unknown
from mbmf_ros.msg import RobotState
from mbmf_ros.ticks import Tick

AT_START_M, AT_START_RAD = 0.15, 0.2  # odometry begins at the start, and is noisy
FRESH_S = 0.2  # what a bridge says later than this after the robot was carried back, it has measured after that

Ask = Callable[[Client, Any], Any]
"""Calls a service and waits for its answer."""


@dataclass(frozen=True)
class Stage:
    """One request, and how its effect shows.

    Attributes:
        what: it does, in words.
        request: makes it; returns why it was refused, or the empty text.
        done: whether its effect shows, by the newest state before the request, when it was granted, and now.
    """

    what: str
    request: Callable[[Ask], str]
    done: Callable[[Tick, Tick, Tick], bool]


class Start(ABC):
    """One way.

    Attributes:
        bridge: name of the node that publishes `state`.
        clients: of the services that it calls, by their names.
    """

    bridge: str
    clients: dict[str, Client]

    def missing(self) -> list[str]:
        """The services that are not there yet, in words."""
        return [f"service {name}" for name, client in self.clients.items() if not client.service_is_ready()]

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """What to ask for, one after the other; at the end the robot stands at its start and may move."""


class SimulatorStart(Start):
    """The simulator bridge begins a new episode on request.

    Args:
        node: calls.
    """

    bridge = "sim_bridge"

    def __init__(self, node: Node):
        self.clients = {"sim_bridge/reset": node.create_client(Trigger, "sim_bridge/reset")}

    def stages(self) -> tuple[Stage, ...]:
        def reset(ask: Ask) -> str:
            return _refusal(ask(self.clients["sim_bridge/reset"], Trigger.Request()))

        return (Stage("reset the robot", reset, lambda before, _, now: now.episode != before.episode),)


class StandInStart(Start):
    """A person would stop the robot, carry it back, tell its bridge, and enable it again; so does this.

    Args:
        node: calls.
    """

    bridge = "hardware_bridge"

    def __init__(self, node: Node):
        triggers = ("hardware_bridge/reset", "hardware_bridge/clear_estop", "hardware_stand_in/reset")
        self.clients = {name: node.create_client(Trigger, name) for name in triggers}
        self.clients["hardware_bridge/enable"] = node.create_client(SetBool, "hardware_bridge/enable")

    def stages(self) -> tuple[Stage, ...]:
        return (
            Stage("carry the robot back", self._carry, _is_back),
            Stage("begin a new episode", self._tell, lambda before, _, now: now.episode != before.episode),
            Stage("enable the robot", self._enable, lambda _, __, now: now.status == RobotState.STATUS_ACTIVE),
        )

    def _carry(self, ask: Ask) -> str:
        ask(self.clients["hardware_bridge/enable"], SetBool.Request(data=False))
        return _refusal(ask(self.clients["hardware_stand_in/reset"], Trigger.Request()))

    def _tell(self, ask: Ask) -> str:
        return _refusal(ask(self.clients["hardware_bridge/reset"], Trigger.Request()))

    def _enable(self, ask: Ask) -> str:
        ask(self.clients["hardware_bridge/clear_estop"], Trigger.Request())  # it may have tripped when it fell
        return _refusal(ask(self.clients["hardware_bridge/enable"], SetBool.Request(data=True)))


def _is_back(_: Tick, since: Tick, now: Tick) -> bool:
    x, y, heading = planar_pose(now.m)
    return np.hypot(x, y) < AT_START_M and abs(heading) < AT_START_RAD and now.stamp_s - since.stamp_s > FRESH_S


def start_over(bridge: str, node: Node) -> Start:
    """The way for what is behind the bridge: ``sim``, or ``hardware``, which is a stand-in.

    Raises:
        MbmfError: neither.
    """
    ways = {"sim": SimulatorStart, "hardware": StandInStart}
    if bridge not in ways:
        raise unknown("bridge", bridge, ways)
    return ways[bridge](node)


def _refusal(answer: Any) -> str:
    return "" if answer.success else answer.message or "no reason given"
