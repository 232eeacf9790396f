"""Which robots there are: those of the modules beside this one, and those in files that users name."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any

from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.robots.spec import RobotSpec
from mbmf_ros.robots.symmetry import symmetry_problem

_DEFINES_ROBOTS = re.compile(r"^SPECS\b.*=", re.MULTILINE)  # others import MuJoCo, which not all who name robots need
_ROOTS = ("free", "sagittal", "horizontal")
_FILES: dict[str, Path] = {}  # robots of files that users named, and these files
_OWN: dict[str, RobotSpec] = {}  # these robots


def robot(name: str) -> RobotSpec:
    """The robot that users call ``name``.

    Args:
        name: of a robot, or a Python file with ``SPECS = (RobotSpec(...), ...)``: its first robot, or the one in
            ``FILE.py:NAME``.

    Raises:
        MbmfError: there is no such robot, or its file is unusable.
    """
    file, _, chosen = name.partition(":")
    if file.endswith(".py"):
        specs = {spec.name: spec for spec in _load(Path(file).expanduser().resolve())}
        if chosen and chosen not in specs:
            raise unknown(f"robot in {file}", chosen, specs)
        return specs[chosen] if chosen else next(iter(specs.values()))
    known = {**_package(), **_OWN}
    if name not in known:
        raise unknown("robot", name, known)
    return known[name]


def robot_names() -> tuple[str, ...]:
    """The robots that come with the package."""
    return tuple(_package())


def file_beside(spec: RobotSpec, suffix: str) -> Path | None:
    """The file of the same name as the one that a robot is defined in, if users named that and there is one."""
    file = _FILES.get(spec.name)
    beside = file.with_suffix(suffix) if file else None
    return beside if beside and beside.is_file() else None


@functools.cache
def _package() -> dict[str, RobotSpec]:
    modules = [file for file in sorted(Path(__file__).parent.glob("*.py")) if _DEFINES_ROBOTS.search(file.read_text())]
    loaded = [importlib.import_module(f"{__package__}.{file.stem}") for file in modules]
    return {spec.name: spec for module in loaded for spec in module.SPECS}


@functools.cache
def _load(file: Path) -> tuple[RobotSpec, ...]:
    """The robots of a file, from now on known by their names too."""
    if not file.is_file():
        raise MbmfError(f"there is no robot file {file}; expected Python with SPECS = (RobotSpec(...), ...)")
    description = importlib.util.spec_from_file_location(f"mbmf_ros_robot_{file.stem}", file)
    assert description is not None
    assert description.loader is not None
    module = importlib.util.module_from_spec(description)
    try:
        description.loader.exec_module(module)
    except Exception as error:  # the file is the user's: whatever is wrong with it is bad input
        raise MbmfError(f"robot file {file}: {type(error).__name__}: {error}") from error
    found: Any = getattr(module, "SPECS", ())
    specs: tuple[RobotSpec, ...] = tuple(found) if isinstance(found, (tuple, list)) else ()
    if not specs or not all(type(spec) is RobotSpec for spec in specs):
        raise MbmfError(f"robot file {file}: expected SPECS = (RobotSpec(...), ...)")
    for spec in specs:
        if spec.name in _package() or _FILES.get(spec.name, file) != file:
            raise MbmfError(f"robot file {file}: there is a robot {spec.name!r} already; choose another name")
        if problem := _problem(spec):
            raise MbmfError(f"robot file {file}: robot {spec.name!r}: {problem}")
    _OWN.update({spec.name: spec for spec in specs})
    _FILES.update({spec.name: file for spec in specs})
    return specs


def _problem(spec: RobotSpec) -> str:
    """What is wrong with a spec; empty if nothing is."""
    if not spec.name.isidentifier():
        return "expected a name of letters, digits and underscores"
    for what, values, expected in [
        ("start_joint_position", spec.start_joint_position, len(spec.joints)),
        ("safe_action", spec.safe_action, spec.nu),
    ]:
        if len(values) != expected:
            return f"{what}: expected {expected} numbers, got {len(values)}"
    if spec.physics_dt_s <= 0 or spec.substeps < 1 or abs(spec.substeps * spec.physics_dt_s - spec.dt_s) > 1e-9:
        return f"dt_s: expected a multiple of physics_dt_s ({spec.physics_dt_s} s), got {spec.dt_s}"
    if spec.root not in _ROOTS:
        return f"root: expected {', '.join(_ROOTS)}, got {spec.root!r}"
    if spec.root == "sagittal" and spec.symmetries:
        return "symmetries: expected none, images of sagittal robots are not supported"
    return symmetry_problem(spec)
