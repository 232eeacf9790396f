"""A robot's symmetries as matrices on network inputs and outputs, for enlarging training data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbmf_ros.robots.profiles import StateProfile
from mbmf_ros.robots.spec import RobotSpec, Symmetry


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
    """
    identity = (np.eye(profile.n_inner), np.eye(spec.nu), np.eye(profile.n_outputs))
    elements = [identity]
    if profile.name == "body":
        generators = [_matrices(spec, profile, symmetry) for symmetry in spec.symmetries]
        for element in elements:  # grows while it is read: closure of the generators
            for generator in generators:
                product = tuple(g @ e for g, e in zip(generator, element, strict=True))
                if not any(all(np.allclose(a, b) for a, b in zip(product, known, strict=True)) for known in elements):
                    elements.append(product)  # type: ignore[arg-type]
    inner, actions, outputs = (np.stack(matrices).astype(np.float32) for matrices in zip(*elements, strict=True))
    return SymmetryGroup(inner, actions, outputs)


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
