"""Drawing of the planner's candidates."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

HEIGHT_M = 0.05


def candidate_markers(header: Header, xy: np.ndarray, returns: np.ndarray) -> MarkerArray:
    """Candidate rollouts as one marker of line segments, from red (worst return) to green (best).

    Args:
        header: frame and stamp of the markers.
        xy: predicted positions [m] (C, H + 1, 2).
        returns: (C,); candidates without a finite return are left out.
    """
    finite = np.isfinite(returns) & np.isfinite(xy).all((1, 2))
    xy, returns = xy[finite], returns[finite]
    marker = Marker(header=header, ns="candidates", type=Marker.LINE_LIST, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale.x = 0.01
    span = float(np.ptp(returns)) if len(returns) else 0.0
    points, colours = [], []
    for line, value in zip(xy.astype(float), returns, strict=True):
        good = float(value - returns.min()) / span if span > 0 else 1.0
        corners = [Point(x=x, y=y, z=HEIGHT_M) for x, y in line.tolist()]
        colour = ColorRGBA(r=1.0 - good, g=good, b=0.2, a=0.6)
        for start, end in pairwise(corners):
            points += [start, end]
            colours += [colour, colour]
    marker.points, marker.colors = points, colours
    return MarkerArray(markers=[marker])
