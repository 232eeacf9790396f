"""Changes to the settings of a run of Algorithm 1."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mbmf_ros.config import override
from mbmf_ros.control.planners import make_planner, planner_defaults
from mbmf_ros.errors import MbmfError

if TYPE_CHECKING:
    from mbmf_ros.control.algorithm import LearnConfig


def configured(base: LearnConfig, values: Mapping[str, Any]) -> LearnConfig:
    """``base`` with the nested ``values`` put in. With another planner only the settings that it knows are kept.

    Raises:
        MbmfError: an unknown key or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise MbmfError(f"learning: expected a mapping of keys to values, got {values!r}")
    values = dict(values)
    settings = {key: values.pop(key) for key in ("planner_settings", "evaluation_settings") if key in values}
    for key, value in settings.items():
        if not isinstance(value, Mapping):
            raise MbmfError(f"learning.{key}: expected a mapping of keys to values, got {value!r}")
    config = override(base, values, "learning")
    known = vars(planner_defaults(config.planner))
    merged = {}
    for key in ("planner_settings", "evaluation_settings"):
        kept = getattr(base, key)
        if config.planner != base.planner:
            kept = {name: value for name, value in kept.items() if name in known}
        merged[key] = {**kept, **settings.get(key, {})}
    config = dataclasses.replace(config, **merged)
    make_planner(config.planner, {**config.planner_settings, **config.evaluation_settings})  # refuses unknown keys
    return config
