"""Who has something to do before it ends gets to do it, however the supervisor is stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from node_processes import ended

# "polite" takes its time to say goodbye, "deaf" hears nothing, and both tell when they are ready.
SCRIPT = """
import sys
import mbmf_ros.supervisor
from mbmf_ros.graphs import REQUIRED
from mbmf_ros.supervisor import Command, Supervisor
wait = "import os; print('ready', os.getpid(), flush=True); [signal.pause() for _ in iter(int, 1)]"
polite = f'''import os, signal, time
def end(*_):
    time.sleep(0.1)
    open({sys.argv[1]!r}, "w").close()
    os._exit(0)
signal.signal(15, end)
{wait}'''
deaf = f"import signal; signal.signal(15, signal.SIG_IGN); {wait}"
commands = [
    Command("polite", (sys.executable, "-S", "-c", polite), REQUIRED, farewell=True),
    Command("deaf", (sys.executable, "-S", "-c", deaf), REQUIRED, farewell=sys.argv[2] == "deaf"),
]
mbmf_ros.supervisor.FAREWELL_S = 3.0  # a busy computer takes longer than the usual time for 0.1 s
sys.exit(Supervisor(commands, grace_s=60).run())
"""


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """What the polite one leaves behind."""
    return tmp_path / "farewell"


@pytest.fixture
def polite() -> list[int]:
    """The pid of the polite one, once it is ready."""
    return []


@pytest.fixture
def supervisor(said: Path, polite: list[int], request) -> Iterator[subprocess.Popen[str]]:
    """A supervisor in a process of its own, of two programs that are ready."""
    command = [sys.executable, "-c", SCRIPT, str(said), getattr(request, "param", "nobody")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    pids = {name: int(pid) for name, _, pid in (process.stdout.readline().split() for _ in range(2))}
    assert set(pids) == {"[polite]", "[deaf]"}
    polite.append(pids["[polite]"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("supervisor", ["nobody", "deaf"], indirect=True)
def test_a_second_signal_leaves_time_for_a_farewell_but_not_for_ever(supervisor, said):
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.stdout.readline().startswith("[up]     SIGINT")
    supervisor.send_signal(signal.SIGINT)
    out, _ = supervisor.communicate(timeout=20)  # the grace is 60 s
    assert said.exists()
    assert "deaf does not stop: killing it" in out
    assert "polite does not stop" not in out


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_a_supervisor_that_is_killed_leaves_time_for_a_farewell(supervisor, said, polite):
    supervisor.kill()
    assert ended(polite)
    assert said.exists()
