"""`make setup`: a virtual environment with everything pinned, ROS 2 and this package's messages in it.

Needs nothing but Python's standard library. Each finished step leaves a stamp with a hash of what it was made from,
so that a second run takes a moment and an interrupted one goes on where it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STATE = VENV / "setup"  # stamps, logs and the messages' build tree
LOCK = ROOT / "requirements.lock"
SUITED = ((3, 10), (3, 11), (3, 12), (3, 13))  # the Python versions that the ROS 2 wheels exist for
STEPS = 5
DEBIAN = "On Debian and Ubuntu: apt-get install g++ make python3-dev python3-venv"
# Left by a ROS 2 environment or a virtual environment that the caller has active: they must not leak in.
FOREIGN = {
    *("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"),
    *("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "COLCON_PREFIX_PATH"),
    *("ROS_DISTRO", "ROS_VERSION", "ROS_PYTHON_VERSION"),
}


class SetupError(Exception):
    """What went wrong and the way out, for people."""


def say(step: int, text: str) -> None:
    print(f"[{step}/{STEPS}] {text}", flush=True)


def environment(**more: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if key not in FOREIGN}
    return {**clean, "PATH": f"{VENV / 'bin'}{os.pathsep}{clean.get('PATH', os.defpath)}", **more}


def run(command: list[str], log: Path, way_out: str, **env: str) -> None:
    """Run a command with its output in `log`; show that it is alive; on failure show the log's end and the way out."""
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    live, shown = sys.stdout.isatty(), 0.0
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=ROOT, env=environment(**env)
        )
        try:
            while True:
                try:
                    process.wait(0.2)
                    break
                except subprocess.TimeoutExpired:
                    elapsed = time.monotonic() - start
                    if live:
                        print(f"\r      {elapsed:4.0f} s  {last_line(log):<100.100}", end="", flush=True)
                    elif elapsed - shown >= 60:
                        shown = elapsed
                        print(f"      {elapsed:4.0f} s  {last_line(log):.100}", flush=True)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if live:
        print(f"\r{'':112}\r", end="")
    if process.returncode:
        tail = "\n".join("    | " + line for line in log.read_text(errors="replace").splitlines()[-25:])
        raise SetupError(
            f"{Path(command[0]).name} failed with exit code {process.returncode}. The end of {log}:\n{tail}\n{way_out}"
        )


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace")[-2000:].splitlines()]
    return next((line for line in reversed(lines) if line and "WARNING" not in line and "━" not in line), "")


def version_of(python: str) -> tuple[int, int] | None:
    """Its (major, minor), or None where it cannot be run."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
        major, minor = done.stdout.split()
        return int(major), int(minor)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def choose_python() -> str:
    """$PYTHON; else `python3` if it is suited; else the newest suited one."""
    wanted = os.environ.get("PYTHON")
    names = [wanted] if wanted else ["python3", *(f"python{a}.{b}" for a, b in reversed(SUITED))]
    for name in names:
        if version_of(name) in SUITED:
            return name
    found = ", ".join(f"{name} is {'.'.join(map(str, version_of(name) or ())) or 'not there'}" for name in names)
    raise SetupError(f"Python 3.10 to 3.13 is needed, but {found}. Install one; `make setup PYTHON=...` names it.")


def digest(*parts: str | Path) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        total.update(b"\0")
    return total.hexdigest()


def stamped(name: str, key: str) -> bool:
    stamp = STATE / f"{name}.stamp"
    return stamp.is_file() and stamp.read_text() == key


def stamp(name: str, key: str) -> None:
    (STATE / f"{name}.stamp").write_text(key)


def make_venv() -> str:
    """Step 1; returns the venv's Python version and place, which everything else depends on."""
    have = version_of(str(VENV / "bin/python"))
    wanted = os.environ.get("PYTHON")
    place = digest(str(VENV))
    usable = have in SUITED and stamped("venv", place) and (not wanted or version_of(wanted) == have)
    if not usable:
        python = choose_python()
        have = version_of(python)
        say(1, f"Making .venv with Python {'.'.join(map(str, have or ()))} ({python}) ...")
        if shutil.disk_usage(ROOT).free < 4e9:
            print("      Less than 4 GB of disk are free: it may not be enough.", flush=True)
        shutil.rmtree(VENV, ignore_errors=True)
        done = subprocess.run([python, "-m", "venv", str(VENV)], capture_output=True, text=True, env=environment())
        if done.returncode:
            raise SetupError(f"{done.stdout}{done.stderr}{DEBIAN}")
        STATE.mkdir(exist_ok=True)
        stamp("venv", place)
    return digest(place, str(have), platform.machine())


def install_packages(venv_key: str) -> str:
    """Step 2."""
    key = digest(venv_key, LOCK)
    if not stamped("packages", key):
        say(2, "Installing the pinned packages, ROS 2 among them (1 to 5 min, 2.5 GB of disk) ...")
        run(
            [str(VENV / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "-r", str(LOCK)],
            STATE / "packages.log",
            "Is the package index reachable and the disk not full? `make setup` goes on where it stopped.",
        )
        mend_cmake_files()
        stamp("packages", key)
    return key


def mend_cmake_files() -> None:
    """The ROS 2 wheels' CMake files name their build farm's Python; CMake refuses paths that do not exist."""
    code = "import sysconfig, numpy; print(sysconfig.get_paths()['include']); print(numpy.get_include())"
    done = subprocess.run(
        [str(VENV / "bin/python"), "-c", code], capture_output=True, text=True, check=True, env=environment()
    )
    python_include, numpy_include = done.stdout.splitlines()
    farm = re.compile(r"/opt/python/[^/;\"]+/(?:(include/python[\d.]+)|lib/[^;\"]*/numpy/[\w/]*include)")
    for path in (VENV / "share").glob("*/cmake/*.cmake"):
        text = path.read_text()
        mended = farm.sub(lambda match: python_include if match[1] else numpy_include, text)
        if mended != text:
            path.write_text(mended)


def build_messages(packages_key: str) -> str:
    """Step 3: msg/ and action/, with the real tool chain, into the environment's own prefix."""
    sources = [
        ROOT / "CMakeLists.txt",
        ROOT / "package.xml",
        *sorted(ROOT.glob("msg/*")),
        *sorted(ROOT.glob("action/*")),
    ]
    key = digest(packages_key, *(part for path in sources for part in (path.name, path)))
    site = next((VENV / "lib").glob("python3.*/site-packages"))
    if not stamped("messages", key):
        say(3, "Building the ROS messages (about 20 s) ...")
        need = [tool for tool in ("g++", "make") if not shutil.which(tool)]
        if need:
            raise SetupError(f"{' and '.join(need)} not found. {DEBIAN}")
        shutil.rmtree(STATE / "build", ignore_errors=True)
        for stale in (site / "mbmf_ros", VENV / "share/mbmf_ros", VENV / "include/mbmf_ros"):
            shutil.rmtree(stale, ignore_errors=True)
        run(
            [
                str(VENV / "bin/colcon"), "--log-base", str(STATE / "colcon"), "build",
                "--base-paths", str(ROOT), "--packages-select", "mbmf_ros",
                "--build-base", str(STATE / "build"), "--install-base", str(VENV), "--merge-install",
                "--event-handlers", "console_direct+", "console_cohesion-", "desktop_notification-",
                "--cmake-args", "-DMBMF_ROS_INTERFACES_ONLY=ON", "-DBUILD_TESTING=OFF", "-DCMAKE_BUILD_TYPE=Release",
                f"-DPython3_EXECUTABLE={VENV / 'bin/python'}", "-DPython3_FIND_VIRTUALENV=ONLY",
                "-DCMAKE_INSTALL_RPATH=$ORIGIN;$ORIGIN/../../..",
            ],
            STATE / "messages.log",
            f"Where it misses Python.h: {DEBIAN} Otherwise: make clean setup",
            AMENT_PREFIX_PATH=str(VENV),
            CMAKE_PREFIX_PATH=str(VENV),
        )  # fmt: skip
        # Without __init__.py this folder only extends the package in the source tree (see mbmf_ros/__init__.py);
        # pyright alone, which does not know of that, finds it by the stub.
        (site / "mbmf_ros/__init__.py").rename(site / "mbmf_ros/__init__.pyi")
        shutil.rmtree(STATE / "build")
        stamp("messages", key)
    return key


def write_command(messages_key: str) -> str:
    """Step 4: Python runs from the source tree, and .venv/bin/mbmf is the command line."""
    template = (ROOT / "cmake/executable.in").read_text()
    key = digest(messages_key, template)
    if not stamped("command", key):
        say(4, "Writing .venv/bin/mbmf ...")
        site = next((VENV / "lib").glob("python3.*/site-packages"))
        (site / "mbmf_ros_source.pth").write_text(f"{ROOT}\n")
        program = VENV / "bin/mbmf"
        program.write_text(template.replace("/usr/bin/env python3", f"{VENV}/bin/python").replace("@module@", "cli"))
        program.chmod(0o755)
        stamp("command", key)
    return key


def check(command_key: str) -> None:
    """Step 5: what people will import first."""
    if not stamped("check", command_key):
        say(5, "Checking that ROS 2 and the messages import ...")
        code = "import rclpy, torch, mujoco, mbmf_ros, mbmf_ros.action, mbmf_ros.msg"
        run([str(VENV / "bin/python"), "-c", code], STATE / "check.log", "Try: make clean setup")
        stamp("check", command_key)


def main() -> int:
    try:
        (ROOT / "build").mkdir(exist_ok=True)
        with (ROOT / "build/.setup.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("Another `make setup` is at work in this folder: waiting for it ...", flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            start = time.monotonic()
            check(write_command(build_messages(install_packages(make_venv()))))
        print(f"Ready after {time.monotonic() - start:.0f} s: .venv/bin/mbmf --help", flush=True)
        return 0
    except SetupError as error:
        print(f"\nmake setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. `make setup` goes on where it was.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
