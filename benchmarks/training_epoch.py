"""Training epochs in a process of its own, for training_cost.py; runs on this project's Python or on mbrl-lib's.

    python training_epoch.py KIND MEMBERS HIDDEN BATCH_SIZE DATA.npz TUNED DEVICE

For every line on standard input it makes one pass of every member over all transitions, and prints a JSON line: wall
time and processor time [s], and gradient steps. ``ours`` is :func:`mbmf_ros.dynamics.training.fit`; ``plain`` is one
network written the usual way (nn.Linear, Adam); ``mbrl`` is mbrl-lib's GaussianMLP and ModelTrainer. TUNED is 1 to give
the other two our use of the processor, too. DEVICE is where it is computed, as PyTorch names it.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Epoch = Callable[[int], int]
"""Trains on that many of the transitions (0: all); returns the gradient steps."""


def ours(members: int, hidden: int, batch: int, data: Any, device: str) -> Epoch:
    from mbmf_ros.dynamics.dataset import Dataset
    from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
    from mbmf_ros.dynamics.training import TrainConfig, fit
    from mbmf_ros.robots import robot
    from mbmf_ros.threads import one_thread

    one_thread()
    model = Dynamics(robot("ant"), DynamicsConfig(members=members, hidden=hidden))
    inputs = torch.from_numpy(np.concatenate([data["inner"], data["actions"]], axis=1))
    outputs = torch.from_numpy(np.concatenate([data["change"], data["displacement"]], axis=1))
    settings = TrainConfig(epochs=1, min_updates=0, batch_size=batch, device=device)

    def epoch(count: int) -> int:
        part = slice(0, count or len(inputs))
        return fit(model, Dataset(inputs[part], outputs[part]), None, settings).updates

    return epoch


def plain(members: int, hidden: int, batch: int, data: Any, device: str) -> Epoch:
    if members != 1:
        raise SystemExit("plain: expected 1 member")
    inputs = torch.from_numpy(np.concatenate([data["inner"], data["actions"]], axis=1))
    outputs = torch.from_numpy(np.concatenate([data["change"], data["displacement"]], axis=1))
    z = ((inputs - inputs.mean(0)) / inputs.std(0).clamp_min(1e-6)).to(device)
    y = ((outputs - outputs.mean(0)) / outputs.std(0).clamp_min(1e-6)).to(device)
    layers = [torch.nn.Linear(z.shape[1], hidden), torch.nn.SiLU(), torch.nn.Linear(hidden, hidden), torch.nn.SiLU()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(hidden, y.shape[1])).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)

    def epoch(count: int) -> int:
        steps, loss = (count or len(z)) // batch, torch.zeros(())
        for rows in torch.randperm(len(z), device=device)[: steps * batch].view(steps, batch):
            loss = torch.nn.functional.mse_loss(network(z[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        loss.item()  # what another device was told to do is done
        return steps

    return epoch


def mbrl(members: int, hidden: int, batch: int, data: Any, device: str) -> Epoch:
    from mbrl.models import GaussianMLP, ModelTrainer, OneDTransitionRewardModel  # type: ignore[import-not-found]
    from mbrl.types import TransitionBatch  # type: ignore[import-not-found]
    from mbrl.util.replay_buffer import BootstrapIterator  # type: ignore[import-not-found]

    state, action = data["inner"], data["actions"]
    network = GaussianMLP(
        in_size=state.shape[1] + action.shape[1],
        out_size=state.shape[1],
        device=device,
        num_layers=2,
        ensemble_size=members,
        hid_size=hidden,
        deterministic=True,
        activation_fn_cfg={"_target_": "torch.nn.SiLU"},
    )
    model = OneDTransitionRewardModel(network, target_is_delta=True, normalize=True, learned_rewards=False)
    none = np.zeros(len(state), dtype=bool)
    everything = TransitionBatch(state, action, state + data["change"], none.astype(np.float32), none, none)
    model.update_normalizer(everything)
    trainer = ModelTrainer(model, optim_lr=1e-3, weight_decay=0.0)

    def epoch(count: int) -> int:
        part = everything[: count or len(state)]
        batches = BootstrapIterator(part, batch, members, shuffle_each_epoch=True, rng=np.random.default_rng(0))
        trainer.train(batches, num_epochs=1, evaluate=False, silent=True)
        return len(batches)

    return epoch


def main() -> None:
    """See the module."""
    kind, members, hidden, batch, file, tuned, device = sys.argv[1:]
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if int(tuned):
        ctypes.CDLL(None).mallopt(-3, 32 << 20)
        ctypes.CDLL(None).mallopt(-1, 256 << 20)
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]
    with np.load(file) as data:
        kinds = {"ours": ours, "plain": plain, "mbrl": mbrl}
        epoch = kinds[kind](int(members), int(hidden), int(batch), data, device)
    epoch(20 * int(batch))  # warm up
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        updates = epoch(0)
        took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "updates": updates}
        print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main()
