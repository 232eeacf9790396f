"""Model files: what is saved comes back to the bit; everything else is refused with one kind of error."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from mbmf_ros.dynamics import io
from mbmf_ros.dynamics.io import (
    ModelInfo,
    default_model_path,
    fingerprint,
    layout_hash,
    load_model,
    model_from_bytes,
    model_to_bytes,
    save_model,
)
from mbmf_ros.dynamics.model import Dynamics, DynamicsConfig
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot

SPEC = robot("ant")


def a_model(**options: Any) -> tuple[Dynamics, ModelInfo]:
    model = Dynamics(SPEC, DynamicsConfig(members=2, hidden=4, **options), seed=1)
    outputs = torch.randn(20, len(model.output_mean))
    model.set_statistics(torch.randn(20, len(model.input_mean)), outputs)
    info = ModelInfo("ant", model.config.profile, layout_hash(model), 20, 0.5, float("nan"), 10, {"seed": 1})
    return model, info


MODEL, INFO = a_model()
DATA = model_to_bytes(MODEL, INFO)
HEADER_LENGTH = int.from_bytes(DATA[:8], "little")


def with_header(**changes: Any) -> bytes:
    """The model's bytes with other metadata; values that are no strings become JSON."""
    metadata = json.loads(DATA[8 : 8 + HEADER_LENGTH])["__metadata__"]
    metadata |= {key: value if isinstance(value, str) else json.dumps(value) for key, value in changes.items()}
    return save(dict(MODEL.state_dict()), metadata)


def with_info(**changes: Any) -> bytes:
    return with_header(info=dataclasses.asdict(INFO) | changes)


@pytest.mark.parametrize("options", [{}, {"profile": "paper", "activation": "relu"}, {"probabilistic": True}])
def test_a_file_gives_back_the_model_to_the_bit(tmp_path: Path, options: dict):
    model, info = a_model(**options)
    path = tmp_path / "new" / "model.safetensors"
    save_model(path, model, info)
    loaded, said = load_model(path, SPEC)
    assert loaded.config == model.config
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=0, atol=0)
    assert repr(said) == repr(info)  # NaN is not equal to itself
    assert not any(p.requires_grad for p in loaded.parameters())
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]
    assert layout_hash(load_model(path)[0]) == info.layout_hash  # the robot that the file names


def test_the_shipped_model_loads_and_is_within_the_budget():
    model, info = load_model(default_model_path(SPEC), SPEC)
    assert info.profile == model.config.profile == "body"
    assert 0 < info.transitions <= 100_000
    assert 0 < info.open_loop_error < 0.6
    assert default_model_path(SPEC).stat().st_size < 4e6


def test_where_no_model_is_shipped_the_error_says_what_to_do():
    with pytest.raises(MbmfError, match=r"no model of 'bee' .* is shipped; see `mbmf train`"):
        default_model_path(dataclasses.replace(SPEC, name="bee"))


def test_a_shipped_model_of_another_robot_or_profile_is_none_and_a_damaged_one_is_told():
    assert load_model(default_model_path(SPEC, "paper"), SPEC)[1].profile == "paper"
    namesake = dataclasses.replace(SPEC, name="ant_paper")  # its own file would have the name of that one
    with pytest.raises(MbmfError, match="no model of 'ant_paper' with the state profile 'body' is shipped"):
        default_model_path(namesake)


def test_a_damaged_shipped_model_is_not_taken_for_a_missing_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(io, "__file__", str(tmp_path / "dynamics" / "io.py"))
    shipped = tmp_path / "models" / "ant.safetensors"
    shipped.parent.mkdir()
    shipped.write_bytes(DATA[:100])
    with pytest.raises(MbmfError, match=r"ant\.safetensors: not a whole safetensors file"):
        load_model(default_model_path(SPEC), SPEC)


def test_every_truncation_is_refused():
    for length in range(len(DATA)):
        with pytest.raises(MbmfError):
            model_from_bytes(DATA[:length], SPEC)


def usable(data: bytes) -> None:
    """Loading ``data`` gives a model that can be used, or an MbmfError; nothing else."""
    try:
        model, info = model_from_bytes(data, SPEC)
    except MbmfError:
        return
    assert info.robot == "ant"
    assert all(p.isfinite().all() for p in model.parameters())
    assert model.imagine(torch.zeros(2, model.profile.nx), torch.zeros(2, 2, SPEC.nu)).shape[1] == 3


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8 + HEADER_LENGTH - 1), st.integers(0, 255)), min_size=1, max_size=3),
)
def test_corrupted_headers_never_raise_anything_else(changes: list[tuple[int, int]]):
    data = bytearray(DATA)
    for place, value in changes:
        data[place] = value
    usable(bytes(data))


@settings(max_examples=60, deadline=None)
@given(st.integers(8 + HEADER_LENGTH, len(DATA) - 1), st.integers(0, 255))
def test_corrupted_weights_are_finite_or_refused(place: int, value: int):
    data = bytearray(DATA)
    data[place] = value
    usable(bytes(data))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes):
    with pytest.raises(MbmfError):
        model_from_bytes(data, SPEC)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**9])
def test_a_header_that_claims_to_be_huge_is_refused(length: int):
    with pytest.raises(MbmfError, match="too short for its header"):
        model_from_bytes(length.to_bytes(8, "little") + DATA[8:], SPEC)


def test_deeply_nested_headers_are_refused():
    nested = b"[" * 200_000
    with pytest.raises(MbmfError):
        model_from_bytes(len(nested).to_bytes(8, "little") + nested, SPEC)
    with pytest.raises(MbmfError, match="header is damaged"):
        model_from_bytes(with_header(info="[" * 200_000), SPEC)


def test_foreign_files_are_refused(tmp_path: Path):
    with pytest.raises(MbmfError, match="not one of a dynamics model"):
        model_from_bytes(save({"weight": torch.zeros(3)}), SPEC)
    with pytest.raises(MbmfError, match="not one of a dynamics model"):
        model_from_bytes(with_header(format="other"), SPEC)
    text = tmp_path / "model.safetensors"
    text.write_text("this is a text file, and long enough\n" * 30)
    with pytest.raises(MbmfError, match=r"model\.safetensors: not a"):
        load_model(text, SPEC)
    with pytest.raises(MbmfError, match="cannot read the model"):
        load_model(tmp_path, SPEC)
    with pytest.raises(MbmfError, match=r"cannot read the model .*missing.*make one with `mbmf train`"):
        load_model(tmp_path / "missing", SPEC)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (with_info(robot="swimmer"), "of robot 'swimmer', expected 'ant'"),
        (with_info(robot=["ant"]), "header is damaged"),
        (with_info(transitions="many"), "header is damaged"),
        (with_info(open_loop_error=None), "header is damaged"),
        (with_info(extra=[]), "header is damaged"),
        (with_info(colour="red"), "header is damaged"),
        (with_info(layout_hash="0123"), "state layout is '0123'"),
        (with_info(profile="paper"), "header is damaged"),
        (with_header(info="[1, 2]"), "header is damaged"),
        (with_header(info="{"), "header is damaged"),
        (with_header(info="1" * 5000), "header is damaged"),
        (with_header(config={"members": 2, "hidden": 4, "layers": 3}), "unknown key"),
        (with_header(config={"members": 2, "hidden": "4"}), r"hidden: expected int"),
        (with_header(config={"members": 2, "hidden": 5}), "do not fit its own description"),
        (with_header(config={"members": 2, "hidden": 10**9}), "hidden: expected"),
        (with_header(config={"members": 0, "hidden": 4}), "expected a number from"),
        (with_header(config={"members": 2, "hidden": -4}), "expected a number from"),
        (with_header(config={"members": 2, "hidden": 4, "profile": "bodi"}), "header is damaged"),
        (with_header(config={"members": 2, "hidden": 4, "profile": "paper"}), "header is damaged"),
        (with_header(config={"members": 2, "hidden": 4, "probabilistic": True}), "do not fit its own description"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(data: bytes, match: str):
    with pytest.raises(MbmfError, match=match):
        model_from_bytes(data, SPEC)


@pytest.mark.parametrize("name", ["weights.0", "biases.2", "input_mean", "input_std", "output_mean", "output_std"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_models_with_numbers_that_are_not_finite_are_refused(name: str, value: float):
    model, info = a_model()
    model.state_dict()[name].view(-1)[3] = value
    with pytest.raises(MbmfError, match="not finite"):
        model_from_bytes(model_to_bytes(model, info), SPEC)


@pytest.mark.parametrize(("name", "value"), [("input_std", 0.0), ("input_std", -1.0), ("output_low", float("nan"))])
def test_an_impossible_normaliser_is_refused(name: str, value: float):
    model, info = a_model()
    model.state_dict()[name][2] = value
    with pytest.raises(MbmfError, match="normaliser is damaged"):
        model_from_bytes(model_to_bytes(model, info), SPEC)


def test_a_tensor_too_few_is_refused():
    metadata = json.loads(DATA[8 : 8 + HEADER_LENGTH])["__metadata__"]
    for name in MODEL.state_dict():
        tensors = {key: tensor for key, tensor in MODEL.state_dict().items() if key != name}
        with pytest.raises(MbmfError, match="do not fit"):
            model_from_bytes(save(tensors, metadata), SPEC)


def test_an_interrupted_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "model.safetensors"
    save_model(path, MODEL, INFO)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)  # where a full disk is told at the latest
    with pytest.raises(OSError, match="No space left"):
        save_model(path, *a_model(activation="relu"))
    monkeypatch.undo()
    assert path.read_bytes() == before


def test_the_fingerprint_is_of_the_model_and_not_of_its_file():
    model = Dynamics(SPEC, DynamicsConfig(members=2, hidden=4), seed=1)
    again = Dynamics(SPEC, DynamicsConfig(members=2, hidden=4), seed=1)
    assert fingerprint(model) == fingerprint(again)
    again.output_mean[0] += 1e-3
    assert fingerprint(model) != fingerprint(again)
