"""Groups of parameters that are set together."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

pytest.importorskip("rclpy")

from rcl_interfaces.srv import SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.errors import MbmfError
from mbmf_ros.nodes.parameter_groups import settable
from mbmf_ros.nodes.runtime import declare

pytestmark = pytest.mark.ros
NAMES = ("arm", "leg", "tail")


@dataclass(frozen=True)
class Gains(Ranged):
    """Two numbers.

    Attributes:
        p: proportional
        d: differential
    """

    p: float = ranged(1.0, 0.0, 10.0)
    d: float = ranged(0.0, 0.0, 10.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.d > self.p:
            raise MbmfError("d: expected no more than p")


@dataclass(frozen=True)
class Limbs:
    """A group for each."""

    arm: Gains = field(default_factory=Gains)
    leg: Gains = field(default_factory=Gains)
    tail: Gains = field(default_factory=Gains)


class Animal(Node):
    """A node with three groups; its limbs refuse a gain of 7."""

    def __init__(self, **options):
        super().__init__("animal", **options)
        config = declare(self, Limbs(), mutable=NAMES)
        self.limbs = {name: getattr(config, name) for name in NAMES}
        self.applied: list[str] = []
        for name in NAMES:
            settable(self, name, lambda name=name: self.limbs[name], lambda gains, name=name: self.apply(name, gains))

    def apply(self, name: str, gains: Gains) -> None:
        if gains.p == 7.0:
            raise MbmfError(f"{name}: 7 is unlucky")
        self.applied.append(name)
        self.limbs[name] = gains


@pytest.fixture
def animal(rig):
    return rig.add(Animal)


@pytest.fixture
def put(rig):
    """Sets parameters at once; returns whether they were accepted, and why not."""

    def put(**values: float) -> tuple[bool, str]:
        parameters = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg() for name, value in values.items()
        ]
        result = rig.call(SetParametersAtomically, "animal/set_parameters_atomically", parameters=parameters).result
        return result.successful, result.reason

    return put


def test_groups_are_set_together_in_their_order(animal, put):
    assert put(leg__p=3.0, arm__p=2.0, arm__d=1.5) == (True, "")
    assert animal.limbs == {"arm": Gains(2.0, 1.5), "leg": Gains(3.0), "tail": Gains()}
    assert animal.applied == ["arm", "leg"]
    assert animal.get_parameter("leg.p").value == 3.0


@pytest.mark.parametrize("bad", NAMES)
def test_all_values_are_checked_before_any_group_is_applied(animal, put, bad):
    values = {f"{name}__p": 2.0 for name in NAMES} | {f"{bad}__d": 2.5}
    assert put(**values) == (False, "d: expected no more than p")
    assert animal.applied == []
    assert [animal.get_parameter(f"{name}.p").value for name in NAMES] == [1.0] * 3


@pytest.mark.parametrize("bad", NAMES)
def test_what_one_group_refuses_is_in_force_in_none(animal, put, bad):
    assert put(arm__p=5.0) == (True, "")
    values = {f"{name}__p": 2.0 for name in NAMES} | {f"{bad}__p": 7.0}
    assert put(**values) == (False, f"{bad}: 7 is unlucky")
    assert animal.limbs == {"arm": Gains(5.0), "leg": Gains(), "tail": Gains()}
    assert [animal.get_parameter(f"{name}.p").value for name in NAMES] == [5.0, 1.0, 1.0]
