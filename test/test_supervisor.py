"""The supervisor, with small real processes."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from node_processes import ended

from mbmf_ros.graphs import ESSENTIAL, OPTIONAL, REQUIRED, RESTART, Role
from mbmf_ros.supervisor import Command, Supervisor

WAIT = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = "import signal; [signal.signal(s, signal.SIG_IGN) for s in (2, 15)]; " + WAIT


def python(name: str, code: str, role: Role = REQUIRED, **more) -> Command:
    return Command(name, (sys.executable, "-S", "-c", code), role, **more)


def supervise(*commands: Command, **more) -> tuple[int, str]:
    out = io.StringIO()
    code = Supervisor(commands, out, back_off_s=0.01, **more).run()
    return code, out.getvalue()


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_output_is_prefixed_line_by_line():
    code, out = supervise(
        python("a", "import sys; print('one'); print('two', file=sys.stderr); print('no end', end='')", leads=True)
    )
    assert code == 0
    assert sorted(out.splitlines()) == ["[a]  no end", "[a]  one", "[a]  two"]


def test_long_and_odd_output_passes():
    code, out = supervise(python("a", r"import sys; sys.stdout.buffer.write(b'x' * 300_000 + b'\n\xff\n')", leads=True))
    assert code == 0
    assert "x" * 300_000 in out
    assert "\ufffd" in out


def test_no_colour_where_there_is_no_terminal():
    assert "\x1b" not in supervise(python("a", "print(1)", leads=True))[1]


def test_colour_on_a_terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    Supervisor([python("a", "print('hello')", leads=True)], out).run()
    assert "\x1b[36m[a] \x1b[0m hello" in out.getvalue()


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_leader_decides_the_exit_code(code):
    assert supervise(python("leader", f"raise SystemExit({code})", leads=True), python("node", WAIT))[0] == code


def test_a_leader_that_is_killed_is_no_success():
    assert supervise(python("leader", "import os; os.kill(os.getpid(), 9)", leads=True))[0] == 128 + 9


def test_the_death_of_a_required_node_brings_the_rest_down():
    code, out = supervise(python("bridge", "raise SystemExit(7)"), python("other", WAIT))
    assert code == 1
    assert "bridge ended with exit code 7; nothing works without it" in out


def test_a_required_node_must_not_even_end_well():
    assert supervise(python("bridge", "pass"), python("other", WAIT))[0] == 1


def test_the_signal_that_killed_a_node_is_named():
    _, out = supervise(python("bridge", "import os; os.kill(os.getpid(), 11)"))
    assert "bridge was killed by SIGSEGV (exit code -11)" in out


def test_a_node_is_restarted_so_often_and_no_more(tmp_path):
    count = f"open({str(tmp_path / 'count')!r}, 'a').write('x'); raise SystemExit(1)"
    code, out = supervise(python("node", count, Role(restarts=3, required=True)), python("other", WAIT))
    assert code == 1
    assert (tmp_path / "count").read_text() == "x" * 4
    assert "restart 3 of 3" in out


def test_pauses_before_restarts_grow(tmp_path):
    _, out = supervise(python("node", "raise SystemExit(1)", ESSENTIAL))
    assert [line.rsplit("in ")[-1] for line in out.splitlines() if "restart " in line] == ["0.01 s", "0.02 s", "0.04 s"]


def test_bad_input_is_not_tried_again():
    code, out = supervise(python("node", "print('error: no such planner'); raise SystemExit(2)", ESSENTIAL))
    assert code == 2
    assert "restart" not in out


@pytest.mark.parametrize("role", [RESTART, OPTIONAL])
def test_the_rest_goes_on_without_a_node_that_is_not_required(tmp_path, role):
    said = tmp_path / "said"

    class Out(io.StringIO):
        def write(self, text: str) -> int:
            if "node ended with exit code 2; going on without it" in text:
                said.touch()
            return super().write(text)

    leader = python("leader", f"import os\nwhile not os.path.exists({str(said)!r}): pass", leads=True)
    assert Supervisor([python("node", "raise SystemExit(2)", role), leader], Out()).run() == 0


def test_a_program_that_does_not_exist_is_named():
    code, out = supervise(Command("node", ("/nowhere/program",), REQUIRED))
    assert code == 1
    assert "cannot start /nowhere/program: No such file or directory" in out


def test_who_ignores_signals_is_killed(tmp_path):
    deaf = tmp_path / "deaf"

    class Out(io.StringIO):
        def write(self, text: str) -> int:
            if text == "up":  # the stubborn program's: from here on it ignores signals
                deaf.touch()
            return super().write(text)

    leader = python("leader", f"import os\nwhile not os.path.exists({str(deaf)!r}): pass", leads=True)
    out = Out()
    started = time.monotonic()
    assert Supervisor([leader, python("stubborn", STUBBORN)], out, grace_s=0.3).run() == 0
    assert "stubborn does not stop: killing it" in out.getvalue()
    assert time.monotonic() - started < 10


def test_what_a_dead_node_left_behind_is_killed(tmp_path):
    pid = tmp_path / "pid"
    parent = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']); "
        f"open({str(pid)!r}, 'w').write(str(p.pid))"
    )
    supervise(python("leader", parent, leads=True))
    assert ended([int(pid.read_text())])


def test_the_environment_arrives_in_a_process_group_of_its_own():
    code = "import os; print(os.environ['WHO'], os.getpgid(0) == os.getpid())"
    assert "me True" in supervise(python("a", code, leads=True, environment={"WHO": "me"}))[1]


# Signals: these need a supervisor in a process of its own. ---------------------------------------------------------

SCRIPT = """
import sys
from mbmf_ros.graphs import REQUIRED
from mbmf_ros.supervisor import Command, Supervisor
code = "import os, signal; print('pid', os.getpid(), flush=True); signal.pause()"
stubborn = "import os, signal; signal.signal(2, signal.SIG_IGN); signal.signal(15, signal.SIG_IGN); " + code
commands = [Command(n, (sys.executable, "-S", "-c", c), REQUIRED, leads=n == sys.argv[1]) for n, c in
            (("a", code), ("b", stubborn if "stubborn" in sys.argv else code))]
sys.exit(Supervisor(commands, grace_s=60).run())
"""


class Running:
    """A supervisor in a process of its own, and the processes that it watches."""

    def __init__(self, *arguments: str, **more):
        command = [sys.executable, "-c", SCRIPT, *(arguments or ("nobody",))]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **more)
        assert self.process.stdout
        self.children = [int(self.process.stdout.readline().split()[-1]) for _ in range(2)]

    def end(self) -> str:
        out, _ = self.process.communicate(timeout=30)
        assert ended(self.children)
        return out


@pytest.fixture
def started():
    made: list[Running] = []

    def start(*arguments: str, **more) -> Running:
        made.append(Running(*arguments, **more))
        return made[-1]

    yield start
    for each in made:
        each.process.kill()
        each.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything(started, number):
    one = started()
    one.process.send_signal(number)
    out = one.end()
    assert one.process.returncode == 0
    assert f"{number.name}: stopping everything" in out


def test_a_signal_before_the_leader_is_done_is_no_success(started):
    one = started("a")
    one.process.send_signal(signal.SIGINT)
    one.end()
    assert one.process.returncode == 130


def test_a_second_signal_makes_it_quick(started):
    one = started("nobody", "stubborn")
    one.process.send_signal(signal.SIGINT)
    assert one.process.stdout.readline().startswith("[up] SIGINT")
    one.process.send_signal(signal.SIGINT)
    started_s = time.monotonic()
    one.end()
    assert time.monotonic() - started_s < 20  # the grace is 60 s


def test_interrupts_arrive_though_a_script_started_it_in_the_background(started):
    one = started(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    one.process.send_signal(signal.SIGINT)
    one.end()
    assert one.process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_no_child_survives_even_when_it_is_killed(started):
    one = started("nobody", "stubborn")
    assert all(map(running, one.children))
    one.process.kill()
    one.end()


def test_it_uses_no_processor_time_while_nothing_happens(started):
    one = started()

    def used() -> float:
        user, system = Path(f"/proc/{one.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    before = used()
    with pytest.raises(subprocess.TimeoutExpired):
        one.process.wait(1.0)  # the time over which use is measured
    assert used() - before < 0.1


def test_a_reader_that_goes_away_ends_it(started):
    one = started("nobody", "chatty")
    one.process.stdout.close()
    os.kill(one.children[0], signal.SIGKILL)  # makes the supervisor say something
    assert one.process.wait(20) == 1
    assert ended(one.children)
