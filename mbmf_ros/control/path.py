"""Waypoint paths in the odometry frame, and a robot's progress along one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mbmf_ros.errors import MbmfError

MAX_DISTANCE_M = 500.0
MIN_SEGMENT_M = 1e-3


@dataclass(frozen=True)
class Path:
    """A polyline. Point 0 is where it starts, the others are its waypoints.

    Attributes:
        points: (P, 2) [m], P >= 2, consecutive points distinct.
        arc_m: arc length at each point [m], (P,).
        reversals: at which waypoints it turns back over itself, by more than 120 degrees, (P - 1,).
    """

    points: np.ndarray
    arc_m: np.ndarray = field(init=False)
    reversals: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        legs = np.diff(self.points, axis=0)
        steps = np.linalg.norm(legs, axis=1)
        object.__setattr__(self, "arc_m", np.concatenate([[0.0], np.cumsum(steps)]))
        cosine = (legs[1:] * legs[:-1]).sum(1) / (steps[1:] * steps[:-1])
        object.__setattr__(self, "reversals", np.append(cosine < -0.5, False))

    @property
    def waypoints(self) -> np.ndarray:
        """(P - 1, 2) [m]."""
        return self.points[1:]

    @property
    def length_m(self) -> float:
        """Arc length [m]."""
        return float(self.arc_m[-1])

    @staticmethod
    def from_waypoints(start_xy: np.ndarray, waypoints: np.ndarray) -> Path:
        """The path from ``start_xy`` (2,) over ``waypoints`` (W, 2) [m]; repeated points are dropped.

        Raises:
            MbmfError: no waypoints, a wrong shape, numbers that are not finite, a waypoint too far away, or no
                waypoint away from the start.
        """
        start, raw = np.asarray(start_xy, dtype=float), np.asarray(waypoints, dtype=float)
        if raw.size == 0:
            raise MbmfError("the path is empty; give at least one waypoint [x, y]")
        if raw.ndim != 2 or raw.shape[1] != 2:
            raise MbmfError(f"expected waypoints as [[x, y], ...] in metres, got an array of shape {raw.shape}")
        if not (np.isfinite(raw).all() and np.isfinite(start).all()):
            bad = int(np.flatnonzero(~np.isfinite(raw).all(axis=1))[:1].sum())
            raise MbmfError(f"waypoint {bad} is not finite; give coordinates in metres")
        points = np.concatenate([start[None], raw])
        with np.errstate(over="ignore"):
            legs = np.linalg.norm(np.diff(points, axis=0), axis=1)
        if legs.max() > MAX_DISTANCE_M:
            far = int(legs.argmax())
            raise MbmfError(
                f"waypoint {far} is {legs[far]:.6g} m from the one before; at most {MAX_DISTANCE_M:.0f} m is allowed. "
                "Are the coordinates in metres and in the right frame?"
            )
        kept = [points[0]]
        for point in points[1:]:
            if np.linalg.norm(point - kept[-1]) > MIN_SEGMENT_M:
                kept.append(point)
        if len(kept) < 2:
            raise MbmfError("every waypoint lies where the robot is; give one that is somewhere else")
        return Path(np.array(kept))

    def project(self, xy: np.ndarray, low_m: float = 0.0, high_m: float = np.inf) -> tuple[float, float]:
        """Nearest point to ``xy`` (2,) between two arc lengths [m]: its arc length and its distance [m]."""
        start, arc = self.points[:-1], self.arc_m
        along = np.diff(self.points, axis=0)
        length = np.diff(arc)
        t = ((xy - start) * along).sum(1) / length  # [m] from the segment's start
        t = np.clip(t, np.clip(low_m - arc[:-1], 0, length), np.clip(high_m - arc[:-1], 0, length))
        distance = np.linalg.norm(start + along * (t / length)[:, None] - xy, axis=1)
        outside = (arc[1:] < low_m) | (arc[:-1] > high_m)
        best = int(np.where(outside, np.inf, distance).argmin())
        return float(arc[best] + t[best]), float(distance[best])


class PathTracker:
    """Progress of a measured robot along a path, advanced once per control step.

    The nearest point is sought from a little behind the last progress to ``window_m`` ahead of it, or of the last
    waypoint reached, so that a path that crosses itself is followed in order, and a robot may turn round before the
    very corner. A waypoint is reached within ``radius_m``; one that the robot has gone past farther away than that is
    missed, at the latest when the robot is at the last one.

    Args:
        path: the path.
        radius_m: distance at which a waypoint counts as reached.
        goal_radius_m: the same for the last one.
        window_m: how far progress may jump ahead in one step.
    """

    def __init__(self, path: Path, radius_m: float = 0.5, goal_radius_m: float = 0.25, window_m: float = 1.0):
        self.path = path
        self.radius_m = radius_m
        self.goal_radius_m = goal_radius_m
        self.window_m = window_m
        self.progress_m = 0.0
        self.cross_track_m = 0.0
        self.next_waypoint = 0
        self.missed: list[int] = []
        self.done = False
        self._first = True

    @property
    def remaining_m(self) -> float:
        """Arc length still ahead [m]."""
        return self.path.length_m - self.progress_m

    @property
    def open_m(self) -> float:
        """Arc length [m] up to which the path counts so far: to the next waypoint at which it turns back over itself.

        What comes after lies where the robot is or was, and a planner would turn round too early to be there.
        """
        sharp = self.path.reversals[self.next_waypoint :]
        return float(self.path.arc_m[1 + self.next_waypoint + sharp.argmax()]) if sharp.any() else self.path.length_m

    def update(self, xy: np.ndarray) -> None:
        """Take in the measured position ``xy`` (2,) [m], odometry frame."""
        reach = self.path.arc_m[1] if self._first else self.progress_m + self.window_m
        if self.next_waypoint:  # it may have been reached from this far away, and the robot turned round there
            corner = self.path.arc_m[self.next_waypoint]
            reach = max(reach, corner + self.radius_m + self.window_m)
        self._first = False
        arc, self.cross_track_m = self.path.project(xy, self.progress_m - 0.1, reach)
        self.progress_m = max(self.progress_m, arc)
        waypoints = self.path.waypoints
        last = len(waypoints) - 1
        at_goal = float(np.linalg.norm(waypoints[last] - xy)) <= self.goal_radius_m
        beyond = self.progress_m - (0.0 if at_goal else self.radius_m)
        while self.next_waypoint <= last:
            distance = float(np.linalg.norm(waypoints[self.next_waypoint] - xy))
            if distance <= (self.goal_radius_m if self.next_waypoint == last else self.radius_m):
                self.next_waypoint += 1
            elif self.next_waypoint < last and beyond > self.path.arc_m[self.next_waypoint + 1]:
                self.missed.append(self.next_waypoint)
                self.next_waypoint += 1
            else:
                break
        self.done = self.next_waypoint > last
