"""Paths and the progress of a robot along them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mbmf_ros.control.path import MIN_SEGMENT_M, Path, PathTracker
from mbmf_ros.control.path_shapes import make_path
from mbmf_ros.errors import MbmfError

ORIGIN = np.zeros(2)
coordinates = st.floats(-20, 20).map(lambda value: round(value, 3))
points = st.tuples(coordinates, coordinates)


def a_path(*waypoints: tuple[float, float], start: tuple[float, float] = (0.0, 0.0)) -> Path:
    return Path.from_waypoints(np.array(start), np.array(waypoints))


def walk(tracker: PathTracker, *places: tuple[float, float], step: float = 0.05) -> None:
    """Straight lines from place to place, a measurement every ``step`` metres."""
    for start, end in pairwise(places):
        length = np.hypot(end[0] - start[0], end[1] - start[1])
        for share in np.linspace(0, 1, max(2, int(length / step))):
            tracker.update((1 - share) * np.array(start) + share * np.array(end))


@pytest.mark.parametrize(
    ("waypoints", "match"),
    [
        ([], "path is empty"),
        (np.empty((0, 2)), "path is empty"),
        ([[1, 2, 3]], r"shape \(1, 3\)"),
        ([1.0, 2.0], r"shape \(2,\)"),
        ([[1, 0], [np.nan, 0]], "waypoint 1 is not finite"),
        ([[np.inf, 0]], "waypoint 0 is not finite"),
        ([[1, 0], [1000, 0]], r"waypoint 1 is 999 m from the one before.*right frame"),
        ([[-1e9, 0]], r"waypoint 0 is 1e\+09 m"),
        ([[1e308, 1e308]], "waypoint 0 is inf m"),
        ([[0, 0], [0, 0]], "where the robot is"),
        ([[0, MIN_SEGMENT_M / 2]], "where the robot is"),
    ],
)
def test_unusable_waypoints_are_named(waypoints: list, match: str):
    with pytest.raises(MbmfError, match=match):
        Path.from_waypoints(ORIGIN, np.array(waypoints, dtype=float))


def test_a_start_that_is_not_finite_is_an_error():
    with pytest.raises(MbmfError, match="not finite"):
        Path.from_waypoints(np.array([np.nan, 0]), np.array([[1.0, 0.0]]))


def test_repeated_points_are_dropped():
    path = a_path((0, 0), (1, 0), (1, 0), (1, 0.0001), (1, 2), (1, 2))
    assert path.waypoints.tolist() == [[1, 0], [1, 2]]
    assert path.length_m == 3
    assert path.arc_m.tolist() == [0, 1, 3]


@given(st.lists(points, min_size=1, max_size=8), points, st.floats(0, 1), st.floats(0, 1))
def test_the_projection_is_the_nearest_point_within_the_stretch(
    waypoints: list[tuple[float, float]], xy: tuple[float, float], one: float, two: float
):
    assume(any(np.hypot(*waypoint) > 0.1 for waypoint in waypoints))
    path = a_path(*waypoints)
    low, high = sorted((one * path.length_m, two * path.length_m))
    arc, distance = path.project(np.array(xy), low, high)
    samples = np.append(np.linspace(low, high, 4001), path.arc_m[(path.arc_m >= low) & (path.arc_m <= high)])
    places = np.stack([np.interp(samples, path.arc_m, path.points[:, axis]) for axis in (0, 1)], axis=1)
    nearest = np.linalg.norm(places - xy, axis=1).min()
    assert low - 1e-9 <= arc <= high + 1e-9
    assert distance <= nearest + 1e-9
    assert distance >= nearest - (high - low) / 4000 - 1e-9
    place = [np.interp(arc, path.arc_m, path.points[:, axis]) for axis in (0, 1)]
    assert np.hypot(place[0] - xy[0], place[1] - xy[1]) == pytest.approx(distance, abs=1e-6)


@given(st.integers(0, 99), st.lists(points, min_size=1, max_size=60))
def test_whatever_the_robot_does_progress_and_waypoints_only_go_forward(seed: int, places: list):
    path = Path.from_waypoints(ORIGIN, make_path("polyline", np.random.default_rng(seed)))
    tracker = PathTracker(path)
    before = (0.0, 0)
    for place in places:
        tracker.update(np.array(place))
        now = (tracker.progress_m, tracker.next_waypoint)
        assert now[0] >= before[0]
        assert now[1] >= before[1]
        assert 0 <= tracker.progress_m <= path.length_m + 1e-9
        assert tracker.remaining_m == pytest.approx(path.length_m - tracker.progress_m)
        assert tracker.missed == sorted(set(tracker.missed))
        assert all(index < tracker.next_waypoint for index in tracker.missed)
        assert tracker.done == (tracker.next_waypoint == len(path.waypoints))
        before = now


@given(st.integers(0, 10_000), st.sampled_from(["left_turn", "u_turn", "figure_eight", "slalom", "polyline"]))
def test_who_walks_on_the_path_reaches_everything(seed: int, shape: str):
    path = Path.from_waypoints(ORIGIN, make_path(shape, np.random.default_rng(seed)))
    tracker = PathTracker(path)
    for arc in np.arange(0, path.length_m, 0.05):
        xy = np.array([np.interp(arc, path.arc_m, path.points[:, axis]) for axis in (0, 1)])
        tracker.update(xy)
        # Where legs meet at a sharp angle, the next one is near as soon as this one is.
        assert arc - 0.11 <= tracker.progress_m <= arc + 1.0
        assert tracker.cross_track_m < 0.11
    tracker.update(path.points[-1])
    assert tracker.done
    assert tracker.missed == []


def test_progress_and_cross_track_are_in_metres():
    tracker = PathTracker(a_path((3, 0)))
    tracker.update(np.array([0.4, 0.3]))
    assert tracker.progress_m == pytest.approx(0.4)
    assert tracker.cross_track_m == pytest.approx(0.3)
    assert tracker.remaining_m == pytest.approx(2.6)
    tracker.update(np.array([0.1, 0.0]))  # going back is off the path
    assert tracker.progress_m == pytest.approx(0.4)
    assert tracker.cross_track_m == pytest.approx(0.2)


def test_a_first_leg_may_be_entered_in_its_middle():
    tracker = PathTracker(a_path((6, 0), (6, 3)))
    tracker.update(np.array([4.0, 0.1]))
    assert tracker.progress_m == pytest.approx(4.0)


def test_later_jumps_are_limited():
    tracker = PathTracker(a_path((10, 0)))
    tracker.update(np.array([1.0, 0.0]))
    tracker.update(np.array([8.0, 0.0]))
    assert tracker.progress_m == pytest.approx(2.0)
    assert tracker.cross_track_m == pytest.approx(6.0)


def test_a_crossing_does_not_skip_the_loop():
    # A bow: over the crossing at (2, 0), around, and through it again.
    path = a_path((4, 0), (4, 2), (2, 2), (2, -2))
    tracker = PathTracker(path)
    walk(tracker, (0, 0), (2.5, 0))
    assert tracker.progress_m == pytest.approx(2.5)
    assert tracker.next_waypoint == 0
    walk(tracker, (2.5, 0), (4, 0), (4, 2), (2, 2), (2, 0))
    assert tracker.progress_m == pytest.approx(10.0)
    assert tracker.next_waypoint == 3
    walk(tracker, (2, 0), (2, -2))
    assert tracker.done
    assert tracker.missed == []


def test_the_way_back_over_the_same_ground_is_walked_after_the_way_there():
    tracker = PathTracker(a_path((3, 0), (0, 0)))
    walk(tracker, (0, 0), (2.4, 0))
    assert tracker.next_waypoint == 0
    assert tracker.progress_m < 2.5
    walk(tracker, (2.4, 0), (3, 0))
    assert not tracker.done
    walk(tracker, (3, 0), (0.1, 0))
    assert tracker.done
    assert tracker.missed == []


def test_who_turns_round_before_the_very_corner_is_on_the_way_back():
    # The planner looks farther ahead than progress may jump; a large robot's waypoint is reached from a distance.
    tracker = PathTracker(a_path((3, 0), (6, 0), (3, 0), (0, 0)), radius_m=1.0, goal_radius_m=0.5)
    walk(tracker, (0, 0), (5.2, 0), (4.5, 0))
    assert tracker.progress_m == pytest.approx(7.5)
    walk(tracker, (4.5, 0), (0.4, 0))
    assert tracker.done
    assert tracker.missed == []


def test_what_lies_behind_a_reversal_counts_when_its_waypoint_is_reached():
    tracker = PathTracker(a_path((3, 0), (6, 0), (6, 3), (3, 3), (6, 3.2), (9, 3)))
    tracker.update(ORIGIN)
    assert list(tracker.path.reversals) == [False, False, False, True, False, False]
    assert tracker.open_m == pytest.approx(12.0)
    walk(tracker, (0, 0), (6, 0), (6, 3), (3.6, 3))
    assert tracker.open_m == pytest.approx(12.0)
    walk(tracker, (3.6, 3), (3.4, 3))  # within half a metre
    assert tracker.open_m == tracker.path.length_m


def test_a_waypoint_passed_too_far_away_is_missed():
    tracker = PathTracker(a_path((2, 0), (4, 0)))
    walk(tracker, (0, 0), (1, 0.6), (2.45, 0.6))
    assert tracker.missed == []  # it could still turn back
    walk(tracker, (2.45, 0.6), (2.6, 0.6))
    assert tracker.missed == [0]
    walk(tracker, (2.6, 0.6), (4, 0))
    assert tracker.done
    assert tracker.missed == [0]


def test_waypoints_are_reached_in_order_only():
    tracker = PathTracker(a_path((2, 0), (2, 2), (0, 2)))
    walk(tracker, (0, 0), (0, 2), (0, 2))  # straight to the last one
    assert tracker.next_waypoint == 0
    assert not tracker.done


def test_within_half_a_metre_counts_and_the_last_needs_less():
    tracker = PathTracker(a_path((2, 0), (4, 0)))
    walk(tracker, (0, 0), (1.55, 0))
    assert tracker.next_waypoint == 1
    walk(tracker, (1.55, 0), (3.7, 0))
    assert not tracker.done
    walk(tracker, (3.7, 0), (3.8, 0))
    assert tracker.done


def test_many_waypoints_in_one_place_are_reached_together():
    cluster = [(1 + 0.1 * np.cos(angle), 0.1 * np.sin(angle)) for angle in range(6)]
    tracker = PathTracker(a_path(*cluster, (3, 0)))
    tracker.update(ORIGIN)
    tracker.update(np.array([0.8, 0.0]))
    assert tracker.next_waypoint == 6
    walk(tracker, (0.8, 0), (3, 0))
    assert tracker.done


def test_densely_drawn_paths_are_followed_like_any_other():
    path = a_path(*((0.05 * index, 0.0) for index in range(1, 101)))
    beside, away = PathTracker(path), PathTracker(path)
    walk(beside, (0, 0.3), (4.9, 0.1))
    assert beside.done
    assert beside.missed == []
    walk(away, (0, 0), (1, 0.7), (3, 0.7), (4, 0), (4.9, 0))
    assert away.done
    assert 20 < len(away.missed) < 50


def test_at_the_goal_nothing_stays_open():
    # The last but one lies off the direct way, and nearer to the goal than the radius.
    tracker = PathTracker(a_path((3, 0), (3, 0.4), (3.3, 0.4)), radius_m=0.2, goal_radius_m=0.25)
    walk(tracker, (0, 0), (3, 0), (3.22, 0.18), (3.3, 0.2), (3.3, 0.4))
    assert tracker.done
    assert tracker.missed == [1]


def test_a_goal_at_the_start_is_not_reached_before_the_loop():
    tracker = PathTracker(a_path((2, 0), (2, 2), (0, 2), (0, 0)))
    tracker.update(ORIGIN)
    tracker.update(np.array([0.1, 0.1]))
    assert not tracker.done
    assert tracker.missed == []
