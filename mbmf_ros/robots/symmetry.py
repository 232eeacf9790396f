"""A robot's symmetries as matrices on network inputs and outputs, for enlarging training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbmf_ros.errors import MbmfError
from mbmf_ros.robots.profiles import StateProfile
from mbmf_ros.robots.spec import RobotSpec, Symmetry

LARGEST = 64  # elements of a group


@dataclass(frozen=True)
class SymmetryGroup:
    """Matrices of all elements of a robot's symmetry group, the identity first.

    If ``y`` is what the network should answer to the inner state ``s`` and action ``u``, then for every ``g``
    ``outputs[g] @ y`` is what it should answer to ``inner[g] @ s`` and ``actions[g] @ u``.

    Attributes:
        inner: (G, n_inner, n_inner).
        actions: (G, nu, nu).
        outputs: (G, n_outputs, n_outputs).
    """

    inner: np.ndarray
    actions: np.ndarray
    outputs: np.ndarray

    def __len__(self) -> int:
        return len(self.inner)


def symmetry_group(spec: RobotSpec, profile: StateProfile) -> SymmetryGroup:
    """The group that ``spec.symmetries`` generate, acting on ``profile``.

    A world-frame profile has none here (only the identity): its numbers are not relative to the robot.

    Raises:
        MbmfError: symmetries that are none, or generate too many others.
    """
    if problem := symmetry_problem(spec):
        raise MbmfError(f"robot {spec.name!r}: {problem}")
    identity = (np.eye(profile.n_inner), np.eye(spec.nu), np.eye(profile.n_outputs))
    generators = [_matrices(spec, profile, symmetry) for symmetry in spec.symmetries] if profile.name == "body" else []
    elements = _closure(identity, generators)
    inner, actions, outputs = (np.stack(matrices).astype(np.float32) for matrices in zip(*elements, strict=True))
    return SymmetryGroup(inner, actions, outputs)


def symmetry_problem(spec: RobotSpec) -> str:
    """What is wrong with a spec's symmetries; empty if nothing is."""
    for number, symmetry in enumerate(spec.symmetries):
        if not isinstance(symmetry, Symmetry):
            return f"symmetries[{number}]: expected a Symmetry(base, joint_source, joint_sign), got {symmetry!r}"
        if problem := _problem(spec, symmetry):
            return f"symmetries[{number}].{problem}"
    count, order = len(spec.joints), spec.joints
    generators = []
    for symmetry in spec.symmetries:
        permutation = np.zeros((count, count))
        permutation[np.arange(count), [order.index(name) for name in symmetry.joint_source]] = symmetry.joint_sign
        generators.append((np.array(symmetry.base, dtype=float), permutation))
    if len(_closure((np.eye(3), np.eye(count)), generators)) > LARGEST:
        return (
            f"symmetries: together they generate more than {LARGEST} others, expected a small group; look for angles "
            "that are no whole part of a turn"
        )
    return ""


def _problem(spec: RobotSpec, symmetry: Symmetry) -> str:
    """What is wrong with one symmetry."""
    try:
        base, sign = np.array(symmetry.base, dtype=float), np.array(symmetry.joint_sign, dtype=float)
        source = tuple(symmetry.joint_source)
    except (TypeError, ValueError):
        return "base, joint_source, joint_sign: expected a 3 x 3 matrix, names of joints, and numbers"
    if base.shape != (3, 3) or not np.allclose(base @ base.T, np.eye(3), rtol=0.0, atol=1e-6):
        return (
            f"base: expected an orthogonal matrix of 3 x 3 numbers, exact to a millionth (math.cos(...), not 0.866), "
            f"got {symmetry.base}"
        )
    if not np.allclose(base[2], (0.0, 0.0, 1.0), rtol=0.0, atol=1e-6):
        return f"base: expected the vertical to stay vertical, last row (0, 0, 1), got {symmetry.base[2]}"
    if sorted(map(str, source)) != sorted(spec.joints):
        return f"joint_source: expected each of {', '.join(spec.joints)} once, got {', '.join(map(str, source))}"
    if sign.shape != (len(spec.joints),) or not (np.abs(sign) == 1.0).all():
        return f"joint_sign: expected {len(spec.joints)} numbers, each 1 or -1, got {symmetry.joint_sign}"
    taken = dict(zip(spec.joints, source, strict=True))
    for name in spec.actuated_joints:
        if name in taken and taken[name] not in spec.actuated_joints:
            return f"joint_source: joint {name!r} has a motor and {taken[name]!r}, whose motion it takes over, has none"
    return ""


def _closure(
    identity: tuple[np.ndarray, ...], generators: Sequence[tuple[np.ndarray, ...]]
) -> list[tuple[np.ndarray, ...]]:
    """All products of the generators, the identity first; not all of them where there are more than ``LARGEST``."""
    elements = [identity]
    for element in elements:  # grows while it is read
        for generator in generators:
            product = tuple(g @ e for g, e in zip(generator, element, strict=True))
            if not any(all(np.allclose(a, b) for a, b in zip(product, known, strict=True)) for known in elements):
                elements.append(product)
        if len(elements) > LARGEST:
            break
    return elements


def _matrices(spec: RobotSpec, profile: StateProfile, symmetry: Symmetry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One symmetry on inner states, actions and outputs."""
    base = np.array(symmetry.base)
    mirror = round(np.linalg.det(base))  # axial vectors change sign in a mirror
    source = dict(zip(spec.joints, symmetry.joint_source, strict=True))
    sign = dict(zip(spec.joints, symmetry.joint_sign, strict=True))

    def joints(order: tuple[str, ...]) -> np.ndarray:
        matrix = np.zeros((len(order), len(order)))
        for row, name in enumerate(order):
            matrix[row, order.index(source[name])] = sign[name]
        return matrix

    axial = mirror * base
    inner = np.zeros((profile.n_inner, profile.n_inner))
    for name, part in profile.slices.items():
        at = slice(part.start - profile.n_carried, part.stop - profile.n_carried)
        size = part.stop - part.start
        if name in ("joint_position", "joint_velocity"):
            inner[at, at] = joints(spec.joints)
        elif name == "angular_velocity":  # a planar robot's is the one about the vertical
            inner[at, at] = axial[-size:, -size:]
        elif name in ("up", "linear_velocity"):
            inner[at, at] = base[:size, :size]
        elif name == "height":
            inner[at, at] = 1.0
    outputs = np.zeros((profile.n_outputs, profile.n_outputs))
    outputs[: profile.n_inner, : profile.n_inner] = inner
    outputs[-3:-1, -3:-1] = base[:2, :2]
    outputs[-1, -1] = mirror
    return inner, joints(spec.actuated_joints), outputs
