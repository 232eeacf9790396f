"""What of a node graph runs on this machine, and whom its nodes meet (docs/across-machines.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mbmf_ros.errors import unknown
from mbmf_ros.shared_files import shared_file

DISCOVERY = ("localhost", "subnet")

_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
_HUMBLE_LOCALHOST_ONLY = "ROS_LOCALHOST_ONLY"  # Humble knows no other; later distributions warn about it

# Who sends large messages over a network sends datagrams of one frame each. By default a model goes as datagrams of
# 64 kB, of which a network that loses one frame in a hundred loses every third, again and again: half a minute for what
# takes a third of a second so.
_SENDERS = ("dynamics_learner",)
_PROFILES_FILE = "FASTDDS_DEFAULT_PROFILES_FILE"


def chosen_nodes(known: Sequence[str], only: str, without: str) -> list[str]:
    """The nodes of a graph that this machine runs, in the graph's order.

    Args:
        known: names of the graph's nodes.
        only: names with commas in between; empty: all.
        without: likewise; empty: none are left out.

    Raises:
        MbmfError: a name is not known.
    """
    kept, left_out = _names("only", only, known) or known, _names("without", without, known)
    return [name for name in known if name in kept and name not in left_out]


def _names(argument: str, text: str, known: Sequence[str]) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise unknown(f"node in {argument}:", name, known)
    return names


def enclave(namespace: str, node: str) -> str:
    """Where a node's keys and permissions are in an SROS2 keystore: at its full name."""
    return "/".join(["", *filter(None, namespace.split("/")), node])


def discovery_environment(choice: str | None, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What decides whom the nodes meet, as environment variables on top of ``base``.

    Nobody else's nodes should meet ours by accident: this machine only, unless the user says otherwise, by ``choice``
    or in ``base``.

    Args:
        choice: one of :data:`DISCOVERY`, or None: not chosen.
        base: the environment so far.
    """
    humble = base.get("ROS_DISTRO") == "humble"
    variable = _HUMBLE_LOCALHOST_ONLY if humble else _RANGE
    if choice is None:
        if variable in base:
            return {}
        choice = "localhost"
    local = choice == "localhost"
    return {variable: str(int(local)) if humble else choice.upper()}


def network_problem(
    choice: str | None, base: Mapping[str, str] = os.environ, devices: Path = Path("/sys/class/net")
) -> str | None:
    """Why nodes that start now will never meet those of another machine, or None.

    Fast DDS looks at the network once, when a node starts: a device that comes up later does not exist for it.

    Args:
        choice, base: as of :func:`discovery_environment`.
        devices: a folder for each network device.
    """
    if not _leaves_machine(choice, base) or not devices.is_dir():
        return None
    states = [device / "operstate" for device in devices.iterdir() if device.name != "lo"]
    if any(state.is_file() and state.read_text().strip() in ("up", "unknown") for state in states):
        return None
    return "no network is connected: nodes that start now never find another machine; connect it, then start them again"


def sender_environment(node: str, choice: str | None, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What one node's environment has beyond that; arguments as of :func:`discovery_environment`."""
    if node not in _SENDERS or not _leaves_machine(choice, base) or _PROFILES_FILE in base:
        return {}
    return {_PROFILES_FILE: str(shared_file("config", "fastdds_one_frame.xml"))}


def _leaves_machine(choice: str | None, base: Mapping[str, str]) -> bool:
    """Whether nodes meet any of another machine."""
    reach = {**base, **discovery_environment(choice, base)}
    return reach.get(_RANGE) == "SUBNET" or bool(reach.get("ROS_STATIC_PEERS"))
