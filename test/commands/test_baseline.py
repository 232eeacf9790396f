"""``mbmf baseline``, from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mbmf_ros.cli import main
from mbmf_ros.control.environments import environment
from mbmf_ros.policy.gaussian import PolicyActor
from mbmf_ros.policy.io import load_policy
from mbmf_ros.policy.model_free import ModelFreeRun
from mbmf_ros.policy.rollouts import roll_out
from mbmf_ros.robots import robot

SMALL = (
    "evaluate_every=256",
    "episodes=1",
    "trpo.batch=128",
    "trpo.hidden=8",
    "trpo.critic_updates=2",
    "trpo.critic_batch=64",
    "trpo.cg_steps=5",
    "sac.hidden=8",
    "sac.batch=16",
    "sac.memory=600",
    "sac.random_steps=300",
)


def baseline(folder: Path, *more: str) -> int:
    command = ["baseline", "--robot", "hopper", "--seed", "3", "--set", *SMALL]
    return main([*command, "--folder", str(folder / "run"), "--json", str(folder / "out.json"), *more])


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "out.json").read_text())


def timeless(curve: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "wall_s"} for row in curve]


def test_it_learns_counts_and_writes_its_result_and_the_best_policy(tmp_path: Path):
    assert baseline(tmp_path, "--budget", "700") == 0
    out = result(tmp_path)
    assert [row["steps"] for row in out["curve"]] == [0, 256, 512, 640]
    assert out["steps"] == 640
    assert out["command"].startswith("mbmf baseline --robot hopper")
    assert (out["learner"], out["config"]["trpo"]["batch"]) == ("trpo", 128)
    spec = robot("hopper")
    policy, info = load_policy(tmp_path / "run" / "policy.safetensors", spec)
    assert (info.steps, info.task, info.action_repeat) == (out["best_steps"], "forward", 1)
    row = max(out["curve"], key=lambda row: row["return"])
    again = roll_out(environment(spec, "forward"), PolicyActor(spec, policy), 2**31 + 3000, 1000, "policy")
    assert again.value == pytest.approx(row["return"])


@pytest.mark.parametrize(("learner", "memory"), [("trpo", 600), ("sac", 600), ("sac", 200)])  # 256 to an evaluation
def test_an_interrupted_run_becomes_what_it_would_have_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learner: str, memory: int
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    more = ("--budget", "1024", "--learner", learner, "--set", *SMALL, f"sac.memory={memory}", "sac.layer_norm=true")
    assert baseline(whole, *more) == 0
    learn = ModelFreeRun._evaluate

    def killed(run: ModelFreeRun, *args: Any) -> None:
        if run.steps >= 768:
            raise KeyboardInterrupt
        learn(run, *args)

    with monkeypatch.context() as patched:
        patched.setattr(ModelFreeRun, "_evaluate", killed)
        assert baseline(parts, *more) == 130
    assert baseline(parts, *more) == 0
    a, b = result(whole), result(parts)
    assert timeless(a["curve"]) == timeless(b["curve"])
    assert a["final_returns"] == b["final_returns"]
    for name in ("learner_0005.safetensors", "policy.safetensors"):
        one, other = (load_file(folder / "run" / name) for folder in (whole, parts))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert len(list((parts / "run").glob("learner_*"))) == 1


def test_held_actions_count_for_every_period(tmp_path: Path):
    assert baseline(tmp_path, "--budget", "1000", "--set", *SMALL, "action_repeat=4") == 0
    assert [row["steps"] for row in result(tmp_path)["curve"]] == [0, 512]


def test_it_stops_when_nothing_improves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ModelFreeRun, "evaluate", lambda run, policy, number, episodes: [1.0])
    assert baseline(tmp_path, "--budget", "5000", "--patience", "500") == 0
    out = result(tmp_path)
    assert out["stopped_early"]
    assert (out["steps"], out["best_steps"]) == (512, 0)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--budget", "0"), "--budget"),
        (("--patience", "-1"), "--patience"),
        (("--learner", "trop"), "trpo"),
        (("--task", "backward"), "backward"),
        (("--set", "trpo.batsh=3"), "batch"),
        (("--set", "trpo.discount=2"), "discount"),
        (("--seed", str(2**40)), "--seed"),
    ],
)
def test_bad_options_are_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple, said: str):
    assert baseline(tmp_path, *more) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in error
    assert error.startswith("mbmf: ")
    assert not (tmp_path / "run").exists()


def test_a_folder_of_another_run_and_a_damaged_one_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert baseline(tmp_path, "--budget", "256") == 0
    assert baseline(tmp_path, "--budget", "256", "--seed", "4") == 2
    assert "holds another run: seed is 3 there, 4 here" in capsys.readouterr().err.replace("\n", " ")
    assert baseline(tmp_path, "--budget", "100") == 2
    assert "256 steps are spent already" in capsys.readouterr().err
    (tmp_path / "run" / "learner_0002.safetensors").write_bytes(b"short")
    assert baseline(tmp_path, "--budget", "256") == 2
    assert "damaged" in capsys.readouterr().err


def test_a_run_begun_before_there_was_a_setting_goes_on(tmp_path: Path):
    assert baseline(tmp_path, "--budget", "256") == 0
    file = tmp_path / "run" / "run.json"
    state = json.loads(file.read_text())
    del state["identity"]["config"]["trpo"]["gae_lambda"]
    file.write_text(json.dumps(state))
    assert baseline(tmp_path, "--budget", "512") == 0
    assert [row["steps"] for row in result(tmp_path)["curve"]] == [0, 256, 512]


def test_ctrl_c_says_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert baseline(tmp_path, "--budget", "256") == 0
    from mbmf_ros.policy import trpo

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trpo.TrpoLearner, "learn", interrupted)
    assert baseline(tmp_path, "--budget", "900") == 130
    assert "256 steps are kept" in capsys.readouterr().err.replace("\n", " ")


def test_without_stable_baselines_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    assert main(["baseline", "--robot", "hopper", "--folder", str(tmp_path / "run")]) == 2
    assert "pip install" in capsys.readouterr().err
