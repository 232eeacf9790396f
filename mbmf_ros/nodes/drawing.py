"""What display and cockpit share: how often to draw, which waypoints to number, and lines out of markers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from visualization_msgs.msg import MarkerArray


class RateLimit:
    """Lets through at most ``hz`` events per second in the long run, two at once.

    The second one keeps a stream that comes exactly at ``hz``, but not evenly, from losing every other event.
    """

    def __init__(self, hz: float):
        self._period_s = 1.0 / hz
        self._due_s = -math.inf

    def ready(self, now_s: float) -> bool:
        """Whether an event at ``now_s`` [s] may pass."""
        if now_s < self._due_s:
            return False
        self._due_s = max(self._due_s, now_s - self._period_s) + self._period_s
        return True


def numbered(path: np.ndarray) -> list[tuple[int, float, float]]:
    """Number (from 1), x and y [m] of the waypoints of a path (P, 2), which begins with where it started.

    A place that comes again, as in the next lap of a loop, keeps its first number.
    """
    places: dict[tuple[float, float], tuple[int, float, float]] = {}
    for number, (x, y) in enumerate(path[1:].tolist(), start=1):
        places.setdefault((round(x, 2), round(y, 2)), (number, x, y))
    return list(places.values())


def lines_from(markers: MarkerArray) -> tuple[np.ndarray, np.ndarray]:
    """The line segments (N, 2, 3) [m] of line strips and line lists, and their colours (N, 2, 3), 0 to 255."""
    lines, colors = [np.zeros((0, 2, 3))], [np.zeros((0, 2, 3))]
    for marker in markers.markers:
        points = np.array([(p.x, p.y, p.z) for p in marker.points]).reshape(-1, 3)
        if marker.action != marker.ADD or len(points) < 2:
            continue
        shades = [(c.r, c.g, c.b) for c in marker.colors]
        if len(shades) != len(points):
            shades = [(marker.color.r, marker.color.g, marker.color.b)] * len(points)
        shade = 255.0 * np.array(shades)
        if marker.type == marker.LINE_STRIP:
            lines.append(np.stack([points[:-1], points[1:]], axis=1))
            colors.append(np.stack([shade[:-1], shade[1:]], axis=1))
        elif marker.type == marker.LINE_LIST:
            whole = len(points) // 2 * 2
            lines.append(points[:whole].reshape(-1, 2, 3))
            colors.append(shade[:whole].reshape(-1, 2, 3))
    return np.concatenate(lines), np.clip(np.concatenate(colors), 0, 255)
