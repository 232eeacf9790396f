"""What modules and optimisers consist of, as named tensors for a file."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim import Optimizer


def module_tensors(name: str, module: nn.Module) -> dict[str, Tensor]:
    """Copies of all tensors of ``module``, under ``NAME/``."""
    return {f"{name}/{key}": value.detach().clone().contiguous() for key, value in module.state_dict().items()}


def restore_module(name: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back what :func:`module_tensors` took."""
    module.load_state_dict(below(name, tensors))


def optimizer_tensors(name: str, optimizer: Optimizer) -> dict[str, Tensor]:
    """Copies of an optimiser's moments and counters, under ``NAME/PARAMETER/``."""
    return {
        f"{name}/{index}/{key}": value.detach().clone().contiguous()
        for index, moments in optimizer.state_dict()["state"].items()
        for key, value in moments.items()
    }


def restore_optimizer(name: str, optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what :func:`optimizer_tensors` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in below(name, tensors).items():
        index, _, moment = key.partition("/")
        state.setdefault(int(index), {})[moment] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under ``NAME/``, by the rest of their names."""
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
