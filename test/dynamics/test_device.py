"""Where models are trained."""

import pytest
import torch

from mbmf_ros.dynamics.device import computed_on, usable_device
from mbmf_ros.errors import MbmfError


@pytest.mark.parametrize("name", ["cpu", "cpu:0"])
def test_the_processor_can_always_be_used(name: str):
    assert usable_device(name).type == "cpu"


@pytest.mark.parametrize("name", ["meta", "nonsense", "cuda:99", ""])
def test_what_cannot_compute_here_is_named(name: str):
    with pytest.raises(MbmfError, match=f"expected one that PyTorch can use here, such as cpu; got '{name}': [^\n]+$"):
        usable_device(name)


def test_a_model_comes_back_as_it_went():
    model = torch.nn.Linear(3, 2)
    before = model.weight.detach().clone()
    with computed_on(torch.device("cpu", 0), model):
        assert model.weight.device.type == "cpu"
    assert torch.equal(model.weight, before)


def test_a_device_without_memory_left_says_what_to_do():
    with (
        pytest.raises(MbmfError, match="the memory of cpu is full; train on fewer transitions"),
        computed_on(torch.device("cpu"), torch.nn.Linear(3, 2)),
    ):
        raise torch.OutOfMemoryError
