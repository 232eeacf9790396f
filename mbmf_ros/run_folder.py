"""Where the learner of a run keeps its log and its newest model, so that one that crashed goes on where it was.

A run is one bring-up of a node graph. Who brings it up names the run in the environment: a learner that is started
again finds what it left behind. A learner started by hand is a run of its own.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

RUN_VARIABLE = "MBMF_ROS_RUN"


def new_run() -> str:
    """A name for a run that begins now: the UTC time."""
    return time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())


def home(robot: str, namespace: str) -> Path:
    """The folder of all runs of a robot: ``~/.ros/mbmf_ros/<namespace>/<robot>``."""
    ros_home = os.environ.get("ROS_HOME")
    base = Path(ros_home) if ros_home else Path.home() / ".ros"
    return base / "mbmf_ros" / namespace.strip("/") / robot


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees a part of it.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)  # on a full disk a part of it would stay
        raise


class KeptModel:
    """The newest model of a run and its version, in a file beside the run's log.

    Args:
        folder: of the log; None: nothing is kept.
        run: the run's name; models of other runs in the same folder are not looked at.
    """

    def __init__(self, folder: Path | None, run: str):
        self._folder, self._run = folder, run

    def keep(self, data: bytes, version: int) -> None:
        """Put the model file ``data`` in the place of the one before.

        Raises:
            OSError: it cannot be written; the one before is still there.
        """
        if self._folder is not None:
            before = self._files()
            path = self._folder / f"model_{self._run}_v{version}.safetensors"
            write_whole(path, data)
            for file in before.values():
                if file != path:
                    file.unlink()

    def recall(self) -> tuple[bytes, int] | None:
        """The model file's bytes and the version.

        Raises:
            OSError: it cannot be read.
        """
        files = self._files()
        return (files[max(files)].read_bytes(), max(files)) if files else None

    def _files(self) -> dict[int, Path]:
        name = re.compile(rf"model_{re.escape(self._run)}_v(\d+)\.safetensors")
        files = self._folder.iterdir() if self._folder is not None and self._folder.is_dir() else ()
        return {int(found.group(1)): file for file in files if (found := name.fullmatch(file.name))}
