"""How a robot's base moves: between generalised coordinates and the base's part of a measurement."""

from __future__ import annotations

from abc import ABC, abstractmethod

import mujoco
import numpy as np

from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.robots.measurement import quaternion_of_yaw, rotation_matrix
from mbmf_ros.robots.spec import RobotSpec


class Root(ABC):
    """The degrees of freedom between world and base.

    Args:
        spec: the robot.
        model: its MuJoCo model.
    """

    def __init__(self, spec: RobotSpec, model: mujoco.MjModel):
        self.layout = spec.measurement

    @abstractmethod
    def read(self, qpos: np.ndarray, qvel: np.ndarray, m: np.ndarray) -> None:
        """Write the base's pose and twist into measurements ``m`` (..., nm), whose joints are filled in already."""

    @abstractmethod
    def write(self, m: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Write the base of measurements ``m`` into generalised positions (..., nq) and velocities (..., nv)."""


class FreeRoot(Root):
    """A free joint: the base is the body that carries it."""

    def __init__(self, spec: RobotSpec, model: mujoco.MjModel):
        super().__init__(spec, model)
        root = model.joint(int(model.body(spec.base_body).jntadr[0]))
        self._q, self._v = int(root.qposadr[0]), int(root.dofadr[0])

    def read(self, qpos: np.ndarray, qvel: np.ndarray, m: np.ndarray) -> None:
        q, v, layout = self._q, self._v, self.layout
        m[..., layout.position] = qpos[..., q : q + 3]
        orientation = qpos[..., q + 3 : q + 7]  # MuJoCo normalises it where it is used, Gymnasium's resets do not
        m[..., layout.orientation] = orientation / np.linalg.norm(orientation, axis=-1, keepdims=True)
        rotation = rotation_matrix(m[..., layout.orientation])
        # A free joint's linear velocity is in the world frame, its angular velocity in the body frame.
        m[..., layout.linear_velocity] = np.einsum("...ji,...j->...i", rotation, qvel[..., v : v + 3])
        m[..., layout.angular_velocity] = qvel[..., v + 3 : v + 6]

    def write(self, m: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        q, v, layout = self._q, self._v, self.layout
        qpos[..., q : q + 3] = m[..., layout.position]
        qpos[..., q + 3 : q + 7] = m[..., layout.orientation]
        rotation = rotation_matrix(m[..., layout.orientation])
        qvel[..., v : v + 3] = np.einsum("...ij,...j->...i", rotation, m[..., layout.linear_velocity])
        qvel[..., v + 3 : v + 6] = m[..., layout.angular_velocity]


class SagittalRoot(Root):
    """Slides along x and z and a hinge about y: the robot lives in the x-z plane."""

    def __init__(self, spec: RobotSpec, model: mujoco.MjModel):
        super().__init__(spec, model)
        base = model.body(spec.base_body)
        first = int(base.jntadr[0])
        joints = [model.joint(first + index) for index in range(int(base.jntnum[0]))]
        self._q = np.array([int(joint.qposadr[0]) for joint in joints[:3]])
        self._v = np.array([int(joint.dofadr[0]) for joint in joints[:3]])
        axes = np.array([model.jnt_axis[joint.id] for joint in joints])
        straight = not model.jnt_pos[joints[-1].id].any() and np.array_equal(base.quat, [1, 0, 0, 0])
        if len(joints) != 3 or not np.array_equal(axes, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]) or not straight:
            raise MbmfError(
                f"robot {spec.name!r}: expected slides along x and z and a hinge about y on the base, at its origin"
            )
        reference = model.qpos0[self._q]
        self._offset = np.array([base.pos[0] - reference[0], base.pos[2] - reference[1]])

    def read(self, qpos: np.ndarray, qvel: np.ndarray, m: np.ndarray) -> None:
        layout = self.layout
        pitch = qpos[..., self._q[2]]
        m[..., :13] = 0.0
        m[..., 0] = qpos[..., self._q[0]] + self._offset[0]
        m[..., 2] = qpos[..., self._q[1]] + self._offset[1]
        # The half turn nearest to upright: then the twist about the vertical, the heading, is zero.
        half = ((pitch + np.pi) % (2 * np.pi) - np.pi) / 2
        m[..., 3], m[..., 5] = np.cos(half), np.sin(half)
        cos, sin = np.cos(pitch), np.sin(pitch)
        vx, vz = qvel[..., self._v[0]], qvel[..., self._v[1]]
        m[..., layout.linear_velocity.start] = cos * vx - sin * vz
        m[..., layout.linear_velocity.start + 2] = sin * vx + cos * vz
        m[..., layout.angular_velocity.start + 1] = qvel[..., self._v[2]]

    def write(self, m: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        layout = self.layout
        pitch = 2 * np.arctan2(m[..., 5], m[..., 3])
        pitch = (pitch + np.pi) % (2 * np.pi) - np.pi
        qpos[..., self._q[0]] = m[..., 0] - self._offset[0]
        qpos[..., self._q[1]] = m[..., 2] - self._offset[1]
        qpos[..., self._q[2]] = pitch
        cos, sin = np.cos(pitch), np.sin(pitch)
        forward, up = m[..., layout.linear_velocity.start], m[..., layout.linear_velocity.start + 2]
        qvel[..., self._v[0]] = cos * forward + sin * up
        qvel[..., self._v[1]] = -sin * forward + cos * up
        qvel[..., self._v[2]] = m[..., layout.angular_velocity.start + 1]


class HorizontalRoot(Root):
    """Slides along x and y and a hinge about z under a tree of links with vertical hinges: a swimmer.

    The base's position is the centre of mass of the whole robot and its orientation that of ``base_body``: in this
    frame a swimmer's motion is simple, and has the symmetries that its shape has.
    """

    def __init__(self, spec: RobotSpec, model: mujoco.MjModel):
        super().__init__(spec, model)
        base = int(model.body(spec.base_body).id)
        bodies = range(1, model.nbody)
        root = 1
        joints = [model.joint(int(model.body_jntadr[root]) + index) for index in range(int(model.body_jntnum[root]))]
        axes = np.array([model.jnt_axis[joint.id] for joint in joints])
        others = [int(model.body_jntadr[body]) for body in bodies if body != root]
        hinged = all(model.body_jntnum[body] == 1 for body in bodies if body != root)
        if not (
            hinged
            and np.array_equal(axes, [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
            and np.array_equal(model.jnt_axis[others], [[0, 0, 1]] * len(others))
            and not model.jnt_pos.any()
            and np.array_equal(model.body_quat, [[1, 0, 0, 0]] * model.nbody)
        ):
            raise MbmfError(
                f"robot {spec.name!r}: expected slides along x and y and hinges about z at the origins of links that "
                "are not turned"
            )
        self._q = np.array([int(joint.qposadr[0]) for joint in joints])
        self._v = np.array([int(joint.dofadr[0]) for joint in joints])
        # Whether a joint of the spec lies between the root and a body, (bodies, joints).
        names = [model.joint(index).name for index in others]
        own = {
            body: spec.joints.index(name) for body, name in zip([b for b in bodies if b != root], names, strict=True)
        }
        chain = np.zeros((model.nbody, len(spec.joints)))
        for body in bodies:
            if body != root:
                chain[body] = chain[model.body_parentid[body]]
                chain[body, own[body]] += 1
        self._chain, self._to_base = chain[1:], chain[base]
        # The centre of mass relative to the root's origin is a sum of one rotated vector per body.
        arms = model.body_mass[:, None] * model.body_ipos[:, :2]
        for body in bodies:
            if body != root:
                arms[model.body_parentid[body]] += model.body_subtreemass[body] * model.body_pos[body, :2]
        self._arms = arms[1:] / model.body_subtreemass[root]
        self._origin = model.body_pos[root, :2]

    def _center(self, root_yaw: np.ndarray, root_rate: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre of mass and its velocity relative to the root's origin, world frame, (..., 2) each."""
        layout = self.layout
        angle = root_yaw[..., None] + m[..., layout.joint_position] @ self._chain.T  # (..., bodies)
        rate = root_rate[..., None] + m[..., layout.joint_velocity] @ self._chain.T
        cos, sin = np.cos(angle), np.sin(angle)
        x, y = self._arms[:, 0], self._arms[:, 1]
        arm = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)  # (..., bodies, 2)
        turned = np.stack([-arm[..., 1], arm[..., 0]], axis=-1)
        return arm.sum(-2), (rate[..., None] * turned).sum(-2)

    def read(self, qpos: np.ndarray, qvel: np.ndarray, m: np.ndarray) -> None:
        layout = self.layout
        root_yaw, root_rate = qpos[..., self._q[2]], qvel[..., self._v[2]]
        yaw = root_yaw + m[..., layout.joint_position] @ self._to_base
        offset, velocity = self._center(root_yaw, root_rate, m)
        m[..., :13] = 0.0
        m[..., 0:2] = qpos[..., self._q[:2]] + self._origin + offset
        m[..., layout.orientation] = np.moveaxis(quaternion_of_yaw(yaw), 0, -1)
        world = qvel[..., self._v[:2]] + velocity
        cos, sin = np.cos(yaw), np.sin(yaw)
        m[..., layout.linear_velocity.start] = cos * world[..., 0] + sin * world[..., 1]
        m[..., layout.linear_velocity.start + 1] = -sin * world[..., 0] + cos * world[..., 1]
        m[..., layout.angular_velocity.stop - 1] = root_rate + m[..., layout.joint_velocity] @ self._to_base

    def write(self, m: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        layout = self.layout
        yaw = 2 * np.arctan2(m[..., 6], m[..., 3])
        root_yaw = yaw - m[..., layout.joint_position] @ self._to_base
        root_rate = m[..., layout.angular_velocity.stop - 1] - m[..., layout.joint_velocity] @ self._to_base
        offset, velocity = self._center(root_yaw, root_rate, m)
        qpos[..., self._q[:2]] = m[..., 0:2] - offset - self._origin
        qpos[..., self._q[2]] = root_yaw
        forward, left = m[..., layout.linear_velocity.start], m[..., layout.linear_velocity.start + 1]
        cos, sin = np.cos(yaw), np.sin(yaw)
        world = np.stack([cos * forward - sin * left, sin * forward + cos * left], axis=-1)
        qvel[..., self._v[:2]] = world - velocity
        qvel[..., self._v[2]] = root_rate


MOVES: dict[str, tuple[float, ...]] = {
    "free": (1.0,) * 6,
    "sagittal": (1.0, 0.0, 1.0, 0.0, 1.0, 0.0),
    "horizontal": (1.0, 1.0, 0.0, 0.0, 0.0, 1.0),
}
"""Which numbers of the base's linear and angular velocity a root lets differ from zero."""

_ROOTS: dict[str, type[Root]] = {"free": FreeRoot, "sagittal": SagittalRoot, "horizontal": HorizontalRoot}


def root_of(spec: RobotSpec, model: mujoco.MjModel) -> Root:
    """The root that the spec names.

    Raises:
        MbmfError: there is no such root, or the model's base does not move that way.
    """
    if spec.root not in _ROOTS:
        raise unknown("root", spec.root, _ROOTS)
    return _ROOTS[spec.root](spec, model)
