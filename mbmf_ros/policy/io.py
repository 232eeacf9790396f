"""Policy files: safetensors weights with a JSON header that says what they are."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from mbmf_ros.config import override
from mbmf_ros.dynamics.io import metadata_of
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.gaussian import GaussianPolicy, PolicyConfig
from mbmf_ros.policy.observation import Observation
from mbmf_ros.robots import RobotSpec, robot
from mbmf_ros.whole_file import write_whole

_FORMAT = "mbmf_ros/policy"


@dataclass(frozen=True)
class PolicyInfo:
    """What a policy file says about itself.

    Attributes:
        robot, layout_hash: what it fits.
        task: what it was trained to do.
        action_repeat: control periods for which each of its actions is held.
        steps: environment steps that went into it, all of them.
        extra: how it was made: seeds, settings, commands, revision.
    """

    robot: str
    layout_hash: str
    task: str
    action_repeat: int
    steps: int
    extra: dict[str, Any] = field(default_factory=dict)


def save_policy(path: Path, policy: GaussianPolicy, info: PolicyInfo) -> None:
    """Write a policy file; an old one is replaced in one step.

    One that holds just this stays as it is: files of the same policy differ in the order of their headers, and what
    began with it knows it by its bytes.
    """
    tensors = {name: tensor.detach().contiguous() for name, tensor in policy.state_dict().items()}
    if _holds(path, tensors, policy.config, info):
        return
    header = {
        "format": _FORMAT,
        "config": json.dumps(dataclasses.asdict(policy.config)),
        "info": json.dumps(dataclasses.asdict(info)),
    }
    write_whole(path, save_tensors(tensors, metadata=header))


def load_policy(path: Path, spec: RobotSpec | None = None) -> tuple[GaussianPolicy, PolicyInfo]:
    """Read a policy file.

    Args:
        path: the file.
        spec: the robot that it must fit; by default the one that the file names.

    Raises:
        MbmfError: a missing, truncated or foreign file, another robot or layout, or weights that are not finite.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MbmfError(f"cannot read the policy {path}: {error.strerror}; make one with `mbmf imitate`") from error
    try:
        return _from_bytes(data, spec)
    except MbmfError as error:
        raise MbmfError(f"{path}: {error}") from error


def _holds(path: Path, tensors: dict[str, Tensor], config: PolicyConfig, info: PolicyInfo) -> bool:
    """Whether the file is there, and holds no more and no less than that."""
    try:
        kept, its_config, about = _contents(path.read_bytes())
    except (OSError, MbmfError):
        return False
    if its_config != config or dataclasses.asdict(about) != json.loads(json.dumps(dataclasses.asdict(info))):
        return False
    same = (kept[name].dtype == tensors[name].dtype and kept[name].equal(tensors[name].cpu()) for name in kept)
    return kept.keys() == tensors.keys() and all(same)


def _contents(data: bytes) -> tuple[dict[str, Tensor], PolicyConfig, PolicyInfo]:
    """What the bytes of a policy file hold.

    Raises:
        MbmfError: they are no policy file's, or damaged.
    """
    metadata = metadata_of(data)
    if metadata.get("format") != _FORMAT:
        raise MbmfError("not a policy file; expected one written by `mbmf imitate` or `mbmf finetune`")
    try:
        tensors = load_tensors(data)
        info = _info(json.loads(metadata["info"]))
        config = override(PolicyConfig(), json.loads(metadata["config"]), "policy configuration")
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise MbmfError(f"the policy file is damaged ({error}); copy or train it again") from error
    return tensors, config, info


def _from_bytes(data: bytes, spec: RobotSpec | None) -> tuple[GaussianPolicy, PolicyInfo]:
    tensors, config, info = _contents(data)
    if spec is not None and info.robot != spec.name:
        raise MbmfError(f"the policy is of robot {info.robot!r}, expected {spec.name!r}")
    spec = spec or recorded_robot(info.robot)
    observe = Observation(spec)
    if info.layout_hash != observe.layout_hash:
        raise MbmfError("the policy was trained on another layout of observations; train it again")
    second = tensors.get("second.weight")
    if second is None or second.shape != (config.hidden, config.hidden):  # before memory is taken
        raise MbmfError("the policy's weights do not fit its own description; copy or train it again")
    policy = GaussianPolicy(observe.size, spec.nu, config)
    try:
        policy.load_state_dict(tensors)
    except RuntimeError as error:
        problem = str(error).splitlines()[-1]
        raise MbmfError(f"the policy's weights do not fit its own description: {problem}") from error
    if not all(torch.isfinite(weights).all() for weights in (*policy.parameters(), policy.center, policy.spread)):
        raise MbmfError("the policy has weights that are not finite; train it again")
    if not ((policy.spread > 0).all() and (policy.low <= policy.high).all()):
        raise MbmfError("the policy's training range is damaged; copy or train it again")
    return policy.requires_grad_(False), info


def recorded_robot(name: str) -> RobotSpec:
    """The robot that a run or a policy says that it is of.

    Raises:
        MbmfError: there is none of this name; it may be one of a user's own.
    """
    try:
        return robot(name)
    except MbmfError as error:
        raise MbmfError(f"{error}; if {name!r} is a robot of yours, add --robot FILE.py") from error


def _info(values: dict[str, Any]) -> PolicyInfo:
    """What the header says, of the types that are promised.

    Raises:
        TypeError: an entry is missing, unknown or of another type.
    """
    info = PolicyInfo(**values)
    kinds = {"str": str, "int": int, "dict[str, Any]": dict}
    for entry in dataclasses.fields(info):
        if not isinstance(getattr(info, entry.name), kinds[str(entry.type)]):
            raise TypeError(f"{entry.name}: expected {entry.type}, got {getattr(info, entry.name)!r}")
    return info
