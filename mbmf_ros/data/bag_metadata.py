"""``metadata.yaml``, by which ``ros2 bag`` knows the files of a bag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

METADATA = "metadata.yaml"
_VERSION = 8  # of the format: with the quality of service as text, which Humble reads too


@dataclass(frozen=True)
class FileSummary:
    """A file of a bag: number of messages, and the times [ns] of the first and last one."""

    name: str
    messages: int
    first_ns: int
    last_ns: int


def write_metadata(folder: Path, topic: str, message_type: str, type_hash: str, files: Sequence[FileSummary]) -> None:
    """Put the metadata of a bag of one topic in the place of the one before, in one step.

    Raises:
        OSError: it cannot be written; the one before is still there.
    """
    filled = [file for file in files if file.messages]
    first_ns = min((file.first_ns for file in filled), default=0)
    count = sum(file.messages for file in files)
    topic_metadata = {
        "name": topic,
        "type": message_type,
        "serialization_format": "cdr",
        "offered_qos_profiles": "",
        "type_description_hash": type_hash,
    }
    information = {
        "version": _VERSION,
        "storage_identifier": "mcap",
        "duration": {"nanoseconds": max((file.last_ns for file in filled), default=0) - first_ns},
        "starting_time": {"nanoseconds_since_epoch": first_ns},
        "message_count": count,
        "topics_with_message_count": [{"topic_metadata": topic_metadata, "message_count": count}],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file.name for file in files],
        "files": [
            {
                "path": file.name,
                "starting_time": {"nanoseconds_since_epoch": file.first_ns},
                "duration": {"nanoseconds": file.last_ns - file.first_ns},
                "message_count": file.messages,
            }
            for file in files
        ],
        "custom_data": None,
        "ros_distro": "",
    }
    draft = folder / f"{METADATA}.new"
    try:
        draft.write_text(yaml.safe_dump({"rosbag2_bagfile_information": information}, sort_keys=False), "utf-8")
        draft.replace(folder / METADATA)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
