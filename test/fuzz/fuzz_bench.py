"""A node on a bench: its callbacks are called one by one on a clock that stands still in between, and what it publishes
is looked at.

Topics, services and timers are found in the node itself: one that is added is fuzzed without anybody thinking of it.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any, cast
from unittest import mock

from fuzz_watch import Watch
from rclpy.node import Node
from rclpy.serialization import serialize_message

TICK_S = 0.01


class FuzzClock:
    """Stands in for the clocks that nodes go by."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Nodes see this clock."""
        with mock.patch.object(time, "monotonic", self), mock.patch.object(time, "perf_counter", self):
            yield


class Bench:
    """One node under test.

    Args:
        node: the node, in no executor.
        clock: in force whenever the node runs.
        watch: looks at what it publishes.

    Attributes:
        crashes: tracebacks of what escaped from a callback, and what was wrong with what was published, each once.
        defaults: the node's parameters.
    """

    def __init__(self, node: Node, clock: FuzzClock, watch: Watch):
        self.node, self.clock, self.watch = node, clock, watch
        self.crashes: dict[str, str] = {}
        self._due: dict[Any, float | None] = {}
        self._tapped: set[int] = set()
        self.defaults = list(node.get_parameters(list(node._parameters)))
        self._mutable = [p for p in self.defaults if not node.describe_parameter(p.name).read_only]
        self._tap()

    def subscriptions(self) -> list[Any]:
        """What the node listens to now."""
        return list(self.node.subscriptions)

    def service(self, name: str) -> Any:
        """The node's own service ``~/name``; None: it has none."""
        return next((one for one in self.node.services if one.srv_name.endswith(f"/{name}")), None)

    def refused(self) -> int:
        """Messages refused so far, as /diagnostics tells operators."""
        values = self.node._diagnostics._rejects.values()  # pyright: ignore[reportAttributeAccessIssue]
        return sum(count for what, count in values.items() if what.startswith("refused: "))

    # Making it run ----------------------------------------------------------------------------------------------------

    def do(self, what: str, job: Callable[[], Any], given: Any = "") -> Any:
        """Run a callback as an executor would; what escapes from it would have ended the process."""
        try:
            return job()
        except Exception as error:  # whatever it is, the node would be gone
            frame = traceback.extract_tb(error.__traceback__)[-1]
            key = f"{type(error).__name__} at {frame.filename.rpartition('/')[2]}:{frame.lineno}"
            self.crashes.setdefault(key, f"{what}: {str(given)[:1500]}\n{traceback.format_exc(limit=-8)}")
            return None
        finally:
            self._tap()
            for problem in self.watch.problems:
                self.crashes.setdefault(problem.partition(":")[0], f"{what}: {problem}\n{str(given)[:1500]}")
            self.watch.problems.clear()

    def send(self, subscription: Any, message: Any) -> None:
        """Deliver a message (bytes to who takes them raw)."""
        raw = subscription.raw and not isinstance(message, bytes)
        payload = serialize_message(message) if raw else message
        told = dict.fromkeys(("source_timestamp", "received_timestamp"), round(1e9 * self.clock.now_s))
        more = [told][: len(signature(subscription.callback).parameters) - 1]  # who wants to know when it was sent
        self.do(subscription.topic_name, lambda: subscription.callback(payload, *more), message)

    def call(self, service: Any, request: Any) -> Any:
        """Call a service; its answer."""
        kind = service.srv_type.Response
        answer = self.do(service.srv_name, lambda: service.callback(request, kind()), request)
        if answer is not None:
            self.do(f"the answer of {service.srv_name}", lambda: serialize_message(answer), answer)
        return answer

    def pass_time(self, seconds: float) -> None:
        """Let the clock go on, and run the timers that are due."""
        for _ in range(round(seconds / TICK_S)):
            self.clock.now_s += TICK_S
            for timer in list(self.node.timers):
                if timer.is_canceled():
                    self._due[timer] = None
                    continue
                due = self._due.get(timer)
                if due is None:
                    due = self.clock.now_s + 1e-9 * timer.timer_period_ns
                elif due <= self.clock.now_s + 1e-9:
                    due += max(1e-9 * timer.timer_period_ns, TICK_S)
                    self.do("a timer", cast(Callable[[], Any], timer.callback))
                self._due[timer] = due

    def restore(self) -> None:
        """The parameters as they were."""
        changed = [p for p in self._mutable if self.node.get_parameter(p.name).value != p.value]
        if changed:
            self.do("parameters", lambda: self.node.set_parameters_atomically(changed))

    # Looking at it ----------------------------------------------------------------------------------------------------

    def _tap(self) -> None:
        """Have every message that is published looked at first."""
        publisher: Any
        for publisher in self.node.publishers:
            if id(publisher) in self._tapped:
                continue
            self._tapped.add(id(publisher))
            publisher.publish = self._looked_at(publisher.topic_name, publisher.publish)

    def _looked_at(self, topic: str, publish: Callable[[Any], None]) -> Callable[[Any], None]:
        def looked_at(message: Any) -> None:
            self.watch.see(topic, message)
            publish(message)

        return looked_at
