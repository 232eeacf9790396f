"""Robots: what they are (:class:`RobotSpec`), how measurements become states, and their simulation."""

from __future__ import annotations

from mbmf_ros.errors import unknown
from mbmf_ros.robots.ant import ANT
from mbmf_ros.robots.measurement import MeasurementLayout
from mbmf_ros.robots.profiles import BodyProfile, PaperProfile, StateProfile
from mbmf_ros.robots.spec import RobotSpec

_ROBOTS = {spec.name: spec for spec in (ANT,)}


def robot(name: str) -> RobotSpec:
    """The robot that users call ``name``.

    Raises:
        MbmfError: there is no such robot.
    """
    if name not in _ROBOTS:
        raise unknown("robot", name, _ROBOTS)
    return _ROBOTS[name]


def profile(spec: RobotSpec, name: str = "body") -> StateProfile:
    """The state profile ``name`` (``body`` or ``paper``) of a robot.

    Raises:
        MbmfError: there is no such profile.
    """
    if name == BodyProfile.name:
        return BodyProfile(spec.measurement)
    if name == PaperProfile.name:
        from mbmf_ros.robots.sim import CenterOfMass  # the body profile runs on robots without MuJoCo

        return PaperProfile(spec.measurement, CenterOfMass(spec))
    raise unknown("state profile", name, (BodyProfile.name, PaperProfile.name))


__all__ = ["MeasurementLayout", "RobotSpec", "StateProfile", "profile", "robot"]
