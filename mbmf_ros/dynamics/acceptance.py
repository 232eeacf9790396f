"""Whether a newly trained model may replace the one in force."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.dynamics.holdout import Part
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.dynamics.validation import validate

HORIZONS = (10, 5, 1)
"""Open-loop steps that count; the first for which the held-out stretches are long enough."""


@dataclass(frozen=True)
class AcceptanceConfig(Ranged):
    """When a model is good enough: its open-loop error on held-out data, against that of the best model so far.

    A model may fall behind that of the one in force, but what successors lose adds up: together they may lose no more
    than one alone, until one gains it back. A change of the robot begins a new account.

    Attributes:
        recent: the last so many transitions are recent, those before are old.
        tolerance: on recent data the error may be larger by this share ...
        old_tolerance: ... on old data by this share ...
        changed_tolerance: ... and by this share on data from before the robot changed: that robot is no more.
        lenient: so many transitions after a change that ends, with a new account: data from before it is old data.
    """

    recent: int = ranged(2400, 1)
    tolerance: float = ranged(0.02, 0.0)
    old_tolerance: float = ranged(0.1, 0.0)
    changed_tolerance: float = ranged(2.0, 0.0)
    lenient: int = ranged(3600, 0)


@dataclass(frozen=True)
class Judgement:
    """Attributes:
    accepted: whether the new model may replace the one in force.
    reason: one line for people.
    recent_error, old_error: of the new model, NaN where nothing was held out.
    behind: per kind of held-out data how many times the error of the best model so far the new one's is, 1 or more.
    """

    accepted: bool
    reason: str
    recent_error: float = math.nan
    old_error: float = math.nan
    behind: dict[str, float] = field(default_factory=dict)


def behind_of(extra: Mapping[str, Any]) -> dict[str, float]:
    """:attr:`Judgement.behind` of a model, from what its file says; empty where that says nothing usable."""
    said = extra.get("behind")
    numbers = said.items() if isinstance(said, dict) else ()
    return {name: float(lag) for name, lag in numbers if isinstance(lag, (int, float)) and lag >= 1}


def judge(
    model: Dynamics,
    current: Dynamics | None,
    held: Part,
    config: AcceptanceConfig,
    since_change: int = 0,
    behind: Mapping[str, float] | None = None,
) -> Judgement:
    """Compare ``model`` with ``current`` on what was held out.

    A change of the robot ends what was: recent and old data are those since the change, and what is older is judged by
    itself, leniently.

    Args:
        model: the new model.
        current: the model in force, if any.
        held: held-out transitions.
        config: what is good enough.
        since_change: transitions since the robot changed; 0: it did not.
        behind: of the model in force; see :class:`Judgement`.
    """
    recent = min(config.recent, since_change) if since_change else config.recent
    changed = since_change if since_change else math.inf
    if current is not None and current.profile.name != model.profile.name:
        current = None  # errors of other states do not compare
    lenient = since_change <= config.lenient
    before_change = "before the change" if lenient else "long before the change"
    lags = dict(behind or {}) if current is not None else {}
    told, accepted, errors = [], True, {}
    for name, youngest, oldest, tolerance in (
        ("recent", 0, recent, config.tolerance),
        ("old", recent, changed, config.old_tolerance),
        (before_change, changed, math.inf, config.changed_tolerance if lenient else config.old_tolerance),
    ):
        compared = _compare(model, current, held.between(youngest, oldest))
        if compared is None:
            continue
        if name == before_change and not errors:
            tolerance = config.old_tolerance  # nothing shows yet that it knows the new robot any better
        horizon, error, before = compared
        errors[name] = error
        if not math.isfinite(error):
            return Judgement(False, "refused: the new model's predictions are not finite")
        lag = lags.pop(name, 1.0)
        allowed = max(1.0, (1 + tolerance) / lag)  # as good as the model in force is always good enough
        good = not math.isfinite(before) or error <= allowed * before
        accepted &= good
        if math.isfinite(before) and before > 0:
            lags[name] = max(1.0, lag * error / before)
        limit = "" if good else f", allowed +{allowed - 1:.0%}"
        against = "" if current is None else f" (in force {before:.3f}{limit})"
        told.append(f"{name} {error:.3f}{against}")
        told[0] = told[0] if len(told) > 1 else f"error over {horizon} steps: {told[0]}"
    if not told:
        return Judgement(False, "refused: no held-out stretch is long enough to judge the new model; go on recording")
    old = errors.get("old", errors.get(before_change, math.nan))
    verdict = "accepted" if accepted else "refused"
    return Judgement(accepted, f"{verdict}: {', '.join(told)}", errors.get("recent", math.nan), old, lags)


def _compare(model: Dynamics, current: Dynamics | None, store: TransitionStore) -> tuple[int, float, float] | None:
    """Horizon, and the errors of both over that many steps (NaN for none); None where there is too little data."""
    for horizon in HORIZONS:
        error = validate(model, store, (horizon,)).nrmse.get(horizon)
        if error is not None:
            before = validate(current, store, (horizon,)).nrmse[horizon] if current is not None else math.nan
            return horizon, error, before
    return None
