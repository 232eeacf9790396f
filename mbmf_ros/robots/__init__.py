"""Robots: what they are (:class:`RobotSpec`), how measurements become states, and their simulation."""

from __future__ import annotations

from mbmf_ros.errors import unknown
from mbmf_ros.robots.measurement import MeasurementLayout
from mbmf_ros.robots.planar_profiles import HorizontalBodyProfile, PlanarPaperProfile, SagittalBodyProfile
from mbmf_ros.robots.profiles import BodyProfile, PaperProfile, StateProfile
from mbmf_ros.robots.registry import robot
from mbmf_ros.robots.spec import RobotSpec

_BODY = {"free": BodyProfile, "sagittal": SagittalBodyProfile, "horizontal": HorizontalBodyProfile}


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
