"""Two machines on one: network namespaces with a cable in between, each with shared memory and a home of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

NETWORK = "10.213.0."
DEVICE = "eth0"
_TOOLS = ("ip", "unshare", "nsenter", "setpriv")
_ISOLATED = ("--net", "--mount", "--uts", "--ipc")


def problem() -> str:
    """Why namespaces cannot be made here; empty if they can."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} of iproute2 or util-linux is not installed"
    script = "mount -t tmpfs tmpfs /dev/shm && ip link add mbmf0 type veth peer name mbmf1"
    tried = subprocess.run(["unshare", *_ISOLATED, "sh", "-c", script], capture_output=True, text=True, check=False)
    return f"no network namespaces: {tried.stderr.strip()}" if tried.returncode else ""


class Machine:
    """A namespace for the network, for mounts (its /dev/shm is empty) and for the host's name.

    It lasts until :meth:`close`, or until this process ends.

    Args:
        name: its host name.
        number: the last part of its address.
        home: what programs on it take for the user's home.
    """

    def __init__(self, name: str, number: int, home: Path):
        self.name, self.address, self.home = name, f"{NETWORK}{number}", home
        home.mkdir()
        # Fast DDS takes two programs with the same machine id for ones that share memory.
        identity = home / "machine-id"
        identity.write_text(f"{number:032x}\n")
        script = "mount -t tmpfs tmpfs /dev/shm && "
        if Path("/etc/machine-id").exists():
            script += f"mount --bind {identity} /etc/machine-id && "
        script += f"hostname {name} && ip link set lo up && echo up && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", *_ISOLATED, "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout
        assert self._holder.stdout.readline() == b"up\n", f"{name} did not come up"
        self._processes: list[subprocess.Popen[str]] = []

    @property
    def pid(self) -> int:
        """A process in the namespaces."""
        return self._holder.pid

    def start(self, *command: str, out: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        """Run a program on this machine; its output goes to the file ``out``, or can be read."""
        ros = {
            **{"HOME": str(self.home), "ROS_HOME": str(self.home / ".ros"), "PYTHONUNBUFFERED": "1"},
            **{"ROS_DOMAIN_ID": str(1 + os.getpid() % 100), "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"},
        }
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ROS_", "MBMF_ROS_"))}
        process = subprocess.Popen(
            [*self._enter(*_ISOLATED), "setpriv", "--pdeathsig", "KILL", "--", *command],
            env={**inherited, **ros, **environment},
            stdin=subprocess.PIPE,
            stdout=out.open("w") if out else subprocess.PIPE,
            stderr=subprocess.STDOUT if out else None,
            text=True,
            bufsize=1,
        )
        self.look_after(process)
        return process

    def look_after(self, process: subprocess.Popen[str]) -> None:
        """Have a process end with the machine."""
        self._processes.append(process)

    def hide(self, folder: Path) -> None:
        """Nothing of ``folder`` can be seen on this machine any more."""
        subprocess.run([*self._enter("--mount"), "mount", "-t", "tmpfs", "tmpfs", str(folder)], check=True)

    def ip(self, *words: str) -> None:
        """``ip`` on this machine."""
        subprocess.run([*self._enter("--net"), "ip", *words], check=True)

    def _enter(self, *namespaces: str) -> tuple[str, ...]:
        return "nsenter", f"--target={self.pid}", *namespaces

    def connect(self) -> None:
        """Give the network device its address, and switch it on."""
        self.ip("address", "add", f"{self.address}/24", "dev", DEVICE)
        self.plug()

    @property
    def connected(self) -> bool:
        """The network device is in use. Programs that start before that never find the network."""
        told = subprocess.run([*self._enter("--net"), "ip", "link", "show", DEVICE], capture_output=True, check=True)
        return any(state in told.stdout for state in (b"state UP", b"state UNKNOWN"))  # the latter: a TAP device

    def unplug(self) -> None:
        """Switch the network device off: the other machine sees that the cable is dead."""
        self.ip("link", "set", DEVICE, "down")

    def plug(self) -> None:
        """Switch the network device on again."""
        self.ip("link", "set", DEVICE, "up")

    def close(self) -> None:
        """End the programs, then the machine."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()
        self._holder.communicate()


def lay_cable(one: Machine, other: Machine) -> None:
    """Join two machines by a pair of veth devices."""
    one.ip("link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE, "netns", str(other.pid))
    _connect(one, other)


def lay_lossy_cable(one: Machine, other: Machine, loss: float, seed: int) -> subprocess.Popen[str]:
    """Join two machines by a cable that loses a share of the frames; it is cut when the process ends."""
    script = Path(__file__).with_name("lossy_cable.py")
    words = [str(one.pid), str(other.pid), DEVICE, str(loss), str(seed)]
    cable = subprocess.Popen(
        [sys.executable, str(script), *words], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    one.look_after(cable)
    assert cable.stdout
    assert cable.stdout.readline() == "up\n", "the cable did not come up"
    _connect(one, other)
    return cable


def _connect(*machines: Machine) -> None:
    for machine in machines:
        machine.connect()
    deadline = time.monotonic() + 10
    while not all(machine.connected for machine in machines):
        assert time.monotonic() < deadline, "the network devices did not come up"
