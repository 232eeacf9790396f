"""How often things are drawn, which waypoints are numbered, and lines out of markers."""

import numpy as np
import pytest

pytest.importorskip("visualization_msgs.msg")

from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from mbmf_ros.nodes.drawing import RateLimit, lines_from, numbered

pytestmark = pytest.mark.ros


def test_rate_limit_keeps_an_uneven_stream_at_its_rate():
    limit, rng = RateLimit(20.0), np.random.default_rng(0)
    times = 0.05 * np.arange(400) + rng.uniform(0, 0.02, 400)
    assert sum(limit.ready(t) for t in times) >= 398


def test_rate_limit_thins_a_fast_stream():
    limit = RateLimit(20.0)
    passed = [t for t in np.arange(0, 10, 0.0025) if limit.ready(t)]
    assert 195 <= len(passed) <= 202


def test_lines_of_strips_and_lists():
    points = [Point(x=float(i), y=0.0, z=0.1) for i in range(4)]
    red, green = ColorRGBA(r=1.0, a=1.0), ColorRGBA(g=1.0, a=1.0)
    strip = Marker(type=Marker.LINE_STRIP, points=points, color=red)
    pairs = Marker(type=Marker.LINE_LIST, points=points, colors=[red, red, green, green])
    gone = Marker(type=Marker.LINE_STRIP, points=points, action=Marker.DELETE)
    lines, colors = lines_from(MarkerArray(markers=[strip, pairs, gone, Marker(type=Marker.SPHERE)]))
    assert lines[:, :, 0].tolist() == [[0, 1], [1, 2], [2, 3], [0, 1], [2, 3]]
    assert colors[:, 0].tolist() == [[255, 0, 0]] * 4 + [[0, 255, 0]]
    assert lines_from(MarkerArray())[0].shape == (0, 2, 3)


def test_a_place_that_comes_again_keeps_its_first_number():
    lap = [[1.0, 0.0], [1.0, 1.0]]
    assert numbered(np.array([[0.0, 0.0], *lap, *lap])) == [(1, 1.0, 0.0), (2, 1.0, 1.0)]
    assert numbered(np.zeros((0, 2))) == []
