"""Children do not outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

CHILD = "import os, signal; from mbmf_ros.children import die_with; die_with({parent}); {after}"
SAYS = "print(os.getpid(), flush=True); signal.pause()"
PARENT = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()"


def test_a_child_ends_when_its_parent_is_killed():
    child = CHILD.format(parent="os.getppid()", after=SAYS)
    with subprocess.Popen([sys.executable, "-c", PARENT, child], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        number = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
        rest, _ = parent.communicate(timeout=60)  # the pipe ends with the last process that holds it: the child
        assert rest == ""
        assert number != parent.pid


def test_a_child_whose_parent_died_at_once_ends_too():
    child = CHILD.format(parent=os.getpid() + 1, after="print('still here')")
    made = subprocess.run([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (made.returncode, made.stdout) == (1, "")
