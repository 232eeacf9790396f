"""Changes of a simulated robot and its floor, for experiments: weak motors, payload, slippery floor."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import mujoco
import numpy as np

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots.sim import Simulation


@dataclass(frozen=True)
class DisturbanceConfig(Ranged):
    """What is different from the robot as built.

    Attributes:
        motor_strength: torque of each motor, 0 to 1, as a share of its torque as built; one number holds for all.
        payload_kg: mass [kg] carried at the base's centre of mass.
        floor_friction_scale: factor on the friction of every contact with the floor.
    """

    motor_strength: tuple[float, ...] = (1.0,)
    payload_kg: float = ranged(0.0, 0.0, 1000.0)
    floor_friction_scale: float = ranged(1.0, 0.0, 10.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 <= strength <= 1 for strength in self.motor_strength):
            raise MbmfError(f"motor_strength: expected numbers from 0 to 1, got {list(self.motor_strength)}")


class Disturbance:
    """Disturbs a simulation; what is changed is always told from the robot as built, so the defaults undo everything.

    Args:
        simulation: the simulation, undisturbed.
    """

    def __init__(self, simulation: Simulation):
        self._spec, self._model = simulation.spec, simulation.model
        self._built = copy.copy(simulation.model)
        arrays = {name: getattr(self._built, name) for name in dir(self._built) if not name.startswith("_")}
        self._arrays = [name for name, value in arrays.items() if isinstance(value, np.ndarray) and value.size]
        driven = [self._model.joint(int(index)).name for index in self._model.actuator_trnid[:, 0]]
        self._actuators = [driven.index(name) for name in self._spec.actuated_joints]
        self._base = int(self._model.body(self._spec.base_body).id)
        self.config = DisturbanceConfig()

    def apply(self, config: DisturbanceConfig) -> None:
        """Make the robot what ``config`` says, from the next physics step on; its state stays.

        Raises:
            MbmfError: a wrong number of motors.
        """
        nu, model, built = self._spec.nu, self._model, self._built
        if len(config.motor_strength) not in (1, nu):
            raise MbmfError(
                f"motor_strength: expected {nu} numbers for robot {self._spec.name!r}, or one for all motors, "
                f"got {len(config.motor_strength)}"
            )
        for name in self._arrays:
            getattr(model, name)[:] = getattr(built, name)
        model.actuator_gear[self._actuators] *= np.broadcast_to(config.motor_strength, nu)[:, None]
        # Of two touching bodies the larger friction counts: scaling all of them scales every contact.
        model.geom_friction[:] *= config.floor_friction_scale
        if config.payload_kg > 0:
            model.body_mass[self._base] += config.payload_kg
            mujoco.mj_setConst(model, mujoco.MjData(model))  # what is derived from masses
        self.config = config
