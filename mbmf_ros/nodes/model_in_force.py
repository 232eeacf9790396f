"""The model that the learner has put in force, and where models come from."""

from __future__ import annotations

from array import array
from pathlib import Path

from mbmf_ros.dynamics.io import default_model_path, load_model, model_from_bytes
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import Model
from mbmf_ros.robots import RobotSpec


class ModelInForce:
    """A model file's bytes, and what is in them.

    Args:
        spec: the robot.
        data: the file's bytes.
        version: of the model.

    Raises:
        MbmfError: the bytes are no model of this robot.
    """

    def __init__(self, spec: RobotSpec, data: bytes, version: int):
        self.data, self.version = data, version
        self.dynamics, self.info = model_from_bytes(data, spec)

    def message(self) -> Model:
        """The model for the controller."""
        info = self.info
        return Model(
            version=self.version,
            robot=info.robot,
            profile=info.profile,
            layout_hash=info.layout_hash,
            transitions=info.transitions,
            one_step_error=info.one_step_error,
            open_loop_error=info.open_loop_error,
            open_loop_steps=info.open_loop_steps,
            weights=array("B", self.data),
        )


def read_model(path: Path, spec: RobotSpec) -> tuple[bytes, str]:
    """A model file's bytes, found to be usable, and what to say about them.

    Raises:
        MbmfError: the model is unusable.
    """
    load_model(path, spec)
    return path.read_bytes(), f"model {path}"


def first_model(spec: RobotSpec, name: str, profile: str) -> tuple[tuple[bytes, str] | None, str]:
    """The model to begin with, as :func:`read_model` gives it, or None; and what is wrong with that, if anything is.

    Args:
        spec: the robot.
        name: a file; ``default``: the shipped one; empty: none.
        profile: of the shipped one.

    Raises:
        MbmfError: the model is unusable.
    """
    if not name:
        return None, ""
    if name != "default":
        return read_model(Path(name).expanduser(), spec), ""
    try:
        path = default_model_path(spec, profile)
    except MbmfError as error:
        return None, str(error)
    return read_model(path, spec), ""
