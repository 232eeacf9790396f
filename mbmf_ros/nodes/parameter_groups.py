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


def settable(node: Node, group: str, current: Callable[[], Config], apply: Callable[[Config], None]) -> None:
    """Let the parameters ``group.*`` of ``node`` be set, all that come at once together or not at all.

    Args:
        node: has declared them as mutable, see :func:`mbmf_ros.nodes.runtime.declare`.
        group: the name before the dot.
        current: the settings in force.
        apply: puts others in force; an MbmfError that it raises is told to whoever sets them.
    """

    def on_set(parameters: list[Parameter]) -> SetParametersResult:
        prefix = f"{group}."
        values = {p.name.removeprefix(prefix): p.value for p in parameters if p.name.startswith(prefix)}
        values = {name: list(value) if hasattr(value, "typecode") else value for name, value in values.items()}
        if not values:
            return SetParametersResult(successful=True)
        try:
            apply(override(current(), values, group))
        except MbmfError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(on_set)


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
