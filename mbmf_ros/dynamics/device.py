"""Where models are trained: the processor, or another device that PyTorch can use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from mbmf_ros.errors import MbmfError


def usable_device(name: str) -> torch.device:
    """The device that PyTorch knows as ``name``.

    Raises:
        MbmfError: it does not know it, or cannot use it here.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).sum().item()
    except (RuntimeError, AssertionError) as error:  # the latter: a PyTorch that was built without it
        why = str(error).partition("\n")[0]
        raise MbmfError(f"device: expected one that PyTorch can use here, such as cpu; got {name!r}: {why}") from error
    return device


@contextlib.contextmanager
def computed_on(device: torch.device, model: nn.Module) -> Iterator[None]:
    """Have ``model`` on ``device`` meanwhile; afterwards, whatever happens, it is in the processor's memory.

    Raises:
        MbmfError: the device's memory is full.
    """
    try:
        model.to(device)
        yield
    except torch.OutOfMemoryError as error:
        raise MbmfError(
            f"device: the memory of {device} is full; train on fewer transitions, with a smaller batch_size, or on cpu"
        ) from error
    finally:
        model.to("cpu")
