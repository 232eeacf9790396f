"""What every node shares: start and stop, typed parameters, diagnostics."""

from __future__ import annotations

import dataclasses
import gc
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy._rclpy_pybind11 import RCLError
from rclpy.clock import (
    Clock,
    ClockType,  # pyright: ignore[reportPrivateImportUsage]  # Humble has it nowhere else
)
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from mbmf_ros.config import override
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.nodes.arrivals import Arrivals
from mbmf_ros.nodes.parameter_groups import refuse_unreadable
from mbmf_ros.nodes.rejects import Rejects

Config = TypeVar("Config")

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR

STEADY = Clock(clock_type=ClockType.STEADY_TIME)
"""For timers that follow the wall, whatever /clock does and however the system's clock is set."""

_RCLPY_OWN = ("use_sim_time", "start_type_description_service")


def run(make_node: Callable[[], Node], args: list[str] | None = None, farewell: bool = False) -> int:
    """Run one node until it is told to stop; returns the process's exit code.

    Bad input (MbmfError) is one line on stderr and exit code 2.

    Args:
        make_node: makes the node.
        args: command line.
        farewell: the node has something to publish at its end. rclpy's own handling of signals would leave it nothing
            to publish with; without it a stop waits for the node's next timer, so let it have a fast one.
    """
    node, code, begun, told = None, 0, False, threading.Event()

    def on_interrupt(*_: object) -> None:
        told.set()
        # Once rclpy is there it ends the executor's spin; raising as well, wherever Python is just now (in a
        # destructor, say), could only leave a traceback. `ros2 launch` passes on a Ctrl-C that the terminal sent too.
        if not begun:
            raise KeyboardInterrupt

    on_main_thread = threading.current_thread() is threading.main_thread()
    if on_main_thread:
        signal.signal(signal.SIGINT, on_interrupt)
        if farewell:
            signal.signal(signal.SIGTERM, on_interrupt)
            signal.signal(signal.SIGHUP, on_interrupt)  # a terminal that is closed, a lost ssh connection
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO if farewell else None)
        begun = True
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        gc.collect()
        gc.freeze()  # what exists now lives as long as the process: the collector need not look at it again
        while farewell and not told.is_set():
            executor.spin_once()
        if not farewell:
            executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (RCLError, ValueError) as error:
        if not begun and isinstance(error, RCLError):  # what stands behind --ros-args, or in a parameter file
            print(f"error: {_without_places(error)}", file=sys.stderr)
            code = 2
        elif not begun or rclpy.ok():
            raise
        # else told to stop in the middle of something that then found nothing to publish with
    except MbmfError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        if on_main_thread:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interpreter's end would set the default: death
        gc.freeze()  # or the interpreter's last collection looks at all of PyTorch: half a second
    return code


def _without_places(error: RCLError) -> str:
    """What rcl says, without where in its sources it says so."""
    return re.sub(r", at \S+:\d+", "", str(error)).removeprefix("failed to initialize rcl: ").replace("\n", " ")


def option(default: Any, description: str, low: float | None = None, high: float | None = None) -> Any:
    """A dataclass field that becomes a described, ranged ROS parameter. Name the unit in the description."""
    return dataclasses.field(default=default, metadata={"description": description, "low": low, "high": high})


def declare(node: Node, config: Config, mutable: Sequence[str] = ()) -> Config:
    """Declare one ROS parameter per field of the dataclass instance ``config``; returns it with the overrides put in.

    A nested dataclass becomes a dotted name (``planner.batch_size``). Parameters are read once: setting one later is
    refused by ROS, but for ``mutable`` ones. Every parameter that was given to this node must be known; in parameter
    files address a node by ``/**/<node name>:``, which survives namespaces and tells nobody else.

    Args:
        node: the node, not yet declared on.
        config: defaults; described by :func:`option` or by "Attributes:" in the class's docstring.
        mutable: names of nested dataclasses whose parameters may be set later; the node sees to that.

    Raises:
        MbmfError: an unknown key (names the nearest known one), a wrong type, or a value out of range.
    """
    where = node.get_name()
    leaves = dict(_leaves(config))
    overrides = {name: parameter.value for name, parameter in node._parameter_overrides.items()}
    for name in overrides:
        if name not in leaves and name not in _RCLPY_OWN and not name.startswith("qos_overrides."):
            raise unknown(f"parameter of {where}", name, leaves)
    config = override(config, _nested({name: overrides[name] for name in leaves if name in overrides}), where)
    for name, leaf in leaves.items():
        value = _value(config, name)
        _check_range(f"{where}.{name}", value, leaf)
        parameter = list(value) if isinstance(value, tuple) else value
        descriptor = _descriptor(leaf, value)
        descriptor.read_only = not any(name.startswith(f"{group}.") for group in mutable)
        node.declare_parameter(name, parameter, descriptor, ignore_override=True)
    refuse_unreadable(node)
    return config


@dataclasses.dataclass(frozen=True)
class _Leaf:
    """What a parameter is for, and its range."""

    description: str
    low: float | None
    high: float | None


def _leaves(config: Any, prefix: str = "") -> Iterable[tuple[str, _Leaf]]:
    """Dotted name and description of every leaf."""
    documented = _documented(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _leaves(value, f"{prefix}{field.name}.")
        else:
            meta = field.metadata
            text = meta.get("description", documented.get(field.name, ""))
            yield f"{prefix}{field.name}", _Leaf(text, meta.get("low"), meta.get("high"))


def _documented(kind: type) -> dict[str, str]:
    """First lines of what the docstrings of a dataclass and its bases say about its attributes."""
    out: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        for names, text in re.findall(r"^ {8}(\w[\w, ]*): (.*)$", base.__doc__ or "", re.MULTILINE):
            out.update(dict.fromkeys(names.split(", "), text))
    return out


def _value(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = getattr(config, part)
    return config


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as nested mappings."""
    out: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, leaf = name.split(".")
        inner = out
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[leaf] = list(value) if hasattr(value, "typecode") else value  # ROS gives arrays of numbers as array.array
    return out


def _check_range(where: str, value: Any, leaf: _Leaf) -> None:
    low, high = leaf.low, leaf.high
    if value is None or isinstance(value, (str, bool, tuple)):
        return
    if (low is not None and value < low) or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
        raise MbmfError(f"{where}: expected {allowed}, got {value}")


def _descriptor(leaf: _Leaf, value: Any) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=leaf.description)
    descriptor.dynamic_typing = value is None
    low, high = leaf.low, leaf.high
    if low is None and high is None:
        return descriptor
    if isinstance(value, float):
        bounds = (-1e300 if low is None else float(low), 1e300 if high is None else float(high))
        descriptor.floating_point_range = [FloatingPointRange(from_value=bounds[0], to_value=bounds[1])]
    elif isinstance(value, int) and not isinstance(value, bool):
        limits = (-(2**63) if low is None else int(low), 2**63 - 1 if high is None else int(high))
        descriptor.integer_range = [IntegerRange(from_value=limits[0], to_value=limits[1], step=0)]
    return descriptor


Fill = Callable[[], tuple[bytes, str, Mapping[str, Any]]]
"""What a node says about itself: level (OK, WARN, ERROR), one line for people, and values."""


class Diagnostics:
    """Publishes a node's condition on /diagnostics once per second of wall time.

    Args:
        node: the node.
        hardware_id: what it is about, e.g. the robot's name.
        fill: called for every message.
        rejects: what the node refuses; a node that is OK warns while there was something fresh since the last message.
    """

    def __init__(self, node: Node, hardware_id: str, fill: Fill, rejects: Rejects | None = None):
        self._node, self._hardware_id, self._fill = node, hardware_id, fill
        self._rejects, self._arrivals = rejects or Rejects(), Arrivals()
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = node.create_timer(1.0, self.publish, clock=STEADY)

    def heard(self, what: str) -> None:
        """Count a message, whether it is of use or not; the node's condition tells its rate and the last one's age."""
        self._arrivals.add(what)

    def status(self) -> DiagnosticStatus:
        """The node's condition now; what it tells of refused and heard input is not fresh any more after that."""
        level, message, values = self._fill()
        refused = self._rejects.report()
        if refused and level == OK:
            level, message = WARN, refused
        status = DiagnosticStatus(level=level, message=message, hardware_id=self._hardware_id)
        status.name = self._node.get_fully_qualified_name().lstrip("/")
        values = {**values, **self._arrivals.report(), **self._rejects.values()}
        status.values = [KeyValue(key=key, value=_text(value)) for key, value in values.items()]
        return status

    def publish(self) -> None:
        """Publish now."""
        array = DiagnosticArray(status=[self.status()])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
