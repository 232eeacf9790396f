"""What of a node graph runs on this machine, and whom its nodes meet (docs/across-machines.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from mbmf_ros.errors import unknown
from mbmf_ros.shared_files import shared_file

DISCOVERY = ("localhost", "subnet")

_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
_PEERS = "ROS_STATIC_PEERS"
_FAST_DDS = "rmw_fastrtps_cpp"  # the default of the distributions below
_HUMBLE_LOCALHOST_ONLY = "ROS_LOCALHOST_ONLY"  # Humble knows no other; later distributions warn about it

# Who sends large messages over a network sends datagrams of one frame each. By default a model goes as datagrams of
# 64 kB, of which a network that loses one frame in a hundred loses every third, again and again: half a minute for what
# takes a third of a second so.
_SENDERS = ("dynamics_learner",)

# What the user may have told Fast DDS.
_PROFILES_FILE, _PROFILES_FILE_OF_JAZZY = "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"
_PROFILES_HERE = ("DEFAULT_FASTDDS_PROFILES.xml", "DEFAULT_FASTRTPS_PROFILES.xml")  # read from the working directory
_TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"
_SERVERS = ("ROS_DISCOVERY_SERVER", "FASTDDS_ENVIRONMENT_FILE", "ROS2_EASY_MODE")


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
    """What decides whom the nodes meet and by which way, as environment variables on top of ``base``.

    Nobody else's nodes should meet ours by accident: this machine only, unless the user says otherwise, by ``choice``
    or in ``base``. What the user has told Fast DDS stays.

    Args:
        choice: one of :data:`DISCOVERY`, or None: not chosen.
        base: the environment so far.
    """
    humble = base.get("ROS_DISTRO") == "humble"
    variable = _HUMBLE_LOCALHOST_ONLY if humble else _RANGE
    if choice is None and variable not in base:
        choice = "localhost"
    if humble:
        return {} if choice is None else {variable: str(int(choice == "localhost"))}
    chosen = {} if choice is None else {variable: choice.upper()}
    return chosen | _without_shared_memory({**base, **chosen})


def _without_shared_memory(base: Mapping[str, str]) -> dict[str, str]:
    """What keeps Fast DDS from shared memory; nothing where that is the user's decision, or cannot be done safely.

    Its queues there have locks across processes. Who is stopped, killed or starved while it holds one keeps everybody
    who sends to it waiting for a second: a controller that is stopped as it answers would stop the bridge.

    With LOCALHOST the middleware adds shared memory whatever Fast DDS is told: there a profile says all that
    LOCALHOST means, but for it, and binds to the loopback device besides. If nobody read the profile the nodes would be
    seen in the network: it is used only where it is known to be read.
    """
    name = _profiles_variable(base)
    told = _has_profiles(base) or any(base.get(other) for other in (_TRANSPORTS, *_SERVERS, _HUMBLE_LOCALHOST_ONLY))
    if name is None or told:
        return {}
    if base[_RANGE] == "SUBNET":
        return {_TRANSPORTS: "UDPv4"}
    if base[_RANGE] == "LOCALHOST" and not base.get(_PEERS):
        return {_RANGE: "SYSTEM_DEFAULT", name: str(shared_file("config", "fastdds_this_machine.xml"))}
    return {}


def _profiles_variable(base: Mapping[str, str]) -> str | None:
    """The variable that names a configuration of Fast DDS; None: another middleware, or not known."""
    if not base.get("RMW_IMPLEMENTATION", _FAST_DDS).startswith("rmw_fastrtps"):
        return None
    distribution = base.get("ROS_DISTRO") or ("wheels" if _from_wheels() else "")
    return {"jazzy": _PROFILES_FILE_OF_JAZZY, "kilted": _PROFILES_FILE, "wheels": _PROFILES_FILE}.get(distribution)


def _from_wheels() -> bool:
    """ROS 2 is what `make setup` installs, which has Fast DDS 3 and sets no ROS_DISTRO."""
    try:
        return metadata.version("ros-fastdds").startswith("3.")
    except metadata.PackageNotFoundError:
        return False


def _has_profiles(base: Mapping[str, str]) -> bool:
    """The user has a configuration of Fast DDS."""
    named = base.get(_PROFILES_FILE) or base.get(_PROFILES_FILE_OF_JAZZY)
    return bool(named) or any(Path(name).is_file() for name in _PROFILES_HERE)


def shared_memory_problem(choice: str | None, base: Mapping[str, str] = os.environ) -> str | None:
    """Why the bridge may have to wait for other processes, or None; arguments as of :func:`discovery_environment`.

    Told only where it is so for sure: whoever has a configuration of Fast DDS may know better.
    """
    reach = {**base, **discovery_environment(choice, base)}
    if _profiles_variable(base) is None or _has_profiles(reach) or reach.get(_TRANSPORTS):
        return None
    return (
        "the nodes share memory, since a variable of the environment asks for it: a process that is stopped or killed "
        "may keep the bridge waiting for a second (docs/across-machines.md, No shared memory)"
    )


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
    if node not in _SENDERS or not _leaves_machine(choice, base) or _has_profiles(base):
        return {}
    name = _profiles_variable(base) or _PROFILES_FILE
    return {name: str(shared_file("config", "fastdds_one_frame.xml"))}


def _leaves_machine(choice: str | None, base: Mapping[str, str]) -> bool:
    """Whether nodes meet any of another machine."""
    reach = {**base, **discovery_environment(choice, base)}
    return reach.get(_RANGE) == "SUBNET" or bool(reach.get(_PEERS))
