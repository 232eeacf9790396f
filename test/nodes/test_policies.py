"""config/security/policies.xml permits each node exactly what it does."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mbmf_ros.msg")

from rclpy.node import Node

from mbmf_ros import nodes
from mbmf_ros.shared_files import shared_file

pytestmark = pytest.mark.ros
FILE = shared_file("config", "security", "policies.xml")
FOLDER = Path(nodes.__file__).parent
NODES = sorted(path.stem for path in FOLDER.glob("*.py") if "\ndef main(" in path.read_text(encoding="utf-8"))
NAMESPACE = "/robot1"  # so that names that ignore it are seen
HARDWARE = str(FILE.parent.parent / "hardware" / "ant_stand_in.yaml")
# What each node is started with; where that changes what it does, more than once.
PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "cockpit": [{"port": 0, "bridge": bridge} for bridge in ("sim_bridge", "hardware_bridge")],
    "hardware_bridge": [{"config": HARDWARE}],
    "hardware_stand_in": [{"config": HARDWARE}],
    "dynamics_learner": [{"log_dir": "", "model_path": ""}],
    "mpc_controller": [{"model_path": ""}],
}
OWN_TIME = {"sim_bridge", "hardware_bridge", "hardware_stand_in"}  # the others follow /clock, if asked to
LINES = {
    "publish": '<topics publish="ALLOW">: <topic>{}</topic>',
    "subscribe": '<topics subscribe="ALLOW">: <topic>{}</topic>',
    "reply": '<services reply="ALLOW">: <service>{}</service>',
    "request": '<services request="ALLOW">: <service>{}</service>',
    "execute": '<actions execute="ALLOW">: <action>{}</action>',
    "call": '<actions call="ALLOW">: <action>{}</action>',
}

Rules = set[tuple[str, str]]  # what may be done, to what


def permitted() -> dict[str, Rules]:
    """The rules of each enclave's one node."""
    out: dict[str, Rules] = {}
    for enclave in ElementTree.parse(FILE).getroot().iterfind("enclaves/enclave"):
        (profile,) = enclave.iterfind("profiles/profile")
        name = profile.get("node", "")
        assert (enclave.get("path"), profile.get("ns")) == (f"/{name}", "/")
        rules = [
            (verb, expression.text or "")
            for group in profile
            for verb, permission in group.attrib.items()
            if permission == "ALLOW"
            for expression in group
        ]
        assert len(rules) == len(set(rules)), f"{name}: a line stands twice"
        out[name] = set(rules)
    return out


def done(rig: Any, name: str) -> Rules:
    """What a node does, as everybody sees it, in the words of a policy."""
    probe, rules = rig.probe, set()
    looks = (
        ("publish", probe.get_publisher_names_and_types_by_node),
        ("subscribe", probe.get_subscriber_names_and_types_by_node),
        ("reply", probe.get_service_names_and_types_by_node),
        ("request", probe.get_client_names_and_types_by_node),
    )
    for verb, look in looks:
        for full, _ in look(name, NAMESPACE):
            action, hidden, _ = full.partition("/_action/")
            if hidden:
                rules.add(({"publish": "execute", "reply": "execute"}.get(verb, "call"), relative(action, name)))
            else:
                rules.add((verb, relative(full, name)))
    return rules


def relative(full: str, name: str) -> str:
    """A name as it stands in the policy: it must hold in every namespace."""
    for prefix, short in ((f"{NAMESPACE}/{name}/", "~/"), (f"{NAMESPACE}/", "")):
        if full.startswith(prefix):
            return short + full.removeprefix(prefix)
    return full


def show_everything(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cockpit subscribes to drawings only while a browser shows them."""
    monkeypatch.setattr(type(node.scene), "watched", property(lambda _: True))
    node._wants_candidates = True
    node._subscribe_what_is_shown()


def lived(rig: Any, name: str, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Rules:
    """What a node does that is started with these parameters, when the graph has stopped growing."""
    module = importlib.import_module(f"mbmf_ros.nodes.{name}")
    (kind,) = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Node) and value.__module__ == module.__name__
    ]
    make: Callable[..., Node] = partial(kind, namespace=NAMESPACE)
    node = rig.add(make, use_sim_time=name not in OWN_TIME, **parameters)
    if name == "cockpit":
        show_everything(node, monkeypatch)
    seen: list[Rules] = []

    def steady() -> bool:
        seen.append(done(rig, name))
        return len(seen) > 10 and bool(seen[-1]) and all(rules == seen[-1] for rules in seen[-10:])

    rig.until(steady, f"the interfaces of {name}")
    return seen[-1]


def lines(rules: Rules) -> list[str]:
    return [LINES[verb].format(what) for verb, what in sorted(rules)]


@pytest.mark.parametrize("name", NODES)
def test_a_node_may_do_what_it_does_and_nothing_else(rig, monkeypatch, name):
    does: Rules = set()
    for parameters in PARAMETERS.get(name, [{}]):
        does |= lived(rig, name, parameters, monkeypatch)
    may = permitted()
    if name == "sim_bridge" and importlib.util.find_spec("tf2_msgs") is None:
        does.add(("publish", "tf"))  # it needs tf2_msgs for that
    assert name in may, f"{FILE}: no enclave /{name} with a profile of node {name!r}"
    missing, needless = lines(does - may[name]), lines(may[name] - does)
    assert not missing, f"{FILE}, node {name}: add these lines, each to its group:\n" + "\n".join(missing)
    assert not needless, f"{FILE}, node {name}: {name} does not do this, take it out:\n" + "\n".join(needless)


def test_every_enclave_is_one_of_a_node():
    assert sorted(permitted()) == NODES


def test_nothing_is_permitted_by_a_pattern():
    assert not re.search(r"[*?\[]", "".join(what for rules in permitted().values() for _, what in rules))
