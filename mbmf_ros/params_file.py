"""Parameter files of nodes, checked before rcl reads them: it ignores in silence what it does not understand."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mbmf_ros.config import load_yaml
from mbmf_ros.errors import MbmfError, unknown


def check_params_file(path: Path, nodes: Collection[str]) -> None:
    """Refuse a parameter file that rcl would read in part or not at all.

    The keys of parameters are checked by the nodes, which know theirs.

    Raises:
        MbmfError: the file is missing or malformed, or has a section for a node that is not one of ``nodes``.
    """

    def check(section: str, content: Any) -> None:
        if not isinstance(content, dict):
            raise MbmfError(f"{path}: section {section!r}: expected a mapping, got {content!r}")
        parameters = content.get("ros__parameters")
        if parameters is None:
            if not content:
                raise MbmfError(f"{path}: section {section!r} is empty; write 'ros__parameters:' below it")
            for name, inner in content.items():
                if not isinstance(inner, dict):
                    raise MbmfError(f"{path}: {name!r} in section {section!r} must stand below 'ros__parameters:'")
                check(str(name), inner)
            return
        if not isinstance(parameters, dict):
            raise MbmfError(f"{path}: section {section!r}: expected parameters, got {parameters!r}")
        node = section.rsplit("/", 1)[-1]
        if "*" not in node and node not in nodes:
            raise unknown(f"node in {path}:", node, nodes)
        _check_values(f"{path}: section {section!r}", parameters)

    for section, content in load_yaml(path).items():
        check(str(section), content)


def _check_values(where: str, parameters: Mapping[Any, Any]) -> None:
    """Refuse what YAML can say and ROS parameters cannot."""
    for name, value in parameters.items():
        if value is None:
            raise MbmfError(f"{where}: {name!r} has no value; leave the line out for the default")
        if isinstance(value, dict):
            _check_values(where, value)
        elif isinstance(value, list):
            # Numbers such as 1e5 are text to the YAML reader here, and not to rcl.
            kinds = {type(item) for item in value if not (isinstance(item, str) and re.fullmatch(r"[-+.\deE]+", item))}
            if len(kinds) > 1 or kinds & {list, dict}:
                raise MbmfError(
                    f"{where}: {name!r}: expected a list of one kind (1.0 and 2.5, not 1 and 2.5), got {value}"
                )
