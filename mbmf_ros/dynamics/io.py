"""Model files: safetensors weights with a JSON header that says what they are."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from mbmf_ros.config import override
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec, robot
from mbmf_ros.whole_file import write_whole

_FORMAT = "mbmf_ros/dynamics"


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says about itself.

    Attributes:
        robot, profile, layout_hash: what it fits.
        transitions: recorded transitions that it was trained on.
        one_step_error: normalised RMSE of one step on held-out data.
        open_loop_error: the same for ``open_loop_steps`` steps open loop.
        open_loop_steps: see above.
        extra: how it was made: seeds, settings, commands, revision.
    """

    robot: str
    profile: str
    layout_hash: str
    transitions: int
    one_step_error: float
    open_loop_error: float
    open_loop_steps: int
    extra: dict[str, Any] = field(default_factory=dict)


def layout_hash(model: Dynamics) -> str:
    """Identifies robot, state layout and actuators."""
    return f"{model.profile.layout_hash}-{model.spec.name}-{model.spec.nu}-{model.spec.dt_s:g}"


def fingerprint(model: Dynamics) -> str:
    """Identifies weights and normaliser; files of the same model differ in the order of their headers."""
    digest = hashlib.sha256(repr(model.config).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def model_to_bytes(model: Dynamics, info: ModelInfo) -> bytes:
    """The model as the bytes of a safetensors file."""
    header = {
        "format": _FORMAT,
        "config": json.dumps(dataclasses.asdict(model.config)),
        "info": json.dumps(dataclasses.asdict(info), allow_nan=True),
    }
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    return save_tensors(tensors, metadata=header)


def model_from_bytes(data: bytes, spec: RobotSpec | None = None) -> tuple[Dynamics, ModelInfo]:
    """The model in the bytes of a safetensors file, ready to use.

    Args:
        data: the bytes.
        spec: the robot that it must fit; by default the one that the file names.

    Raises:
        MbmfError: truncated or foreign bytes, another robot or layout, or weights that are not finite.
    """
    metadata = metadata_of(data)
    try:
        tensors = load_tensors(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise MbmfError(f"not a whole safetensors file ({error}); copy or train it again") from error
    if metadata.get("format") != _FORMAT:
        raise MbmfError("a safetensors file, but not one of a dynamics model; expected one written by `mbmf train`")
    try:
        info = _info(json.loads(metadata["info"]))
        config = override(DynamicsConfig(), json.loads(metadata["config"]), "model configuration")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise MbmfError(f"the model's header is damaged ({error}); copy or train it again") from error
    if info.profile != config.profile:
        raise MbmfError("the model's header is damaged (it names two state profiles); copy or train it again")
    middle = tensors.get("weights.1")
    if middle is None or middle.shape != (config.members, config.hidden, config.hidden):  # before memory is taken
        raise MbmfError("the model's weights do not fit its own description; copy or train it again")
    if spec is not None and info.robot != spec.name:
        raise MbmfError(f"the model is of robot {info.robot!r}, expected {spec.name!r}; train one with `mbmf train`")
    model = Dynamics(spec or robot(info.robot), config)
    if info.layout_hash != layout_hash(model):
        raise MbmfError(
            f"the model's state layout is {info.layout_hash!r}, this version's {layout_hash(model)!r}; train it again"
        )
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise MbmfError(f"the model's weights do not fit its own description: {str(error).splitlines()[-1]}") from error
    statistics = (model.input_mean, model.input_std, model.output_mean, model.output_std)
    if not all(torch.isfinite(p).all() for p in (*model.parameters(), *statistics)):
        raise MbmfError("the model has weights that are not finite; train it again")
    if not ((model.input_std > 0).all() and (model.output_low <= model.output_high).all()):
        raise MbmfError("the model's normaliser is damaged; copy or train it again")
    return model.requires_grad_(False), info


def _info(values: Any) -> ModelInfo:
    """What the header says, of the types that are promised.

    Raises:
        TypeError: an entry is missing, unknown or of another type.
    """
    info = ModelInfo(**values)
    kinds = {"str": str, "int": int, "float": (int, float), "dict[str, Any]": dict}
    for entry in dataclasses.fields(info):
        value = getattr(info, entry.name)
        if not isinstance(value, kinds[str(entry.type)]):
            raise TypeError(f"{entry.name}: expected {entry.type}, got {value!r}")
    return info


def metadata_of(data: bytes) -> dict[str, str]:
    """The safetensors header's metadata: an 8-byte little-endian length, then that much JSON.

    Raises:
        MbmfError: truncated or foreign bytes.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise MbmfError("not a whole safetensors file (too short for its header); copy or train it again")
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise MbmfError(f"not a safetensors file ({error}); expected one written by `mbmf`") from error
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else {}
    return metadata if isinstance(metadata, dict) else {}


def save_model(path: Path, model: Dynamics, info: ModelInfo) -> None:
    """Write a model file; an old one is replaced in one step."""
    write_whole(path, model_to_bytes(model, info))


def load_model(path: Path, spec: RobotSpec | None = None) -> tuple[Dynamics, ModelInfo]:
    """Read a model file; see :func:`model_from_bytes`.

    Raises:
        MbmfError: the file is missing or unusable.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MbmfError(f"cannot read the model {path}: {error.strerror}; make one with `mbmf train`") from error
    try:
        return model_from_bytes(data, spec)
    except MbmfError as error:
        raise MbmfError(f"{path}: {error}") from error


def default_model_path(spec: RobotSpec, profile: str = "body") -> Path:
    """Where the shipped model of a robot is.

    Raises:
        MbmfError: none is shipped.
    """
    models = Path(__file__).parent.parent / "models"
    path = models / f"{spec.name}{'' if profile == 'body' else '_' + profile}.safetensors"
    if not path.is_file() or _shipped_for(path) not in (None, (spec.name, profile)):
        raise MbmfError(f"no model of {spec.name!r} with the state profile {profile!r} is shipped; see `mbmf train`")
    return path


def _shipped_for(path: Path) -> tuple[str, str] | None:
    """The robot and the profile that a model file names, as file names are ambiguous; None: it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            info = json.loads((file.metadata() or {})["info"])
        return info["robot"], info["profile"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None
