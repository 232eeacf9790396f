"""Imitation of the planner: steps count, a killed run goes on exactly, and the outcome is chosen by what counts."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quick_imitation import (  # pyright: ignore[reportMissingImports]
    LEARNING,
    QUICK,
    SPEC,
    KilledError,
    begin,
    learnt,
    timeless,
)
from rich.console import Console

from mbmf_ros import terminal
from mbmf_ros.config import override
from mbmf_ros.control.algorithm import resume
from mbmf_ros.control.environments import PaperForward
from mbmf_ros.control.learn_settings import configured
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.errors import DivergenceError, MbmfError
from mbmf_ros.policy import imitation
from mbmf_ros.policy.expert import open_run
from mbmf_ros.policy.files import LEARNING_FILE, POLICY_FILE
from mbmf_ros.policy.imitation import Imitation
from mbmf_ros.policy.io import load_policy
from mbmf_ros.policy.recipes import imitation_recipe
from mbmf_ros.policy.rollouts import Rollout, load_labels, load_rollouts
from mbmf_ros.robots import robot

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learnt(tmp_path_factory.mktemp("expert") / "run")


def weights(imitation: Imitation) -> dict[str, torch.Tensor]:
    assert imitation.policy is not None
    return imitation.policy.state_dict()


def test_stages_and_steps(source: Path, tmp_path: Path):
    run = begin(source, tmp_path)
    assert run.steps == 320
    run.run()
    assert [row["stage"] for row in run.curve] == ["clone", "dagger", "act", "improve", "improve"]
    rollouts = load_rollouts(tmp_path / "rollouts", SPEC)
    assert [rollout.source for rollout in rollouts][:3] == ["expert", "expert", "policy"]
    assert run.curve[0]["steps"] == 320 + sum(map(len, rollouts[:2]))
    assert run.steps == run.curve[-1]["steps"] == 320 + sum(map(len, rollouts))
    assert run.curve[0]["labels"] == sum(map(len, rollouts[:2]))
    assert run.curve[1]["labels"] == sum(map(len, rollouts[:3])) + 7
    assert run.curve[0]["expert_return"] == pytest.approx(np.mean([rollout.value for rollout in rollouts[:2]]))
    assert len(load_labels(tmp_path / "replays" / "01_0000.safetensors", SPEC)) == 7
    learning = TransitionStore.load(tmp_path / LEARNING_FILE, SPEC)
    assert learning.transitions == 320
    assert {episode.source for episode in learning.episodes} == {"random", "on_policy"}
    assert all(episode.rewards is not None for episode in learning.episodes)
    for row in run.curve:
        assert row["return"] == pytest.approx(np.mean(row["returns"]))
    # What was recorded is learnt from.
    assert run.learner.own.transitions == 120 + sum(map(len, rollouts))
    best = max(run.curve[2:], key=lambda row: np.mean(row["rollout_returns"]))
    policy, info = load_policy(tmp_path / POLICY_FILE, SPEC)
    kept, _ = load_policy(tmp_path / f"policy_{best['round'] + 1:02d}.safetensors", SPEC)
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), kept.parameters(), strict=True))
    assert (info.steps, info.task, info.action_repeat) == (run.steps, "forward", 1)
    assert run.outcome == best


def test_of_a_run_whose_rewards_are_not_all_known_nothing_is_kept(source: Path, tmp_path: Path):
    other = learnt(tmp_path / "other")
    for file in sorted(other.glob("random_*.safetensors")):
        store = TransitionStore.load(file, SPEC)
        stripped = [dataclasses.replace(episode, rewards=None, terminated=False) for episode in store.episodes]
        TransitionStore(SPEC, stripped).save(file)
    run = begin(other, tmp_path / "imitation")
    run.folder.mkdir(exist_ok=True)
    (run.folder / LEARNING_FILE).write_bytes(b"of a run that was killed here before it began")
    run.run()
    assert not (run.folder / LEARNING_FILE).exists()


def test_an_expert_that_diverges_at_once_leaves_nothing_to_imitate(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def diverge(*_: Any) -> Any:
        raise DivergenceError("diverged")

    monkeypatch.setattr(PaperForward, "step", diverge)
    with pytest.raises(MbmfError, match="nothing to imitate: the simulation of 'hopper' diverged at the first step"):
        begin(source, tmp_path).run()


def test_finalists_act_again_and_the_best_is_the_result(source: Path, tmp_path: Path):
    config = override(QUICK, {"improvement": {"rounds": 3, "finalists": 2, "final_episodes": 3}})
    run = begin(source, tmp_path, config)
    run.run()
    last = run.curve[-1]
    assert [row["stage"] for row in run.curve[2:]] == ["act", *["improve"] * 3, "choose"]
    means = {row["round"]: np.mean(row["rollout_returns"]) for row in run.curve[2:-1]}
    assert last["chosen"] in [each["round"] for each in last["finalists"]]
    assert [each["round"] for each in last["finalists"]] == sorted(means, key=lambda number: -means[number])[:2]
    made = load_rollouts(tmp_path / "rollouts", SPEC)[-6:]
    returns = [value for each in last["finalists"] for value in each["rollout_returns"]]
    assert returns == [rollout.value for rollout in made]
    assert last["steps"] == run.curve[-2]["steps"] + sum(map(len, made))  # they count
    best = max(last["finalists"], key=lambda each: np.mean(each["rollout_returns"]))
    assert last["chosen"] == best["round"]
    kept, _ = load_policy(tmp_path / f"policy_{best['round'] + 1:02d}.safetensors", SPEC)
    policy, _ = load_policy(tmp_path / POLICY_FILE, SPEC)
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), kept.parameters(), strict=True))
    assert run.outcome == last


def test_a_policy_that_improvement_spoils_is_the_result_as_it_was(source: Path, tmp_path: Path):
    harm = {"rounds": 2, "updates": 20, "learning_rate": 1.0, "max_gradient": 1e6}
    run = begin(source, tmp_path, override(QUICK, {"clone": {"min_updates": 300}, "improvement": harm}))
    run.run()
    acted, *improved = (np.mean(row["rollout_returns"]) for row in run.curve[2:])
    assert acted > max(improved)
    assert run.outcome["stage"] == "act"
    before, after = (load_policy(tmp_path / name, SPEC)[0] for name in ("policy_02.safetensors", POLICY_FILE))
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_one_finalist_need_not_act_again(source: Path, tmp_path: Path):
    run = begin(source, tmp_path, override(QUICK, {"rounds": 0, "improvement": {"rounds": 2, "finalists": 1}}))
    run.run()
    assert [row["stage"] for row in run.curve] == ["clone", "act", "improve", "improve"]


def test_the_labels_of_a_rollout_are_the_experts_and_without_noise(source: Path, tmp_path: Path):
    run = begin(source, tmp_path, override(QUICK, {"rounds": 0, "action_noise": 0.3, "improvement": {"rounds": 0}}))
    run.run()
    for rollout in load_rollouts(tmp_path / "rollouts", SPEC):
        noise = (rollout.actions - rollout.labels)[np.abs(rollout.actions).max(1) < 1]
        assert 0.1 < noise.std() < 0.5


@pytest.mark.parametrize("killed_after", [1, 2, 3, 4, 5])
def test_a_killed_run_goes_on_exactly(source: Path, tmp_path: Path, killed_after: int):
    config = override(QUICK, {"improvement": {"finalists": 2, "final_episodes": 1}})
    whole = begin(source, tmp_path / "whole", config)
    whole.run()

    def die(row: dict) -> None:
        if row["round"] == killed_after - 1:
            raise KilledError

    with pytest.raises(KilledError):
        begin(source, tmp_path / "cut", config).run(die)
    torn = tmp_path / "cut" / "rollouts" / f"{killed_after:02d}_0000.safetensors.partial"
    torn.write_bytes(b"torn")
    again = begin(source, tmp_path / "cut", config)
    assert len(again.curve) == killed_after
    again.run()
    assert timeless(again.curve) == timeless(whole.curve)
    assert all(torch.equal(weights(again)[name], weights(whole)[name]) for name in weights(whole))


def test_a_run_killed_while_it_chooses_goes_on_exactly(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = override(QUICK, {"rounds": 0, "improvement": {"finalists": 2, "final_episodes": 2}})
    whole = begin(source, tmp_path / "whole", config)
    whole.run()
    acted = imitation.recorded

    def die(path: Path, *args: Any) -> Rollout:
        if path.name == "04_0003.safetensors":
            raise KilledError
        return acted(path, *args)

    with monkeypatch.context() as patched:
        patched.setattr(imitation, "recorded", die)
        with pytest.raises(KilledError):
            begin(source, tmp_path / "cut", config).run()
    begin(source, tmp_path / "cut", config).run()
    again = begin(source, tmp_path / "cut", config)
    assert timeless(again.curve) == timeless(whole.curve)
    again.run()  # nothing is left to do
    assert len(again.curve) == 5
    one, other = (load_policy(tmp_path / name / POLICY_FILE, SPEC)[0] for name in ("whole", "cut"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_how_many_processes_record_makes_no_difference(source: Path, tmp_path: Path):
    config = override(QUICK, {"improvement": {"rounds": 0}})
    one, two = begin(source, tmp_path / "one", config), begin(source, tmp_path / "two", config, workers=2)
    one.run()
    two.run()
    assert timeless(one.curve) == timeless(two.curve)


def test_the_papers_dagger_labels_by_the_planner_alone(source: Path, tmp_path: Path):
    paper = imitation_recipe(SPEC, "paper", {})
    assert (paper.expert_rollouts, paper.rounds, paper.round_rollouts, paper.clone.epochs) == (60, 5, 5, 200)
    assert (paper.clone.batch_size, paper.clone.learning_rate, paper.initial_std) == (500, 1e-4, 1.0)
    few = override(paper, {"expert_rollouts": 2, "rounds": 1, "round_rollouts": 1, "clone": {"epochs": 1}})
    run = begin(source, tmp_path, few)
    run.run()
    assert [row["stage"] for row in run.curve] == ["clone", "dagger"]
    assert weights(run)["log_std"] == pytest.approx(0.0)
    assert run.outcome == run.curve[-1]


def test_the_expert_is_evaluated_as_its_run_was(tmp_path: Path):
    settings = {"evaluation_settings": {"iterations": 3}, "evaluation_replan_every": 2, "replan_every": 4}
    resume(SPEC, "forward", configured(LEARNING, settings), 0, tmp_path).run(260)
    opened = open_run(tmp_path)
    assert (opened.config.evaluation_settings, opened.config.evaluation_replan_every) == ({"iterations": 3}, 2)
    controller = opened.controller(0, evaluating=True)
    assert (controller.config.replan_every, controller.planner.config.iterations) == (2, 3)
    state = json.loads((tmp_path / "run.json").read_text())
    del state["evaluation"]  # as it was kept once: a run that is none of the tuned recipe's
    (tmp_path / "run.json").write_text(json.dumps(state))
    assert open_run(tmp_path).config.evaluation_settings == {}


def test_what_the_expert_cannot_do_is_told_at_once(tmp_path: Path):
    paper = configured(LEARNING, {"dynamics": {"profile": "paper"}, "first": {"symmetries": False}})
    resume(SPEC, "forward", paper, 0, tmp_path / "paper").run(260)
    with pytest.raises(MbmfError, match=r"guided=false improvement.rounds=0"):
        begin(tmp_path / "paper", tmp_path / "out")
    shooting = configured(LEARNING, {"planner": "random_shooting"})
    resume(SPEC, "forward", shooting, 0, tmp_path / "shooting").run(260)
    with pytest.raises(MbmfError, match="does not start from a plan"):
        begin(tmp_path / "shooting", tmp_path / "out")
    resume(SPEC, "forward", LEARNING, 0, tmp_path / "random").run(200)
    with pytest.raises(MbmfError, match="larger --budget"):
        open_run(tmp_path / "random")
    assert not (tmp_path / "out").exists()


def test_lost_recordings_are_told(source: Path, tmp_path: Path):
    config = override(QUICK, {"rounds": 2, "improvement": {"rounds": 0}})

    def die(row: dict) -> None:
        if row["round"] == 1:
            raise KilledError

    with pytest.raises(KilledError):
        begin(source, tmp_path, config).run(die)
    lost = [tmp_path / name / "01_0000.safetensors" for name in ("rollouts", "replays")]
    for file, what in zip(lost, ("steps", "labels"), strict=True):
        file.rename(tmp_path / "elsewhere")
        with pytest.raises(MbmfError, match=rf"expected \d+ {what}, found \d+; put the files"):
            begin(source, tmp_path, config)
        (tmp_path / "elsewhere").rename(file)
    begin(source, tmp_path, config).run()
    (tmp_path / "replays" / "01_0000.safetensors").unlink()  # nothing is learnt from it any more
    assert len(begin(source, tmp_path, config).curve) == 3


def test_what_is_under_way_is_said(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    screen = io.StringIO()
    monkeypatch.setattr(terminal, "CONSOLE", Console(file=screen, force_terminal=True, force_interactive=True))
    begin(source, tmp_path, override(QUICK, {"improvement": {"finalists": 2, "final_episodes": 1}})).run()
    said = screen.getvalue()
    for what in (
        *("0 of 5: recording", "0 of 5: cloning", "1 of 5: evaluating", "2 of 5: the policy acts"),
        *("3 of 5: improving the policy in the model", "4 of 5: training the model", "5 of 5: finalist 2 of 2 acts"),
    ):
        assert f"round {what}" in said


def test_another_run_a_damaged_one_and_a_missing_expert_are_told(source: Path, tmp_path: Path):
    config = override(QUICK, {"rounds": 0, "improvement": {"rounds": 0}})
    begin(source, tmp_path, config).run()
    with pytest.raises(MbmfError, match=r"config.action_noise is 0.05 there, 0.1 here; choose another with --folder"):
        begin(source, tmp_path, override(config, {"action_noise": 0.1}))
    state = tmp_path / "run.json"
    state.write_text(state.read_text()[:-9])
    with pytest.raises(MbmfError, match="is damaged"):
        begin(source, tmp_path, config)
    with pytest.raises(MbmfError, match="make one with `mbmf learn`"):
        open_run(tmp_path / "nothing")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text(json.dumps({"identity": {"robot": "ant"}}))
    with pytest.raises(MbmfError, match="damaged"):
        open_run(tmp_path / "broken")
    with pytest.raises(MbmfError, match="the paper has no robot 'ant'"):
        imitation_recipe(robot("ant"), "paper", {})
    with pytest.raises(MbmfError, match="unknown preset"):
        imitation_recipe(SPEC, "papers", {})
    with pytest.raises(MbmfError, match="expert_rollouts: expected a number from 1"):
        imitation_recipe(SPEC, "default", {"expert_rollouts": 0})
