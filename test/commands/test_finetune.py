"""``mbmf finetune``, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from policy_sources import SPENT, make_source  # pyright: ignore[reportMissingImports]
from safetensors.torch import load_file

from mbmf_ros.cli import main
from mbmf_ros.policy.io import load_policy
from mbmf_ros.policy.model_free import ModelFreeRun
from mbmf_ros.robots import robot

TRPO = (
    "evaluate_every=512",
    "episodes=1",
    "trpo.batch=128",
    "trpo.hidden=8",
    "trpo.critic_updates=2",
    "trpo.cg_steps=5",
    "handover.first_batch=256",
    "handover.std_grid=[0.1]",
    "handover.std_episodes=1",
    "handover.warm_up_rounds=3",
)
SAC = (
    "evaluate_every=100",
    "episodes=1",
    "sac.hidden=8",
    "sac.batch=16",
    "sac.memory=700",
    "handover.std=0.1",
    "handover.clone_updates=20",
    "handover.warm_up_updates=5",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    make_source(folder)
    return folder


def finetune(source: Path, out: Path, *more: str, settings: tuple[str, ...] = TRPO) -> int:
    command = ["finetune", "--source", str(source), "--seed", "3", "--set", *settings]
    return main([*command, "--folder", str(out / "run"), "--json", str(out / "out.json"), *more])


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "out.json").read_text())


def timeless(curve: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "wall_s"} for row in curve]


def test_what_was_spent_before_and_the_search_count(source: Path, tmp_path: Path):
    assert finetune(source, tmp_path, "--budget", str(SPENT + 4000)) == 0
    out = result(tmp_path)
    notes, steps = out["notes"], [row["steps"] for row in out["curve"]]
    assert steps[0] == out["source_steps"] == SPENT
    assert notes["std_steps"] > 0
    assert (steps[1] - SPENT - notes["std_steps"]) % 128 == 0
    assert steps[1] - SPENT >= 512
    assert out["steps"] == steps[-1] <= SPENT + 4000
    assert out["steps"] > SPENT + 4000 - 128
    assert out["curve"][1]["std"] == pytest.approx(0.1, rel=0.1)
    assert out["command"].startswith("mbmf finetune --source")
    policy, info = load_policy(tmp_path / "run" / "policy.safetensors", robot("hopper"))
    assert info.steps == out["best_steps"]
    assert policy.config.hidden == 8


def test_held_actions_count_for_every_period(tmp_path: Path):
    make_source(tmp_path / "source", repeat=4)
    assert finetune(tmp_path / "source", tmp_path, "--budget", str(SPENT + 3500)) == 0
    out = result(tmp_path)
    steps = [row["steps"] - SPENT for row in out["curve"]]
    assert out["notes"]["std_steps"] % 4 == 0
    assert (steps[1] - out["notes"]["std_steps"]) % (4 * 128) == 0
    assert steps[-1] > 3500 - 4 * 128
    assert load_policy(tmp_path / "run" / "policy.safetensors")[1].action_repeat == 4


@pytest.mark.parametrize(
    ("learner", "settings", "budget", "kill"),
    [("trpo", TRPO, 3500, 1200), ("sac", SAC, 800, 400), ("sac", (*SAC, "sac.memory=70", "sac.updates=3"), 800, 400)],
)
def test_an_interrupted_run_becomes_what_it_would_have_been(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    learner: str,
    settings: tuple,
    budget: int,
    kill: int,
):
    whole, parts, more = tmp_path / "whole", tmp_path / "parts", ("--learner", learner, "--budget", str(SPENT + budget))
    assert finetune(source, whole, *more, settings=settings) == 0
    evaluate = ModelFreeRun._evaluate

    def interrupted(run: ModelFreeRun, *args: Any) -> None:
        if run.steps >= SPENT + kill:
            raise KeyboardInterrupt
        evaluate(run, *args)

    with monkeypatch.context() as patched:
        patched.setattr(ModelFreeRun, "_evaluate", interrupted)
        assert finetune(source, parts, *more, settings=settings) == 130
    assert finetune(source, parts, *more, settings=settings) == 0
    a, b = result(whole), result(parts)
    assert timeless(a["curve"]) == timeless(b["curve"])
    assert (a["final_returns"], a["notes"]) == (b["final_returns"], b["notes"])
    last = f"learner_{len(a['curve']):04d}.safetensors"
    for name in (last, "policy.safetensors"):
        one, other = (load_file(folder / "run" / name) for folder in (whole, parts))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert bool(list((parts / "run").glob("replay_*"))) == (learner == "sac")


@pytest.mark.parametrize(("learner", "settings", "budget"), [("trpo", TRPO, 3500), ("sac", SAC, 400)])
def test_a_run_from_before_there_was_such_a_setting_goes_on(
    source: Path, tmp_path: Path, learner: str, settings: tuple, budget: int
):
    more = ("--learner", learner, "--budget")
    assert finetune(source, tmp_path, *more, str(SPENT + budget), settings=settings) == 0
    file = tmp_path / "run" / "run.json"
    state = json.loads(file.read_text())
    sac = state["identity"]["config"]["sac"]
    assert (sac.pop("updates"), sac.pop("layer_norm")) == (1, True)
    file.write_text(json.dumps(state))
    assert finetune(source, tmp_path, *more, str(SPENT + budget + 1000), settings=settings) == 0
    assert result(tmp_path)["steps"] > SPENT + budget


def test_a_source_that_is_none_or_anothers_is_refused(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def refused(folder: Path, *more: str) -> str:
        assert finetune(folder, tmp_path, *more) == 2
        assert not (tmp_path / "run").exists()
        return capsys.readouterr().err.replace("\n", " ")

    assert "make one with `mbmf imitate`" in refused(tmp_path / "nothing")
    assert "of robot 'hopper', expected 'ant'" in refused(source, "--robot", "ant")
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(source / "policy.safetensors", bare)
    assert "found none" in refused(bare)
    assert "choose --learner trpo" in refused(source, "--learner", "sac", "--preset", "paper")
    assert "papre" in refused(source, "--preset", "papre")
    assert "the policy decides" in refused(source, "--set", "action_repeat=2")


def test_the_folder_of_another_run_is_refused(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert finetune(source, tmp_path, "--budget", str(SPENT + 10)) == 0
    assert "leaves no room" in capsys.readouterr().err.replace("\n", " ")
    assert finetune(source, tmp_path, "--budget", str(SPENT - 1)) == 2
    assert f"{SPENT} steps are spent already" in capsys.readouterr().err.replace("\n", " ")
    other = tmp_path / "other"
    make_source(other, rollouts=4)
    assert finetune(other, tmp_path) == 2
    assert "holds another run: policy" in capsys.readouterr().err.replace("\n", " ")
    assert main(["finetune", "--source", str(source), "--folder", str(source)]) == 2
    assert "is the source" in capsys.readouterr().err.replace("\n", " ")
