"""A policy that drives a robot: it acts within the range that it was trained on, and says why where it does not."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.control.mpc import Step
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.errors import MbmfError, unknown
from mbmf_ros.policy.files import policy_file
from mbmf_ros.policy.gaussian import GaussianPolicy, PolicyActor
from mbmf_ros.policy.io import PolicyInfo, load_policy
from mbmf_ros.robots import RobotSpec

FORWARD_TASKS = ("forward", "forward_v5")  # the environments are not imported: MuJoCo has no business in a controller


@dataclass(frozen=True)
class PolicyDriverConfig(Ranged):
    """When a policy acts.

    Attributes:
        range_margin: standard deviations by which its input may leave the range that the policy was trained on
        return_after: control steps in a row within that range after which the policy acts again
    """

    range_margin: float = ranged(0.5, 0.0)
    return_after: int = ranged(10, 1)


@dataclass(frozen=True)
class _Refusal:
    """Why the policy may not act: what the cause is counted as, and a sentence about it."""

    cause: str
    text: str


class PolicyDriver:
    """Answers measurements with a policy's mean actions, each held for as long as in training.

    What is measured is looked at at every control step, what the policy is asked about whenever it decides. Where there
    is a model with the state profile "body", pending actions are predicted through, and the rows that follow the action
    are the policy's answers to what the model expects.

    Args:
        spec: the robot.
        policy: with its normalisation folded in.
        action_repeat: control periods for which each action is held.
        config: when it acts.
        plan_rows: rows that follow the action, at most.

    Attributes:
        why: why it did not act when it was asked last; empty: it did.
        answered: control steps that it answered.
        refused: control steps that it left to others, by the cause: an observation outside of the range, ``not
            finite``, or ``returning``: within the range again, but not for long enough.

    Raises:
        MbmfError: the policy is for something of another size.
    """

    def __init__(
        self,
        spec: RobotSpec,
        policy: GaussianPolicy,
        action_repeat: int = 1,
        config: PolicyDriverConfig | None = None,
        plan_rows: int = 4,
    ):
        self.spec = spec
        self.config = config or PolicyDriverConfig()
        actor = PolicyActor(spec, policy)  # checks that they fit
        self.policy, self.observe = policy, actor.observe
        self.action_repeat, self.plan_rows = action_repeat, plan_rows
        self.why, self.answered, self.refused = "", 0, Counter[str]()
        self._names = self.observe.names
        self._held: Tensor | None = None
        self._decided, self._waits = 0, 0

    def reset(self) -> None:
        """A new episode: it acts at once where it may."""
        self.rest()
        self._waits = 0

    def rest(self) -> None:
        """Something else acts at this control step: the policy decides anew when it is asked next."""
        self._held, self.why = None, ""

    def act(
        self, m: np.ndarray, tick: int, pending: np.ndarray | None = None, model: Dynamics | None = None
    ) -> Step | None:
        """The answer to measurement ``m`` (nm,), or None: the policy may not act; :attr:`why` says why.

        Args:
            m: the measurement.
            tick: number of the control step; actions are held by it, whatever steps were never asked about.
            pending: actions (rows, nu) that are decided already, for one control period each from ``m`` on. The answer
                comes after them; without a model it is the one to ``m`` all the same.
            model: the robot's dynamics, if known.

        Raises:
            MbmfError: the measurement is malformed.
        """
        started = time.perf_counter()
        problem = self.spec.measurement.problem(m)
        if problem:
            raise MbmfError(f"unusable measurement of {self.spec.name!r}: {problem}")
        profile = self.observe.profile
        refusal = self._look(torch.from_numpy(self.observe(m)))
        if refusal is not None:  # whatever is held, or predicted
            return self._refuse(refusal)
        if model is not None and not self.observe.fits(model.profile):
            model = None
        with torch.inference_mode():
            x = torch.from_numpy(profile.encode(m).astype(np.float32))
            if model is not None and pending is not None:
                for action in torch.from_numpy(np.asarray(pending, dtype=np.float32)):
                    x = model(x[None], action[None])[0]
            action = self._action(x, tick)
            if action is None:
                return None
            rows, states = self._rows(x, action, self._decided + self.action_repeat - tick - 1, model)
        return Step(
            action=rows[0],
            plan=rows[1:],
            idle=False,
            plan_time_s=time.perf_counter() - started,
            optimal_xy=profile.xy(states).numpy() if model is not None else np.empty((0, 2)),
        )

    def values(self) -> dict[str, Any]:
        """Counts, for diagnostics."""
        causes = {f"steps not by the policy: {cause}": count for cause, count in self.refused.most_common()}
        return {"steps by the policy": self.answered, **causes}

    def _action(self, x: Tensor, tick: int) -> Tensor | None:
        """The action (nu,) at state ``x`` (nx,), held or new; None: the policy may not act."""
        if self._held is None or not self._decided <= tick < self._decided + self.action_repeat:
            answer = self._ask(self.observe.of_states(x))
            if not isinstance(answer, _Refusal):
                self._waits = max(0, self._waits - 1)
                if self._waits:
                    text = f"{self._waits} more control step{'s' * (self._waits > 1)}"
                    answer = _Refusal("returning", f"it is within its range again, and waits for {text}")
            if isinstance(answer, _Refusal):
                return self._refuse(answer)
            self._held, self._decided = answer, tick
        self.why = ""
        self.answered += 1
        return self._held

    def _refuse(self, refusal: _Refusal) -> None:
        """Leave this control step to others; nothing is held any more."""
        if refusal.cause != "returning":
            self._waits = self.config.return_after
        self._held, self.why = None, refusal.text
        self.refused[refusal.cause] += 1

    def _look(self, o: Tensor) -> _Refusal | None:
        """Why the policy may not act at observation ``o`` (no,); None: it may."""
        if not o.isfinite().all():
            return _Refusal("not finite", "its input is not finite")
        outside = self.policy.outside(o)
        worst = int(outside.argmax())
        if outside[worst] > self.config.range_margin:
            name = self._names[worst]
            return _Refusal(name, f"{name} is {float(outside[worst]):.2g} standard deviations outside of its training")
        return None

    def _ask(self, o: Tensor) -> Tensor | _Refusal:
        """The policy's action (nu,) for observation ``o`` (no,), within [-1, 1], or why there is none."""
        refusal = self._look(o)
        if refusal is not None:
            return refusal
        action = self.policy(o)
        if not action.isfinite().all():
            return _Refusal("not finite", "its output is not finite")
        return action.clamp(-1.0, 1.0)

    def _rows(self, x: Tensor, action: Tensor, held: int, model: Dynamics | None) -> tuple[np.ndarray, Tensor]:
        """``action`` (nu,) and what is to follow it, as far as that is known, and the states where it is done.

        Args:
            x: the state (nx,).
            action: the action there, which is held for ``held`` control steps more.
            held: see ``action``.
            model: predicts the states; without it the rows end with what is held.

        Returns:
            Actions (1 + rows, nu) and states (n, nx).
        """
        rows, states = [action], [x]
        while len(rows) <= self.plan_rows and (held > 0 or model is not None):
            if model is not None:
                states.append(model(states[-1][None], rows[-1][None])[0])
            if held == 0:
                answer = self._ask(self.observe.of_states(states[-1]))
                if isinstance(answer, _Refusal):
                    break
                action, held = answer, self.action_repeat
            rows.append(action)
            held -= 1
        return torch.stack(rows).double().numpy(), torch.stack(states)


def load_driver(
    spec: RobotSpec, place: str, config: PolicyDriverConfig | None = None, plan_rows: int = 4
) -> tuple[PolicyDriver, PolicyInfo]:
    """The driver of a policy file, and what the file says about itself.

    Args:
        spec: the robot.
        place: the file, or a folder with a ``policy.safetensors``.
        config, plan_rows: see :class:`PolicyDriver`.

    Raises:
        MbmfError: a missing, truncated or foreign file, another robot's, or a policy for another task than moving
            forward.
    """
    file = policy_file(place)
    policy, info = load_policy(file, spec)
    if info.task not in FORWARD_TASKS:
        raise MbmfError(f"{file}: {unknown('task of a policy that drives', info.task, FORWARD_TASKS)}")
    if info.action_repeat < 1:
        raise MbmfError(f"{file}: action_repeat: expected 1 or more, got {info.action_repeat}; make the file again")
    return PolicyDriver(spec, policy, info.action_repeat, config, plan_rows), info
