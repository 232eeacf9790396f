"""How a client puts a robot back to where its runs begin: a simulated one, or the stand-in for a real one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.client import Client
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from mbmf_ros.errors import unknown
from mbmf_ros.ticks import Tick

AT_ORIGIN_M = 0.3  # odometry begins at the start

Ask = Callable[[Client, Any], Any]
"""Calls a service and waits for its answer."""


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
    def begin(self, ask: Ask) -> str:
        """Ask for the robot's return to its start; returns why it was refused, or the empty text."""

    @abstractmethod
    def is_back(self, before: Tick, now: Tick) -> bool:
        """Whether ``now`` is a state of the robot at its start; ``before``: the newest one when that was asked for."""

    def go_on(self, ask: Ask) -> str:
        """Once it is there: let it move; returns why it may not yet, or the empty text."""
        return ""


class SimulatorStart(Start):
    """The simulator bridge begins a new episode on request.

    Args:
        node: calls.
    """

    bridge = "sim_bridge"

    def __init__(self, node: Node):
        self.clients = {"sim_bridge/reset": node.create_client(Trigger, "sim_bridge/reset")}

    def begin(self, ask: Ask) -> str:
        return _refusal(ask(self.clients["sim_bridge/reset"], Trigger.Request()))

    def is_back(self, before: Tick, now: Tick) -> bool:
        return now.episode != before.episode


class StandInStart(Start):
    """A person would stop the robot, carry it back, and enable it again; so does this.

    Args:
        node: calls.
    """

    bridge = "hardware_bridge"

    def __init__(self, node: Node):
        self.clients = {
            "hardware_bridge/enable": node.create_client(SetBool, "hardware_bridge/enable"),
            "hardware_bridge/clear_estop": node.create_client(Trigger, "hardware_bridge/clear_estop"),
            "hardware_bridge/reset": node.create_client(Trigger, "hardware_bridge/reset"),
            "hardware_stand_in/reset": node.create_client(Trigger, "hardware_stand_in/reset"),
        }

    def begin(self, ask: Ask) -> str:
        ask(self.clients["hardware_bridge/enable"], SetBool.Request(data=False))
        services = ("hardware_stand_in/reset", "hardware_bridge/reset")  # carried back, and told that it was
        return "; ".join(filter(None, (_refusal(ask(self.clients[name], Trigger.Request())) for name in services)))

    def is_back(self, before: Tick, now: Tick) -> bool:
        return now.episode != before.episode and float(np.linalg.norm(now.m[:2])) < AT_ORIGIN_M

    def go_on(self, ask: Ask) -> str:
        ask(self.clients["hardware_bridge/clear_estop"], Trigger.Request())  # it may have tripped when it fell
        return _refusal(ask(self.clients["hardware_bridge/enable"], SetBool.Request(data=True)))


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
