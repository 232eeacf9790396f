"""``--set``, of several commands."""

from __future__ import annotations

import contextlib

import yaml

from mbmf_ros.errors import MbmfError


def assignments(texts: tuple[str, ...]) -> dict:
    """Nested mapping of ``KEY.KEY=VALUE`` texts.

    Raises:
        MbmfError: one that is no assignment.
    """
    values: dict = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not all(key.split(".")):
            raise MbmfError(f"--set: expected KEY=VALUE, for example planner_settings.batch_size=128, got {text!r}")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise MbmfError(f"--set {text!r}: the value is not valid YAML") from error
        if isinstance(parsed, str):
            with contextlib.suppress(ValueError):  # YAML takes 1e-3, without a point, for a text
                parsed = float(parsed)
        *sections, name = key.split(".")
        target = values
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise MbmfError(f"--set {text!r}: {section} has a value already")
        target[name] = parsed
    return values
