"""States of either profile as states of the body profile, so that all models are judged by the same numbers."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np

from mbmf_ros.robots import RobotSpec, StateProfile, profile
from mbmf_ros.robots.measurement import rotation_matrix
from mbmf_ros.robots.planar_profiles import PlanarPaperProfile
from mbmf_ros.robots.profiles import PaperProfile
from mbmf_ros.robots.sim import MeasuredModel, build_model


class _Coordinates(NamedTuple):
    """Generalised positions (..., nq) and velocities (..., nv)."""

    qpos: np.ndarray
    qvel: np.ndarray


class BodyStates:
    """Converts states of a profile.

    The paper's states are redundant; what a measurement needs is read from the generalised coordinates in them, and a
    quaternion that a network has made longer or shorter is normalised.

    Args:
        spec: the robot.
        of: the profile that states come in.
    """

    def __init__(self, spec: RobotSpec, of: StateProfile):
        self.spec, self.of = spec, of
        self.body = profile(spec, "body")
        self._planar = MeasuredModel(spec, build_model(spec)) if isinstance(of, PlanarPaperProfile) else None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """States of the body profile (..., nx_body) of states ``x`` (..., nx), float64."""
        if isinstance(self.of, PaperProfile):
            return self.body.encode(self._free(x, self.of))
        if isinstance(self.of, PlanarPaperProfile) and self._planar is not None:
            return self.body.encode(self._in_plane(x, self.of, self._planar))
        return x.astype(np.float64)

    def _free(self, x: np.ndarray, of: PaperProfile) -> np.ndarray:
        layout, parts = self.spec.measurement, of.slices
        m = np.zeros((*x.shape[:-1], layout.size))
        m[..., layout.position] = x[..., parts["xy"].start : parts["height"].stop]
        quaternion = x[..., parts["orientation"]].astype(np.float64)
        length = np.linalg.norm(quaternion, axis=-1, keepdims=True)
        m[..., layout.orientation] = np.where(length > 1e-6, quaternion / np.maximum(length, 1e-6), (1.0, 0, 0, 0))
        rotation = rotation_matrix(m[..., layout.orientation])
        m[..., layout.linear_velocity] = np.einsum("...ji,...j->...i", rotation, x[..., parts["linear_velocity"]])
        for name in ("angular_velocity", "joint_position", "joint_velocity"):
            m[..., getattr(layout, name)] = x[..., parts[name]]
        return m

    def _in_plane(self, x: np.ndarray, of: PlanarPaperProfile, planar: MeasuredModel) -> np.ndarray:
        parts = of.slices
        qpos = x[..., : parts["joint_position"].stop].astype(np.float64)
        qvel = x[..., parts["root_velocity"].start : parts["joint_velocity"].stop].astype(np.float64)
        if not of.sagittal:
            return planar.measure(cast(Any, _Coordinates(qpos, qvel)))
        qpos = np.concatenate([np.zeros_like(qpos[..., :1]), qpos], axis=-1)
        m = planar.measure(cast(Any, _Coordinates(qpos, qvel)))
        # The state has the centre of mass's x, not the base's.
        center = of.world_frame(m.reshape(-1, m.shape[-1]))[2][:, 0].reshape(m.shape[:-1])
        m[..., 0] += x[..., parts["center_of_mass"].start] - center
        return m
