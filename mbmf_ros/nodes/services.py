"""Services that say what they did, or why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from mbmf_ros.errors import MbmfError


def offer(node: Node, kind: type, name: str, answer: Callable[[Any], str]) -> None:
    """Offer ``~/name``, a Trigger or SetBool.

    What ``answer`` returns is the message; an MbmfError or OSError that it raises says why there was no success.
    """

    def callback(request: Any, response: Any) -> Any:
        try:
            response.message, response.success = answer(request), True
        except (MbmfError, OSError) as error:
            response.message, response.success = str(error), False
        return response

    node.create_service(kind, f"~/{name}", callback)
