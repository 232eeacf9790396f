"""Two machines, and the graph on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import machines
import pytest


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[machines.Machine, machines.Machine]]:
    """The robot's computer and a workstation, not yet connected."""
    problem = machines.problem()
    if problem:
        pytest.skip(problem)
    made = []
    try:
        for number, name in enumerate(("robot", "workstation"), start=1):
            made.append(machines.Machine(name, number, tmp_path / name))
        yield made[0], made[1]
    finally:
        for machine in made:
            machine.close()


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str, float], None]:
    """Tells a measured time [s], in the test's output and its report."""

    def tell(what: str, seconds: float) -> None:
        print(f"{what}: {seconds:.2f} s")
        record_property(what, round(seconds, 2))

    return tell
