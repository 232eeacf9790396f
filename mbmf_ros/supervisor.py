"""Runs programs side by side: prefixed output, restarts, and an orderly end for all of them.

What ``ros2 launch`` does for the node graph where ROS 2's launch is installed, for where it is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from mbmf_ros.children import die_with
from mbmf_ros.graphs import BACK_OFF_S, BAD_INPUT_EXIT, Role

COLORS = (36, 32, 35, 34, 33, 96, 92, 95, 94, 93)
FORGIVEN_AFTER_S = 60.0  # a program that ran this long has its earlier deaths forgotten
INTERRUPTED_EXIT = 130
FAREWELL_S = 0.5  # for who has a farewell to say, where everything else is killed at once


@dataclass(frozen=True)
class Command:
    """A program to keep running.

    Attributes:
        name: stands before each line of its output.
        argv: what to execute.
        role: what happens when it dies.
        environment: variables on top of this process's.
        leads: everything ends when it does, with its exit code.
        farewell: it has something to do before it ends, as a robot's bridge has: it gets some time for that even when a
            second signal asks for haste, and SIGTERM, not SIGKILL, when this process is killed.
    """

    name: str
    argv: tuple[str, ...]
    role: Role
    environment: Mapping[str, str] = field(default_factory=dict)
    leads: bool = False
    farewell: bool = False


class Supervisor:
    """Starts the commands, each in a process group of its own, and sees to them until one of the ends.

    No program outlives this process, even if it is killed: the kernel then kills them. One with a farewell is told to
    end instead, and outlives it for as long as that takes.

    Args:
        commands: what to run.
        out: where the output goes; in colour if it is a terminal.
        grace_s: how long programs may take to stop before they are killed [s].
        back_off_s: pause before the first restart of a program [s]; it doubles with each.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        out: TextIO = sys.stdout,
        grace_s: float = 8.0,
        back_off_s: float = BACK_OFF_S,
    ):
        self._commands = commands
        self._out = out
        self._grace_s = grace_s
        self._back_off_s = back_off_s
        self._width = max(len(name) for name in ("up", *(command.name for command in commands)))
        plain = not out.isatty() or "NO_COLOR" in os.environ
        self._colors = {} if plain else {c.name: COLORS[i % len(COLORS)] for i, c in enumerate(commands)}
        self._running: dict[int, str] = {}  # pid, which is its process group too, and name
        self._code: int | None = None

    @property
    def running(self) -> dict[int, str]:
        """Name by process, of what runs now; may be asked for from any thread."""
        return dict(self._running)

    def run(self) -> int:
        """Run until a signal, the end of the command that leads, or the death of a required one; the exit code.

        0: stopped by a signal; 130: stopped by a signal before the command that leads was done; 1, or 2 for bad
        input: a required program died; else the code of the command that leads.
        """
        return asyncio.run(self._run())

    def say(self, text: str) -> None:
        """A line of the supervisor's own."""
        self._print("up", text)

    async def _run(self) -> int:
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled, number)
        keepers = [asyncio.create_task(self._keep(command)) for command in self._commands]
        try:
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
            while not self._stopping.is_set():  # something optional was given up: the rest goes on
                pending = [task for task in keepers if not task.done()]
                await asyncio.wait([stopping, *pending], return_when=asyncio.FIRST_COMPLETED)
                if not pending:
                    self._stop(1)
            for ended in keepers:
                if ended.done():
                    ended.result()  # an error in here must not pass in silence
        finally:
            self._stopping.set()
            await self._end_all(keepers)
        return self._code if self._code is not None else 1

    def _stop(self, code: int) -> None:
        if self._code is None:
            self._code = code
        self._stopping.set()

    def _signalled(self, number: int) -> None:
        if self._stopping.is_set():
            self._hurry.set()
            return
        self.say(f"{signal.Signals(number).name}: stopping everything (once more: at once)")
        self._stop(INTERRUPTED_EXIT if any(command.leads for command in self._commands) else 0)

    async def _keep(self, command: Command) -> None:
        """Run a command, again and again as its role allows, until it is given up or everything stops."""
        deaths = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._run_once(command)
            if self._stopping.is_set():
                return
            if command.leads:
                return self._stop(code if code >= 0 else 128 - code)
            if time.monotonic() - started > FORGIVEN_AFTER_S:
                deaths = 0
            deaths += 1
            ended = f"{command.name} {_ending(code)}"
            if deaths <= command.role.restarts and code != BAD_INPUT_EXIT:
                pause = self._back_off_s * 2 ** (deaths - 1)
                self.say(f"{ended}; restart {deaths} of {command.role.restarts} in {pause:g} s")
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
            elif command.role.required:
                self.say(f"{ended}; nothing works without it: stopping everything")
                return self._stop(BAD_INPUT_EXIT if code == BAD_INPUT_EXIT else 1)
            else:
                return self.say(f"{ended}; going on without it")

    async def _run_once(self, command: Command) -> int:
        """Run a command to its end; returns its exit code, negative for a signal."""
        read_end, write_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                env={**os.environ, **command.environment},
                preexec_fn=_prepare(os.getpid(), signal.SIGTERM if command.farewell else signal.SIGKILL),
            )
        except OSError as error:
            os.close(read_end)
            self.say(f"cannot start {command.argv[0]}: {error.strerror}")
            return 127
        finally:
            os.close(write_end)
        self._running[process.pid] = command.name
        if self._stopping.is_set():
            _signal_group(process.pid, signal.SIGKILL)
        reading = asyncio.create_task(self._relay(command.name, read_end))
        code = await process.wait()
        del self._running[process.pid]
        _signal_group(process.pid, signal.SIGKILL)  # whatever it started and left behind
        await asyncio.wait([reading], timeout=1)
        reading.cancel()
        return code

    async def _relay(self, name: str, read_end: int) -> None:
        """Print each line that arrives at the pipe."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
        )
        rest = b""
        try:
            while chunk := await reader.read(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._print(name, line.decode(errors="replace").rstrip("\r"))
            if rest:
                self._print(name, rest.decode(errors="replace"))
        finally:
            transport.close()

    def _print(self, name: str, line: str) -> None:
        prefix = f"[{name}]".ljust(self._width + 2)
        if name in self._colors:
            prefix = f"\x1b[{self._colors[name]}m{prefix}\x1b[0m"
        try:
            print(prefix, line, file=self._out, flush=True)
        except (BrokenPipeError, ValueError):  # nobody reads any more: `mbmf up | head`
            self._out = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            self._stop(1)

    async def _end_all(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        """SIGTERM, and after a grace SIGKILL to whoever is left.

        Not SIGINT: nodes take both the same way, but a Python that is still importing answers SIGINT with a traceback.
        """
        waiting = asyncio.gather(*keepers, return_exceptions=True)
        for pid in self._running:
            _signal_group(pid, signal.SIGTERM)
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait([waiting, hurry], timeout=self._grace_s, return_when=asyncio.FIRST_COMPLETED)
        if hurry.done():
            polite = {command.name for command in self._commands if command.farewell}
            self._kill(set(self._running.values()) - polite)
            await asyncio.wait([waiting], timeout=FAREWELL_S)
        hurry.cancel()
        self._kill(set(self._running.values()))
        await waiting

    def _kill(self, names: Collection[str]) -> None:
        for pid, name in self._running.items():
            if name in names:
                self.say(f"{name} does not stop: killing it")
                _signal_group(pid, signal.SIGKILL)


def _prepare(parent: int, at_its_death: int) -> Callable[[], None]:
    """What a child does between fork and exec; the signal is what it gets when the parent dies."""

    def prepare() -> None:
        die_with(parent, at_its_death)
        os.setpgid(0, 0)

    return prepare


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name} (exit code {code})"
