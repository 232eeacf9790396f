"""Input that a node refuses: counted by what it was, and told in its diagnostics while there is fresh one."""

from __future__ import annotations

from collections import Counter
from typing import Any


class Rejects:
    """Counts what was refused.

    Attributes:
        last: what was refused last, and why.
    """

    def __init__(self) -> None:
        self.last = ""
        self._counts: Counter[str] = Counter()
        self._fresh = 0

    def __getitem__(self, what: str) -> int:
        """How many of this kind were refused since the start."""
        return self._counts[what]

    def add(self, what: str, why: object) -> None:
        """Count one: ``what`` is its kind, such as ``state``."""
        self._counts[what] += 1
        self._fresh += 1
        self.last = f"{what}: {why}"

    def report(self) -> str:
        """One line about what was refused since the last report; empty for nothing."""
        fresh, self._fresh = self._fresh, 0
        return f"{fresh} refused, the last one a {self.last}" if fresh else ""

    def values(self) -> dict[str, Any]:
        """Counts and the last reason, for diagnostics."""
        values: dict[str, Any] = {f"refused: {what}": count for what, count in sorted(self._counts.items())}
        return values | {"last refusal": self.last} if values else values
