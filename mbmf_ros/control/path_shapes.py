"""Paths to try a robot on: the named shapes, either hand and in any direction, and random polylines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.robots import RobotSpec

SHAPES = ("straight", "left_turn", "right_turn", "u_turn", "figure_eight", "slalom", "polyline")
LINES = ("forward", "backward", "there_and_back", "back_and_there")
"""Along the robot's x axis; all that a robot in the x-z plane can do."""


def make_path(shape: str, rng: np.random.Generator, length_m: float = 8.0) -> np.ndarray:
    """Waypoints (W, 2) [m] of about ``length_m``, starting at the origin; in a random direction, but for ``LINES``.

    Sizes, and for symmetric shapes the hand, are drawn from ``rng``. The origin is not a waypoint.

    Raises:
        MbmfError: unknown shape.
    """
    if shape in LINES:
        return _line(shape, length_m)
    if shape not in SHAPES:
        raise unknown("shape", shape, (*SHAPES, *LINES))
    hand = rng.choice([-1.0, 1.0])
    points = {
        "straight": lambda: np.array([[length_m / 2, 0], [length_m, 0]]),
        "left_turn": lambda: _turn(rng, length_m, 1.0),
        "right_turn": lambda: _turn(rng, length_m, -1.0),
        "u_turn": lambda: _u_turn(rng, length_m) * (1, hand),
        "figure_eight": lambda: _figure_eight(length_m) * (1, hand),
        "slalom": lambda: _slalom(rng, length_m) * (1, hand),
        "polyline": lambda: _polyline(rng, length_m),
    }[shape]()
    angle = rng.uniform(-np.pi, np.pi)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ rotation.T


def shapes_of(spec: RobotSpec) -> tuple[str, ...]:
    """The shapes that a robot is tried on where none are named."""
    return LINES if spec.root == "sagittal" else SHAPES


def path_set(
    seed: int, shapes: Sequence[str] = SHAPES, per_shape: int = 1, length_m: float = 8.0
) -> dict[str, np.ndarray]:
    """Named paths, ``per_shape`` of each shape, drawn from ``seed``."""
    rng = np.random.default_rng(seed)
    return {
        shape if per_shape == 1 else f"{shape}_{index}": make_path(shape, rng, length_m)
        for shape in shapes
        for index in range(per_shape)
    }


def reachable(spec: RobotSpec, points: np.ndarray) -> np.ndarray:
    """Points (P, 2) [m] as near to the given ones as the robot can come: one in the x-z plane has only its x axis.

    Raises:
        MbmfError: they differ only where the robot cannot go.
    """
    if spec.root != "sagittal" or len(points) == 0:
        return points
    line = points * (1.0, 0.0)
    if np.ptp(line[:, 0]) == 0 and np.ptp(points[:, 1]) > 0:
        raise MbmfError(f"{spec.name} moves along the x axis only; give waypoints with another x")
    return line


def _line(shape: str, length_m: float) -> np.ndarray:
    """Straight ahead or backwards, once or there and back; a waypoint half-way."""
    ahead = -1.0 if shape.startswith("back") else 1.0
    legs = (0.5, 1.0) if shape in ("forward", "backward") else (0.25, 0.5, 0.25, 0.0)
    return np.array([[ahead * length_m * leg, 0.0] for leg in legs])


def _turn(rng: np.random.Generator, length_m: float, hand: float) -> np.ndarray:
    """Straight, a sharp corner of 60 to 120 degrees, straight."""
    angle = hand * np.deg2rad(rng.uniform(60, 120))
    leg = length_m / 2
    corner = np.array([leg, 0.0])
    return np.array([corner, corner + leg * np.array([np.cos(angle), np.sin(angle)])])


def _u_turn(rng: np.random.Generator, length_m: float) -> np.ndarray:
    """There, aside, and back."""
    width = rng.uniform(0.8, 2.0) * length_m / 8
    leg = (length_m - width) / 2
    return np.array([[leg, 0.0], [leg, width], [0.0, width]])


def _figure_eight(length_m: float) -> np.ndarray:
    """Two circles that touch in the origin, as 16 waypoints."""
    radius = length_m / (4 * np.pi)
    angle = np.linspace(0, 2 * np.pi, 9)[1:]
    first = np.stack([radius * np.sin(angle), radius * (1 - np.cos(angle))], axis=1)
    return np.concatenate([first, first * (1, -1)])


def _slalom(rng: np.random.Generator, length_m: float) -> np.ndarray:
    """Zigzag about a straight line."""
    gates, aside = 6, rng.uniform(0.3, 0.7) * length_m / 8
    x = np.linspace(0, length_m * 0.85, gates + 1)[1:]
    y = aside * np.array([(-1.0) ** index for index in range(gates)])
    y[-1] = 0.0
    return np.stack([x, y], axis=1)


def _polyline(rng: np.random.Generator, length_m: float) -> np.ndarray:
    """Legs of an eighth to a third of the length, with turns of up to 100 degrees."""
    points, at, heading, walked = [], np.zeros(2), 0.0, 0.0
    while walked < length_m:
        leg = rng.uniform(1.0, 2.5) * length_m / 8
        at = at + leg * np.array([np.cos(heading), np.sin(heading)])
        points.append(at)
        walked += leg
        heading += np.deg2rad(rng.uniform(-100, 100))
    return np.array(points)
