"""A node under fire: hostile messages on every topic and service that it has, interleaved with ordinary traffic.

Counted is what was sent to each topic and service, and how much of it was refused. What had to be refused by the rules
of :mod:`fuzz_oracle` and was not is a finding, and so is what was counted more than once, or refused without reason.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fuzz_bench import Bench
from fuzz_bytes import corrupted
from fuzz_messages import changed, copy_of, made_up
from fuzz_names import node_of
from fuzz_nodes import SPEC
from fuzz_oracle import malformed
from fuzz_traffic import Traffic
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from rclpy._rclpy_pybind11 import RMWError
from rclpy.serialization import deserialize_message, serialize_message

from mbmf_ros.msg import Model, RobotState
from mbmf_ros.nodes.conversions import time_seconds

MESSAGES_PER_EXAMPLE = 12
MOST_EXAMPLES = 400  # in one go, for Hypothesis remembers what it has tried
SETTLED_S = 3.0  # for questions that nobody answers here: the hardware bridge's, which joints its commands go to
MODEL_S = 1.5  # after that long without a state a model has been looked at: one a second is, when nobody waits


def generating(examples: int) -> settings:
    """Hypothesis makes so many examples, and does nothing else: a node has a past, so what went wrong cannot be tried
    again."""
    return settings(
        max_examples=examples,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow, HealthCheck.large_base_example],
        deadline=None,
        database=None,
    )


@dataclass
class Report:
    """What came out for one node.

    Attributes:
        sent: hostile messages by topic or service.
        malformed, refused: of these, what had to be refused, and what was.
        undecodable: corrupted messages that the middleware itself does not let through.
        findings: crashes, unsafe actions and wrong counts, each once.
        actions: what was looked at, see :class:`fuzz_watch.Watch`.
    """

    sent: Counter[str] = field(default_factory=Counter)
    malformed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    undecodable: int = 0
    findings: dict[str, str] = field(default_factory=dict)
    actions: Counter[str] = field(default_factory=Counter)

    @property
    def messages(self) -> int:
        """Hostile messages in all."""
        return self.sent.total()


class Campaign:
    """Fuzzes one node.

    Args:
        case: see :data:`fuzz_names.CASES`.
        bench: with the node.
    """

    def __init__(self, case: str, bench: Bench):
        self.name, self.bench, self.traffic, self.report = node_of(case), bench, Traffic(bench), Report()
        self._targets: list[tuple[Any, list[Any]]] = []  # who takes messages, and what those are made from
        self._bytes: dict[Any, bytes] = {}
        self._ahead_s = -math.inf  # the latest stamp of a state that was taken: from then back, a true one is outdated

    def run(self, messages: int, first_seed: int) -> Report:
        """Send so many hostile messages."""
        with self.bench.clock.in_force():
            self.bench.pass_time(SETTLED_S)
            self._targets = self._find_targets()
            self._newborn()
            while self.report.messages < messages:
                examples = min(MOST_EXAMPLES, -(-(messages - self.report.messages) // MESSAGES_PER_EXAMPLE))
                self._round(examples, first_seed + self.report.messages)
        self.report.findings |= self.bench.crashes
        self.report.actions = self.bench.watch.counts
        return self.report

    def _newborn(self) -> None:
        """The emptiest message on every topic, before the node has heard anything else."""
        for target in self.bench.subscriptions():
            self.report.sent[target.topic_name] += 1
            self._judge(target, target.msg_type(), "empty")

    def _round(self, examples: int, number: int) -> None:
        @seed(number)
        @generating(examples)
        @given(st.data())
        def go(data: st.DataObject) -> None:
            self.traffic.start()
            self._ahead_s = -math.inf  # so many true states in a row are a beginning
            for number in range(MESSAGES_PER_EXAMPLE):
                self._one(data.draw)
                if number % 4 == 3:
                    self.traffic.run(1)

        go()

    def _find_targets(self) -> list[tuple[Any, list[Any]]]:
        """Hypothesis wants its choices to depend on nothing but earlier ones: templates stay as they are here."""
        subscriptions, services = self.bench.subscriptions(), list(self.bench.node.services)
        topics = [(one, [self.traffic.message(one.msg_type, one.topic_name)]) for one in subscriptions]
        self._bytes = {one: serialize_message(templates[0]) for one, templates in topics}  # padding differs every time
        # Of services there are many, most of them for parameters, and little to be told wrong.
        more = max(1, 2 * len(services) // max(1, len(subscriptions)))
        return topics * more + [(one, self.traffic.requests(one)) for one in services]

    def _one(self, draw: Any) -> None:
        """One hostile message to anybody who takes messages."""
        target, templates = draw(st.sampled_from(self._targets))
        template = draw(st.sampled_from(templates))
        if hasattr(target, "srv_type"):
            self.report.sent[target.srv_name] += 1
            self.bench.call(target, copy_of(draw(st.one_of(changed(template), made_up(type(template))))))
        else:
            self.report.sent[target.topic_name] += 1
            self._message(draw, target, template)

    def _message(self, draw: Any, target: Any, template: Any) -> None:
        topic = target.topic_name
        how = draw(st.sampled_from(["valid", "made up", "bytes", *["changed"] * 5]))
        if how == "bytes":
            self._corrupted(target, draw(corrupted(self._bytes[target])))
            return
        message = self.traffic.message(target.msg_type, topic)
        if how == "made up":
            message = copy_of(draw(made_up(type(template))))
        elif how == "changed":
            message = self.traffic.renewed(copy_of(draw(changed(template))), template, message)
        self._judge(target, message, how)

    def _judge(self, target: Any, message: Any, how: str, data: bytes | None = None) -> None:
        """Deliver a message, as ``data`` if those are its bytes, and look at what was counted."""
        topic, wrong = target.topic_name, malformed(message, target.topic_name, self.name, SPEC)
        wrong = wrong and not self._deaf
        refused = self._deliver(target, message if data is None else data)
        self.report.malformed[topic] += wrong
        if refused > 1 or (wrong and not refused):
            self._count_is_wrong(f"{topic}: {refused} refusals counted for one malformed", message)
        stamp_s = time_seconds(message.header.stamp) if isinstance(message, RobotState) else math.inf
        if (
            how == "valid"
            and refused
            and target.msg_type in (*self.traffic.streams, Model)
            and stamp_s >= self._ahead_s
        ):
            self._count_is_wrong(f"{topic}: nothing was wrong with what was refused", message)
        if isinstance(message, RobotState) and not refused:
            self._ahead_s = max(self._ahead_s, stamp_s)

    def _corrupted(self, target: Any, data: bytes) -> None:
        """Bytes go to who takes bytes; to others what the middleware makes of them."""
        try:
            message = deserialize_message(data, target.msg_type)
        except RMWError:
            self.report.undecodable += 1
            if target.raw:
                wrong = not self._deaf
                self.report.malformed[target.topic_name] += wrong
                if not self._deliver(target, data) and wrong:
                    self._count_is_wrong(f"{target.topic_name}: no refusal of undecodable bytes", data)
            return
        self._judge(target, message, "bytes", data if target.raw else None)

    @property
    def _deaf(self) -> bool:
        """It was told to listen to nobody."""
        return self.name == "dynamics_learner" and getattr(self.bench.node, "_paused", False)

    def _deliver(self, target: Any, message: Any) -> int:
        """Send it; how many refusals it brought about."""
        before = self.bench.refused()
        self.bench.send(target, message)
        if target.msg_type is Model:
            self.bench.pass_time(MODEL_S)
        refused = self.bench.refused() - before
        self.report.refused[target.topic_name] += refused
        return refused

    def _count_is_wrong(self, what: str, message: Any) -> None:
        self.report.findings.setdefault(f"counter: {what}", str(message)[:3000])
