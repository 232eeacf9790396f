"""The planner as a teacher that answers consistently: it plans around what the pupil would do."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mbmf_ros.control.algorithm import Learner
from mbmf_ros.control.goals import ForwardGoal
from mbmf_ros.control.planners import Plan, make_planner, planner_defaults
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.gaussian import GaussianPolicy
from mbmf_ros.policy.observation import Observation


def imagined_actions(policy: GaussianPolicy, observe: Observation, model: Dynamics, x: Tensor, steps: int) -> Tensor:
    """What ``policy`` would do from state ``x`` (nx,) on, if ``model`` is right, (steps, nu)."""
    actions, x = [], x[None]
    for _ in range(steps):
        actions.append(policy(observe.of_states(x)).clamp(-1.0, 1.0))
        x = model(x, actions[-1])
    return torch.cat(actions)


class Guide:
    """Says at any measurement what a policy had better do.

    A sampling planner asked about states that it did not come to by itself answers with any of many plans that are as
    good as each other: on the half-cheetah two of them differ by as much as actions differ at all, and their mean is a
    bad action. Planned around what the policy would do, with little noise, answers are small improvements on it: one
    step of policy improvement, and a function of the state (compare Pinneri et al., 2021, and expert iteration).

    Args:
        learner: a run of Algorithm 1, whose model and planner are used.
        policy: the pupil.
        noise: standard deviation of the candidates about what it would do.
        iterations: rounds of sampling.
        seed: of the candidates.

    Raises:
        MbmfError: the model's states are not what policies see, or the planner is none that starts from a plan.
    """

    def __init__(self, learner: Learner, policy: GaussianPolicy, noise: float, iterations: int, seed: int):
        model, config = learner.model, learner.config
        assert model is not None
        self.policy, self.model, self.observe = policy, model, Observation(learner.spec)
        if not self.observe.fits(model.profile):
            raise MbmfError(
                f"the expert's model has the state profile {model.profile.name!r}, policies see 'body'; "
                "switch the planner's guidance off: --set guided=false"
            )
        settings = {**config.planner_settings, **config.evaluation_settings}
        settings |= {"noise": noise, "iterations": iterations, "rescue_iterations": 0}
        if "noise" not in vars(planner_defaults(config.planner)):
            raise MbmfError(
                f"planner {config.planner!r} does not start from a plan; switch its guidance off: --set guided=false"
            )
        self._planner = make_planner(config.planner, settings)
        self._goal = ForwardGoal(learner.env.reward, config.forward)
        self._generator = torch.Generator().manual_seed(seed)

    def plan(self, m: np.ndarray) -> Tensor:
        """The better actions (H, nu) from measurement ``m`` (nm,) on."""
        model, spec = self.model, self.observe.spec
        task = self._goal.task(m, model, spec)
        assert task is not None
        with torch.inference_mode():
            x = torch.from_numpy(model.profile.encode(m).astype(np.float32))
            would = imagined_actions(self.policy, self.observe, model, x, self._planner.config.time_steps)
            warm = Plan(would, would, would[None], float("nan"), {}, would, would)
            return self._planner.plan(x, model, task, warm, self._generator, 0).actions

    def __call__(self, m: np.ndarray) -> np.ndarray:
        """The better action (nu,) at measurement ``m`` (nm,)."""
        return self.plan(m)[0].double().numpy()
