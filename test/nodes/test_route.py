"""The list of waypoints: progress, trimming, appending, rounds, files. No ROS."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbmf_ros.errors import MbmfError
from mbmf_ros.nodes.route import Route, load_waypoints, save_waypoints

ORIGIN = np.zeros(2)
SQUARE = np.array([[2.0, 0.0], [2.0, 2.0], [0.0, 2.0], [0.0, 0.0]])


def walk(route: Route, course: np.ndarray, start: np.ndarray = ORIGIN) -> list[int]:
    """Walk straight from ``start`` over every point of ``course``; the waypoints in the order they were driven to."""
    order = [route.next_waypoint]
    for begin, end in pairwise([start, *course]):
        for share in np.linspace(0, 1, 2 + int(np.linalg.norm(end - begin) / 0.1)):
            route.update(begin + share * (end - begin))
            if route.tracker and route.next_waypoint != order[-1]:
                order.append(route.next_waypoint)
    return order


def test_waypoints_are_driven_to_in_order_and_kept():
    route = Route()
    route.start(ORIGIN, SQUARE)
    assert route.remaining_m == pytest.approx(8.0)
    assert walk(route, SQUARE) == [0, 1, 2, 3]
    assert route.path is None
    assert route.missed == []
    assert route.remaining_m == 0
    np.testing.assert_array_equal(route.waypoints, SQUARE)


def test_what_lies_behind_is_trimmed():
    route = Route()
    route.start(ORIGIN, SQUARE)
    changed = [route.update(np.array([x, 0.0])) for x in np.arange(0.1, 1.9, 0.1)]
    assert not any(changed)
    assert [route.update(np.array([2.0, y])) for y in (0.1, 0.3)] == [True, False]
    assert route.path is not None
    np.testing.assert_array_equal(route.path.points, SQUARE)
    assert route.next_waypoint == 1


def test_rounds_are_counted():
    route = Route()
    route.start(ORIGIN, SQUARE, loops=2)
    assert route.remaining_m == pytest.approx(24.0)
    assert walk(route, np.tile(SQUARE, (3, 1))) == [0, 1, 2, 3] * 3


def test_an_endless_route_always_has_a_round_ahead():
    route = Route()
    route.start(ORIGIN, SQUARE, loops=float("inf"))
    order = walk(route, np.tile(SQUARE, (10, 1)))
    assert order[:8] == [0, 1, 2, 3] * 2
    assert len(order) > 39
    assert route.tracker is not None
    assert route.tracker.remaining_m > 7.0


def test_a_single_waypoint_driven_for_ever_is_as_far_as_it_is():
    route = Route()
    route.start(ORIGIN, SQUARE[:1], loops=float("inf"))
    assert route.remaining_m == pytest.approx(2.0)


def test_it_can_begin_at_a_later_waypoint():
    route = Route()
    route.start(ORIGIN, SQUARE, loops=1, first=2)
    assert walk(route, np.concatenate([SQUARE[2:], SQUARE])) == [2, 3, 0, 1, 2, 3]
    assert route.path is None
    with pytest.raises(MbmfError, match="0 to 3, got 4"):
        route.start(ORIGIN, SQUARE, first=4)


def test_appending_extends_the_path_from_the_last_passed_waypoint():
    route = Route()
    route.append(ORIGIN, np.array([2.0, 0.0]))
    route.append(np.array([0.5, 0.1]), np.array([4.0, 0.0]))
    assert route.path is not None
    np.testing.assert_array_equal(route.path.points, [[0, 0], [2, 0], [4, 0]])
    for x in np.arange(0.5, 2.6, 0.1):
        route.update(np.array([x, 0.0]))
    route.append(np.array([2.6, 0.0]), np.array([4.0, 2.0]))
    np.testing.assert_array_equal(route.path.points, [[2, 0], [4, 0], [4, 2]])
    assert route.next_waypoint == 1


def test_appending_to_rounds_joins_every_round():
    route = Route()
    route.start(ORIGIN, SQUARE[:2], loops=1)
    route.append(ORIGIN, SQUARE[2])
    assert walk(route, np.tile(SQUARE[:3], (2, 1))) == [0, 1, 2, 0, 1, 2]


def test_repeated_waypoints_keep_their_numbers():
    route = Route()
    route.start(ORIGIN, np.repeat(SQUARE, 2, axis=0))
    assert walk(route, SQUARE) == [0, 2, 4, 6]


def test_a_waypoint_passed_too_far_away_is_told():
    route = Route()
    route.start(ORIGIN, np.array([[2.0, 0.0], [4.0, 0.8], [6.0, 0.0], [9.0, 0.0]]))
    for x in np.arange(0.0, 9.1, 0.1):
        route.update(np.array([x, 0.0]))
    assert route.missed == [1]


@pytest.mark.parametrize(
    ("waypoints", "message"),
    [
        (np.empty((0, 2)), "empty"),
        (np.array([[1.0, np.nan]]), "not finite"),
        (np.array([[1000.0, 0.0]]), "1000 m"),
        (np.zeros((3, 2)), "where the robot is"),
    ],
)
@pytest.mark.parametrize("loops", [0, float("inf")])
def test_what_cannot_be_used_is_refused_and_the_task_stays(waypoints, message, loops):
    route = Route()
    route.start(ORIGIN, SQUARE)
    before = route.tracker
    with pytest.raises(MbmfError, match=message):
        route.start(ORIGIN, waypoints, loops=loops)
    if len(waypoints) and message != "where the robot is":
        with pytest.raises(MbmfError):
            route.append(ORIGIN, waypoints[0])
    assert route.tracker is before
    assert len(route.waypoints) == 4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=6), st.integers(0, 2))
def test_whoever_walks_along_the_path_arrives(points, loops):
    route = Route()
    waypoints = np.array(points).round(1)
    try:
        route.start(ORIGIN, waypoints, loops)
    except MbmfError:
        return
    order = walk(route, np.tile(waypoints, (loops + 1, 1)))
    assert route.path is None
    assert route.missed == []
    assert set(order) <= set(range(len(waypoints)))


def test_waypoints_survive_a_file(tmp_path):
    file = tmp_path / "new" / "waypoints.yaml"
    save_waypoints(file, SQUARE, "odom")
    waypoints, frame = load_waypoints(file)
    np.testing.assert_allclose(waypoints, SQUARE)
    assert frame == "odom"
    with pytest.raises(MbmfError, match="no waypoints to save"):
        save_waypoints(file, SQUARE[:0], "odom")


@pytest.mark.parametrize(
    "text", ["", "waypoints: 3", "waypoints: [[1, 2, 3]]", "waypoints: [[.nan, 1]]", "[1, 2]", "a: !!python/none x"]
)
def test_a_foreign_file_is_refused(tmp_path, text):
    file = tmp_path / "waypoints.yaml"
    file.write_text(text)
    with pytest.raises(MbmfError, match=r"waypoints\.yaml"):
        load_waypoints(file)
    with pytest.raises(MbmfError, match=r"missing\.yaml"):
        load_waypoints(tmp_path / "missing.yaml")
