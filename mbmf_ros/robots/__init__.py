"""Robots: what they are (:class:`RobotSpec`), how measurements become states, and their simulation."""

from __future__ import annotations

from mbmf_ros.errors import unknown
from mbmf_ros.robots import ant, half_cheetah, hopper, swimmer
from mbmf_ros.robots.measurement import MeasurementLayout
from mbmf_ros.robots.planar_profiles import HorizontalBodyProfile, PlanarPaperProfile, SagittalBodyProfile
from mbmf_ros.robots.profiles import BodyProfile, PaperProfile, StateProfile
from mbmf_ros.robots.spec import RobotSpec

_ROBOTS = {spec.name: spec for module in (ant, half_cheetah, hopper, swimmer) for spec in module.SPECS}
_BODY = {"free": BodyProfile, "sagittal": SagittalBodyProfile, "horizontal": HorizontalBodyProfile}


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
    if name == "body":
        return _BODY[spec.root](spec.measurement)
    if name == "paper":
        from mbmf_ros.robots.sim import WorldFrame  # the body profile runs on robots without MuJoCo

        if spec.root == "free":
            return PaperProfile(spec.measurement, WorldFrame(spec))
        return PlanarPaperProfile(spec.measurement, WorldFrame(spec), spec.root == "sagittal")
    raise unknown("state profile", name, ("body", "paper"))


__all__ = ["MeasurementLayout", "RobotSpec", "StateProfile", "profile", "robot"]
