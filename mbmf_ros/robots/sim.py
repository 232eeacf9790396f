"""Physics: the only module that imports MuJoCo's simulation."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import mujoco
import mujoco.rollout
import numpy as np

from mbmf_ros.errors import DivergenceError, MbmfError
from mbmf_ros.robots.measurement import quaternion_of_yaw
from mbmf_ros.robots.roots import MOVES, root_of
from mbmf_ros.robots.spec import RobotSpec


def asset_path(name: str) -> Path:
    """Where a model file is: among Gymnasium's MuJoCo assets, or at the path ``name``.

    Raises:
        MbmfError: neither has it.
    """
    gymnasium = find_spec("gymnasium")  # only to find it: importing it takes a second
    candidates = [Path(name)]
    if gymnasium is not None and gymnasium.origin:
        candidates.insert(0, Path(gymnasium.origin).parent / "envs" / "mujoco" / "assets" / name)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise MbmfError(f"no MuJoCo model {name!r} among Gymnasium's assets or at that path; is gymnasium installed?")


def build_model(spec: RobotSpec) -> mujoco.MjModel:
    """The spec's MuJoCo model; its actuators are in its own order.

    Raises:
        MbmfError: the model is no valid MJCF, or lacks something that the spec names.
    """
    inline = spec.model_asset.lstrip().startswith("<")
    where = "its model" if inline else spec.model_asset
    path = "" if inline else str(asset_path(spec.model_asset))
    try:
        source = mujoco.MjSpec.from_string(spec.model_asset) if inline else mujoco.MjSpec.from_file(path)
        source.option.timestep = spec.physics_dt_s
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*settotalmass.*")  # as Gymnasium's half-cheetah has it
            model = source.compile()
    except ValueError as error:
        raise MbmfError(f"robot {spec.name!r}: {where} is no valid MJCF: {error}") from error
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET  # a divergence shall be seen, not put right
    names = {model.joint(index).name for index in range(model.njnt)}
    missing = [name for name in (*spec.joints, *spec.actuated_joints) if name not in names]
    if missing:
        raise MbmfError(f"robot {spec.name!r}: {where} has no joint {missing[0]!r}; it has {sorted(names)}")
    driven = [model.joint(int(index)).name for index in model.actuator_trnid[:, 0]]
    idle = [name for name in spec.actuated_joints if name not in driven]
    if idle:
        raise MbmfError(f"robot {spec.name!r}: {where} has no actuator on joint {idle[0]!r}; it has some on {driven}")
    bodies = [model.body(index).name for index in range(1, model.nbody)]
    if spec.base_body not in bodies:
        raise MbmfError(f"robot {spec.name!r}: {where} has no body {spec.base_body!r}; it has {bodies}")
    return model


def joint_range(spec: RobotSpec) -> np.ndarray:
    """Lower and upper limit [rad] of each joint, (joints, 2), in the spec's order; infinite where there is none.

    Raises:
        MbmfError: see :func:`build_model`.
    """
    model = build_model(spec)
    joints = [model.joint(name) for name in spec.joints]
    free = (-np.inf, np.inf)
    limits = [joint.range if joint.limited[0] else free for joint in joints]
    return np.array(limits, dtype=np.float64).reshape(-1, 2)


class _Indices:
    """Where the spec's joints and actuators lie in MuJoCo's arrays."""

    def __init__(self, spec: RobotSpec, model: mujoco.MjModel):
        self.base = int(model.body(spec.base_body).id)
        self.root = root_of(spec, model)
        self.joint_q = np.array([model.joint(name).qposadr[0] for name in spec.joints])
        self.joint_v = np.array([model.joint(name).dofadr[0] for name in spec.joints])
        driven = [model.joint(int(index)).name for index in model.actuator_trnid[:, 0]]
        self.ctrl = np.array([driven.index(name) for name in spec.actuated_joints])

    def measurements(self, qpos: np.ndarray, qvel: np.ndarray, spec: RobotSpec) -> np.ndarray:
        """Measurements (..., nm) of generalised positions (..., nq) and velocities (..., nv)."""
        layout = spec.measurement
        m = np.empty((*qpos.shape[:-1], layout.size))
        m[..., layout.joint_position] = qpos[..., self.joint_q]
        m[..., layout.joint_velocity] = qvel[..., self.joint_v]
        self.root.read(qpos, qvel, m)
        return m

    def fill(self, m: np.ndarray, qpos: np.ndarray, qvel: np.ndarray, spec: RobotSpec) -> None:
        """Write measurements (..., nm) into generalised positions (..., nq) and velocities (..., nv)."""
        layout = spec.measurement
        self.root.write(m, qpos, qvel)
        qpos[..., self.joint_q] = m[..., layout.joint_position]
        qvel[..., self.joint_v] = m[..., layout.joint_velocity]


def start_measurement(
    spec: RobotSpec,
    rng: np.random.Generator | None = None,
    noise: float = 0.0,
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> np.ndarray:
    """The start pose at planar ``pose`` (x [m], y [m], yaw [rad]), (nm,).

    ``noise`` is the standard deviation of zero-mean Gaussian noise on joint positions [rad] and on all velocities
    (paper, section III: perturbed start states).
    """
    layout = spec.measurement
    m = np.zeros(layout.size)
    x, y, yaw = (pose[0], 0.0, 0.0) if spec.root == "sagittal" else pose
    m[layout.position] = (x, y, spec.start_height_m)
    m[layout.orientation] = quaternion_of_yaw(yaw)
    m[layout.joint_position] = spec.start_joint_position
    if rng is not None and noise > 0:
        for part in (layout.joint_position, layout.joint_velocity, layout.linear_velocity, layout.angular_velocity):
            m[part] += noise * rng.standard_normal(m[part].shape)
    m[7:13] *= MOVES[spec.root]  # a planar robot does not leave its plane
    return m


class Simulation:
    """One simulated robot, stepped at the control period.

    Args:
        spec: the robot.
    """

    def __init__(self, spec: RobotSpec):
        self.spec = spec
        self.model = build_model(spec)
        self.data = mujoco.MjData(self.model)
        self._at = _Indices(spec, self.model)
        self.reset(start_measurement(spec))

    def reset(self, m: np.ndarray) -> np.ndarray:
        """Put the robot where measurement ``m`` (nm,) says, at time 0; returns what it then measures."""
        mujoco.mj_resetData(self.model, self.data)
        self._at.fill(m, self.data.qpos, self.data.qvel, self.spec)
        mujoco.mj_forward(self.model, self.data)
        return self.measure()

    def measure(self) -> np.ndarray:
        """The measurement now, (nm,)."""
        return self._at.measurements(self.data.qpos, self.data.qvel, self.spec)

    def step(self, action: np.ndarray) -> np.ndarray:
        """Hold ``action`` (nu,), clipped to [-1, 1], for one control period; returns the measurement after it.

        Raises:
            DivergenceError: the simulation diverged.
        """
        return self.advance(action, self.spec.substeps)

    def advance(self, control: np.ndarray, substeps: int) -> np.ndarray:
        """Hold ``control`` (nu,), clipped to [-1, 1], for some physics steps; returns the measurement after them.

        Raises:
            DivergenceError: the simulation diverged.
        """
        self.data.ctrl[self._at.ctrl] = np.clip(control, -1.0, 1.0)
        mujoco.mj_step(self.model, self.data, substeps)
        m = self.measure()
        if self.spec.measurement.problem(m):
            raise DivergenceError(f"the simulation of {self.spec.name!r} diverged at {self.data.time:.2f} s")
        return m

    def joint_torque(self) -> np.ndarray:
        """Torque [N m] of the actuators on each joint, (joints,), over the last physics step."""
        return self.data.qfrc_actuator[self._at.joint_v].copy()

    @property
    def full_torque(self) -> np.ndarray:
        """Torque [N m] of each actuator on its joint at a control of 1, (nu,)."""
        return self.model.actuator_gear[self._at.ctrl, 0].copy()

    def specific_force(self) -> np.ndarray:
        """What an accelerometer at the base's origin feels [m/s^2], base frame, (3,): at rest 9.81 upwards."""
        mujoco.mj_rnePostConstraint(self.model, self.data)
        acceleration = np.empty(6)
        kind = mujoco.mjtObj.mjOBJ_XBODY
        mujoco.mj_objectAcceleration(self.model, self.data, kind, self._at.base, acceleration, 1)
        return acceleration[3:]

    def center_of_mass(self) -> np.ndarray:
        """Position [m] and velocity [m/s] of the robot's centre of mass now, (6,), odometry frame."""
        return _center_of_mass(self.model, self.data)

    @property
    def time_s(self) -> float:
        """Simulated time since the reset [s]."""
        return float(self.data.time)


class MeasuredModel:
    """Reads somebody else's MuJoCo simulation of a robot as measurements.

    Attributes:
        actuators: where each of the spec's actuators lies in MuJoCo's control vector, (nu,).
    """

    def __init__(self, spec: RobotSpec, model: mujoco.MjModel):
        self.spec = spec
        self._at = _Indices(spec, model)
        self.actuators = self._at.ctrl

    def measure(self, data: mujoco.MjData) -> np.ndarray:
        """The measurement now, (nm,)."""
        return self._at.measurements(data.qpos, data.qvel, self.spec)


class ParallelSimulation:
    """Many simulated robots driven open loop at once, on a pool of threads.

    Args:
        spec: the robot.
        threads: physics threads.
    """

    def __init__(self, spec: RobotSpec, threads: int = 2):
        self.spec = spec
        self.model = build_model(spec)
        self._data = [mujoco.MjData(self.model) for _ in range(max(1, threads))]
        self._at = _Indices(spec, self.model)

    def rollout(self, start: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Play ``actions`` (B, T, nu) from measurements ``start`` (B, nm); returns measurements (B, T + 1, nm)."""
        batch, steps, _ = actions.shape
        qpos = np.tile(self.model.qpos0, (batch, 1))
        qvel = np.zeros((batch, self.model.nv))
        self._at.fill(start, qpos, qvel, self.spec)
        spec_state = mujoco.mjtState.mjSTATE_FULLPHYSICS
        state = np.zeros((batch, mujoco.mj_stateSize(self.model, spec_state)))
        state[:, 1 : 1 + self.model.nq] = qpos  # state[:, 0] is the time
        state[:, 1 + self.model.nq : 1 + self.model.nq + self.model.nv] = qvel
        ctrl = np.zeros((batch, steps, self.model.nu))
        ctrl[:, :, self._at.ctrl] = np.clip(actions, -1.0, 1.0)
        ctrl = np.repeat(ctrl, self.spec.substeps, axis=1)
        states, _ = mujoco.rollout.rollout([self.model] * batch, self._data, state, ctrl)
        states = states[:, self.spec.substeps - 1 :: self.spec.substeps]
        after = self._at.measurements(
            states[..., 1 : 1 + self.model.nq],
            states[..., 1 + self.model.nq : 1 + self.model.nq + self.model.nv],
            self.spec,
        )
        return np.concatenate([start[:, None], after], axis=1)


class WorldFrame:
    """Forward kinematics: generalised coordinates and the centre of mass's motion, from measurements."""

    def __init__(self, spec: RobotSpec):
        self.spec = spec
        self._parts: tuple[mujoco.MjModel, mujoco.MjData, _Indices] | None = None

    def __call__(self, m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of measurements ``m`` (N, nm): positions (N, nq), velocities (N, nv), and the centre of mass's position [m]
        and velocity [m/s] (N, 6), odometry frame."""
        if self._parts is None:
            model = build_model(self.spec)
            self._parts = model, mujoco.MjData(model), _Indices(self.spec, model)
        model, data, at = self._parts
        qpos, qvel = np.tile(model.qpos0, (len(m), 1)), np.zeros((len(m), model.nv))
        at.fill(m, qpos, qvel, self.spec)
        center = np.empty((len(m), 6))
        for row in range(len(m)):
            data.qpos, data.qvel = qpos[row], qvel[row]
            center[row] = _center_of_mass(model, data)
        return qpos, qvel, center


def _center_of_mass(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """Position and velocity (6,) of the centre of mass of everything that moves, from positions and velocities."""
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_comVel(model, data)
    mujoco.mj_subtreeVel(model, data)  # reads what the three before it derive
    return np.concatenate([data.subtree_com[1], data.subtree_linvel[1]])
