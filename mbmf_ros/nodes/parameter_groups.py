"""Groups of ROS parameters that may be set at any time, and requests for parameters that make no sense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter

from mbmf_ros.config import override
from mbmf_ros.errors import MbmfError

Config = TypeVar("Config")
_Groups = dict[str, tuple[Callable[[], Any], Callable[[Any], None]]]
"""By name: what tells the settings in force, and what puts others in force."""


def settable(node: Node, group: str, current: Callable[[], Config], apply: Callable[[Config], None]) -> None:
    """Let the parameters ``group.*`` of ``node`` be set, all that come at once together or not at all.

    That holds for all groups of a node: first the values of each are checked, then the groups are applied in the order
    in which they were made settable. Where one of them refuses, those before it are put back, so one that does not take
    its old settings back at any time (a safety layer does not) has to be made settable last.

    Args:
        node: has declared them as mutable, see :func:`mbmf_ros.nodes.runtime.declare`.
        group: the name before the dot.
        current: the settings in force.
        apply: puts others in force; an MbmfError that it raises is told to whoever sets them, and then it has changed
            nothing.
    """
    # Kept by the node, for ROS asks each of its callbacks on its own, and the first of them would not know of the rest.
    groups: _Groups = vars(node).setdefault("_settable_groups", {})
    if not groups:
        node.add_on_set_parameters_callback(lambda parameters: _set(groups, parameters))
    groups[group] = current, apply


def _set(groups: _Groups, parameters: list[Parameter]) -> SetParametersResult:
    """Put parameters of all groups in force, or none."""
    changes: list[tuple[Callable[[Any], None], Any, Any]] = []
    done = 0
    try:
        for group, (current, apply) in groups.items():
            if values := _values(group, parameters):
                before = current()
                changes.append((apply, before, override(before, values, group)))
        for apply, _, after in changes:
            apply(after)
            done += 1
    except MbmfError as error:
        for apply, before, _ in reversed(changes[:done]):
            apply(before)
        return SetParametersResult(successful=False, reason=str(error))
    return SetParametersResult(successful=True)


def _values(group: str, parameters: list[Parameter]) -> dict[str, Any]:
    """Those of a group, by their names in it."""
    prefix = f"{group}."
    values = {p.name.removeprefix(prefix): p.value for p in parameters if p.name.startswith(prefix)}
    return {name: list(value) if hasattr(value, "typecode") else value for name, value in values.items()}


def refuse_unreadable(node: Node) -> None:
    """Have ``node`` refuse to set parameters to values of no known type.

    rclpy's own services raise a ValueError there, and with that anybody could end the process by one request.
    """
    for service in node.services:
        if service.srv_type in (SetParameters, SetParametersAtomically):
            service.callback = _reading(service.callback)


def _reading(callback: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def guarded(request: Any, response: Any) -> Any:
        try:
            for parameter in request.parameters:
                Parameter.from_parameter_msg(parameter)
        except ValueError as error:
            refusal = SetParametersResult(successful=False, reason=f"nothing is set: {error}")
            if isinstance(request, SetParameters.Request):
                response.results = [refusal] * len(request.parameters)
            else:
                response.result = refusal
            return response
        return callback(request, response)

    return guarded
