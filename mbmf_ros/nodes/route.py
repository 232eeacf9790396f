"""The waypoints that a robot has yet to pass. No ROS in here."""

from __future__ import annotations

from pathlib import Path as FilePath

import numpy as np
import yaml

from mbmf_ros.config import load_yaml
from mbmf_ros.control.path import MIN_SEGMENT_M, Path, PathTracker
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec
from mbmf_ros.robots.spec import PathLimits

TRIM_M = 1.0

# In the robot's frame at the start [m], for a robot that is tried on paths of 8 m: a slalom, then back in a wide turn.
DEMONSTRATION = np.array(
    [
        (1.2, 0.5),
        (2.4, -0.5),
        (3.6, 0.5),
        (4.8, -0.2),
        (5.6, -1.2),
        (4.8, -2.2),
        (3.2, -2.5),
        (1.2, -2.5),
        (-0.4, -2.2),
        (-1.0, -1.2),
        (0.0, 0.0),
    ]
)


def demonstration(spec: RobotSpec) -> np.ndarray:
    """Waypoints (W, 2) [m] of a round that shows what the robot can do, in its frame at the start."""
    length_m = spec.paths.length_m
    return np.array([(length_m / 2, 0.0), (0.0, 0.0)]) if spec.root == "sagittal" else DEMONSTRATION * length_m / 8


class Route:
    """A list of waypoints and a robot's progress along it.

    The path to follow starts at the last passed waypoint (or where the robot was) and is trimmed as the robot walks;
    a repeated list is extended so that at least one round lies ahead. A change that would make the path unusable raises
    MbmfError and changes nothing.

    Args:
        limits: when a waypoint is reached.

    Attributes:
        waypoints: one round (W, 2) [m], odometry frame; kept when the route is finished.
        tracker: on the path to follow; None: nothing to do.
        missed: indices into ``waypoints`` of those that the robot went past too far away.
    """

    def __init__(self, limits: PathLimits = PathLimits()) -> None:  # noqa: B008  # frozen
        self._limits = limits
        self.waypoints = np.empty((0, 2))
        self.tracker: PathTracker | None = None
        self.missed: list[int] = []
        self._labels: list[int] = []  # which waypoint each one of the path is
        self._rounds_left = 0.0  # not yet in the path

    @property
    def path(self) -> Path | None:
        """The path to follow."""
        return self.tracker.path if self.tracker else None

    @property
    def next_waypoint(self) -> int:
        """Index into ``waypoints`` of the one that is driven to; their number when there is nothing to do."""
        return self._labels[self.tracker.next_waypoint] if self.tracker else len(self.waypoints)

    @property
    def remaining_m(self) -> float:
        """Arc length ahead [m], all rounds."""
        if self.tracker is None:
            return 0.0
        closed = np.concatenate([self.waypoints[-1:], self.waypoints])
        round_m = float(np.linalg.norm(np.diff(closed, axis=0), axis=1).sum())
        return self.tracker.remaining_m + (self._rounds_left * round_m if self._rounds_left and round_m else 0.0)

    def start(self, xy: np.ndarray, waypoints: np.ndarray, loops: float = 0, first: int = 0) -> None:
        """Go from ``xy`` (2,) over ``waypoints`` (W, 2), and ``loops`` times more; ``first`` is driven to first.

        Raises:
            MbmfError: an unusable path, or ``first`` is not one of the waypoints.
        """
        waypoints = np.asarray(waypoints, dtype=float)
        if len(waypoints) and not 0 <= first < len(waypoints):
            raise MbmfError(f"the first waypoint must be 0 to {len(waypoints) - 1}, got {first}")
        self._follow(xy, waypoints[first:], list(range(first, len(waypoints))), waypoints, loops)
        self.missed = []

    def append(self, xy: np.ndarray, waypoint: np.ndarray) -> None:
        """Add a waypoint (2,) to the end of the list; ``xy`` (2,): where the robot is.

        Raises:
            MbmfError: an unusable waypoint.
        """
        if self.tracker is None:
            self.start(xy, waypoint[None])
            return
        start, points, labels = self._ahead(self.tracker)
        end = next((i + 1 for i in range(len(labels) - 1) if labels[i + 1] <= labels[i]), len(labels))
        dropped_rounds = sum(label == labels[end] for label in labels[end:]) if end < len(labels) else 0
        waypoints = np.concatenate([self.waypoints, waypoint[None]])
        points = np.concatenate([points[:end], waypoint[None]])
        labels = [*labels[:end], len(waypoints) - 1]
        self._follow(start, points, labels, waypoints, self._rounds_left + dropped_rounds)
        assert self.tracker is not None
        self.tracker.update(xy)

    def clear(self) -> None:
        """Nothing to do, nothing to save."""
        self.stop()
        self.waypoints, self.missed = np.empty((0, 2)), []

    def stop(self) -> None:
        """Nothing to do; the waypoints stay, to be saved."""
        self.tracker, self._labels, self._rounds_left = None, [], 0.0

    def update(self, xy: np.ndarray) -> bool:
        """Take in the measured position ``xy`` (2,); returns whether the path to follow has changed."""
        if self.tracker is None:
            return False
        seen = len(self.tracker.missed)
        self.tracker.update(xy)
        self.missed += [self._labels[index] for index in self.tracker.missed[seen:]]
        if self.tracker.done:
            self.stop()
            return True
        if self.tracker.path.arc_m[self._behind(self.tracker)] < TRIM_M:
            return False
        start, points, labels = self._ahead(self.tracker)
        self._follow(start, points, labels, self.waypoints, self._rounds_left)
        self.tracker.update(xy)
        return True

    @staticmethod
    def _behind(tracker: PathTracker) -> int:
        """The last point of the path that is passed: as a waypoint, and by progress along the path."""
        by_progress = int(np.searchsorted(tracker.path.arc_m, tracker.progress_m, side="right")) - 1
        return min(tracker.next_waypoint, by_progress)

    def _ahead(self, tracker: PathTracker) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Last passed point (2,), waypoints after it (W, 2), and their labels."""
        behind = self._behind(tracker)
        return tracker.path.points[behind], tracker.path.waypoints[behind:], self._labels[behind:]

    def _follow(
        self, start: np.ndarray, points: np.ndarray, labels: list[int], waypoints: np.ndarray, rounds: float
    ) -> None:
        """Follow ``points`` with further rounds appended until a whole one lies ahead; then take it all over."""
        Path.from_waypoints(start, points)  # unusable points are not worth repeating
        while rounds >= 1 and len(points) <= len(waypoints):
            points = np.concatenate([points, waypoints])
            labels = labels + list(range(len(waypoints)))
            rounds -= 1
        path = Path.from_waypoints(start, points)
        kept, last = [], start
        for label, point in zip(labels, points, strict=True):
            if np.linalg.norm(point - last) > MIN_SEGMENT_M:  # as the path drops repeated points
                kept.append(label)
                last = point
        self.tracker = PathTracker(path, self._limits.reach_m, self._limits.goal_reach_m)
        self.waypoints, self._labels, self._rounds_left = waypoints, kept, rounds


def save_waypoints(file: FilePath, waypoints: np.ndarray, frame: str) -> None:
    """Write waypoints (W, 2) [m] as YAML.

    Raises:
        MbmfError: there are none, or the file cannot be written.
    """
    if not len(waypoints):
        raise MbmfError("there are no waypoints to save; set some first")
    content = {"frame": frame, "waypoints": np.round(waypoints, 4).tolist()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(content, default_flow_style=None), encoding="utf-8")
    except OSError as error:
        raise MbmfError(f"cannot write waypoints to {file}: {error.strerror}") from error


def load_waypoints(file: FilePath) -> tuple[np.ndarray, str]:
    """Waypoints (W, 2) [m] of a YAML file, and the frame that they are in.

    Raises:
        MbmfError: the file is missing or holds something else.
    """
    content = load_yaml(file)
    try:
        waypoints = np.asarray(content["waypoints"], dtype=float)
        Path.from_waypoints(np.full(2, np.pi), waypoints)
    except (KeyError, ValueError, TypeError) as error:
        raise MbmfError(f"{file}: expected 'waypoints: [[x, y], ...]' in metres, got {content}") from error
    except MbmfError as error:
        raise MbmfError(f"{file}: {error}") from error
    return waypoints, str(content.get("frame", ""))
