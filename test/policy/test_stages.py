"""Which rounds an imitation has, and that nothing goes on from one that lacks some."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from policy_sources import make_source  # pyright: ignore[reportMissingImports]

from mbmf_ros.config import override
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.expert import open_run
from mbmf_ros.policy.recipes import ImitationConfig
from mbmf_ros.policy.run_file import command_of
from mbmf_ros.policy.source import load_source
from mbmf_ros.policy.stages import check_finished, outcome_of, stages_of

TWO = {"rounds": 1, "improvement": {"rounds": 2, "finalists": 2}}
ALL = ("clone", "dagger", "act", "improve", "improve", "choose")
IDENTITIES: dict[str, dict[str, Any]] = {  # of the commands' runs
    "learn": {"config": {"random_steps": 1000, "planner": "icem"}},
    "baseline": {"learner": "trpo", "config": {"gamma": 0.99}},
    "finetune": {"learner": "trpo", "preset": "default", "policy": "0123", "config": {"gamma": 0.99}},
    "imitate": {"expert": {"seed": 0, "steps": 9, "model": "0123"}, "config": {"rounds": 1}},
}


def kept(folder: Path, config: dict[str, Any], stages: tuple[str, ...]) -> Path:
    """A folder with what ``run.json`` says of these rounds; of the first runs it did not name the stages."""
    folder.mkdir(exist_ok=True)
    curve = [{"stage": stage} if stage else {} for stage in stages]
    (folder / "run.json").write_text(json.dumps({"identity": {"config": config}, "curve": curve, "wall_s": 1.0}))
    return folder


def test_stages():
    assert stages_of(override(ImitationConfig(), TWO)) == list(ALL)
    assert stages_of(override(ImitationConfig(), {"rounds": 1, "improvement": {"rounds": 0}})) == ["clone", "dagger"]
    assert stages_of(override(ImitationConfig(), {"rounds": 0, "improvement": {"rounds": 1}}))[1:] == ["act", "improve"]


@pytest.mark.parametrize(
    ("config", "stages"),
    [
        (TWO, ALL),
        (TWO, ("clone", "dagger", "improve", "improve", "choose")),  # before policies acted first
        ({"rounds": 1, "improvement": {"rounds": 2}}, ("clone", "dagger", "improve", "improve")),  # and none was chosen
        ({"rounds": 1}, ("", "")),  # before there was any improvement
        ({"rounds": 1, "improvement": {"rounds": 0, "finalists": 5}}, ("clone", "dagger")),
    ],
)
def test_what_is_finished_is_taken(tmp_path: Path, config: dict[str, Any], stages: tuple[str, ...]):
    check_finished(kept(tmp_path, config, stages))


@pytest.mark.parametrize("rounds", range(len(ALL)))
def test_what_is_not_finished_is_refused(tmp_path: Path, rounds: int):
    with pytest.raises(MbmfError, match="let `mbmf imitate` finish it: the same command as before goes on"):
        check_finished(kept(tmp_path, TWO, ALL[:rounds]))


def test_there_is_no_result_of_no_rounds():
    with pytest.raises(MbmfError, match="no round of the imitation is finished; the same `mbmf imitate` as before"):
        outcome_of([])


def test_fine_tuning_asks_for_a_finished_imitation_where_the_folder_says(tmp_path: Path):
    make_source(tmp_path)  # no run.json: nothing says that it is not
    kept(tmp_path, TWO, ALL[:4])
    with pytest.raises(MbmfError, match="not finished, 2 rounds"):
        load_source(tmp_path)
    kept(tmp_path, TWO, ALL)
    assert load_source(tmp_path).seed == 0  # its file does not say
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(MbmfError, match="is damaged"):
        load_source(tmp_path)
    (tmp_path / "policy.safetensors").unlink()
    kept(tmp_path, TWO, ())  # killed in its first round, before there was any policy
    with pytest.raises(MbmfError, match="not finished, 5 rounds"):
        load_source(tmp_path)


@pytest.mark.parametrize("command", IDENTITIES)
@pytest.mark.parametrize(("wanted", "load"), [("imitate", load_source), ("learn", open_run)])
def test_the_run_of_another_command_is_named(tmp_path: Path, command: str, wanted: str, load: Callable[[Path], Any]):
    make_source(tmp_path)
    state = {"identity": {"robot": "hopper", **IDENTITIES[command]}, "curve": [{}, {}]}
    (tmp_path / "run.json").write_text(json.dumps(state))
    assert command_of(state["identity"]) == command
    if command != wanted:
        with pytest.raises(MbmfError) as error:
            load(tmp_path)
        said = f"--source: {tmp_path} is a run of `mbmf {command}`, expected one of `mbmf {wanted}`; choose another"
        assert said in str(error.value)
