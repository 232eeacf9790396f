"""How long does a plan take, and what does the batched, folded imagine() save over a plain loop?

    python benchmarks/plan_time.py

Both run in turn in one process on one thread; medians over repetitions. The ratio is the result, the times are this
machine's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from mbmf_ros.control.follow import start_of
from mbmf_ros.control.path import Path
from mbmf_ros.control.presets import Preset, make_controller
from mbmf_ros.dynamics.io import default_model_path, load_model
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.robots import robot
from mbmf_ros.threads import one_thread


@torch.no_grad()
def plain_loop(model: Dynamics, x0: Tensor, u: Tensor) -> Tensor:
    """What imagine() computes, step by step: standardise, predict, restore, integrate, every step for every member."""
    members, profile = model.members, model.profile
    states, x = [x0], x0
    for step in range(u.shape[1]):
        z = torch.cat([x[:, profile.n_carried :], u[:, step]], dim=1)
        z = (z - model.input_mean) / model.input_std
        grouped = z.reshape(-1, members, z.shape[-1]).transpose(0, 1)
        y = model.network(grouped).transpose(0, 1).reshape(len(x), -1) * model.output_std + model.output_mean
        y = y.clamp(model.output_low, model.output_high)
        inner = x[:, profile.n_carried :] + y[:, : profile.n_inner]
        x = profile.unroll(x, torch.stack([x[:, profile.n_carried :], inner], 1), y[:, None, profile.n_inner :])[:, 1]
        states.append(x)
    return torch.stack(states, dim=1)


def median_ms(run: Callable[[], object], repetitions: int) -> float:
    """Median wall time [ms]."""
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    one_thread()
    spec = robot("ant")
    model, _ = load_model(default_model_path(spec), spec)
    generator = torch.Generator().manual_seed(0)
    x = torch.from_numpy(model.profile.encode(start_of(spec, 0))).float()
    print("candidates x steps   imagine() [ms]   plain loop [ms]   ratio")
    for candidates, horizon, repetitions in ((128, 16, 60), (1024, 16, 20), (7000, 15, 4)):
        u = torch.rand(candidates, horizon, spec.nu, generator=generator) - 0.5
        x0 = x.expand(candidates, -1)
        assert (model.imagine(x0, u) - plain_loop(model, x0, u)).abs().mean() < 1e-4  # rounding, grown open loop
        fast = median_ms(lambda: model.imagine(x0, u), repetitions)  # noqa: B023 (called at once)
        slow = median_ms(lambda: plain_loop(model, x0, u), repetitions)  # noqa: B023
        print(f"{candidates:6d} x {horizon:<10d} {fast:15.2f} {slow:17.2f} {slow / fast:7.2f}")
    controller = make_controller(spec, Preset())
    controller.swap(model, 1)
    m = start_of(spec, 0)
    controller.set_path(Path.from_waypoints(m[:2], m[None, :2] + [[8.0, 0.0]]))
    print(f"whole control step, default planner: {median_ms(lambda: controller.act(m), 60):.1f} ms")


if __name__ == "__main__":
    main()
