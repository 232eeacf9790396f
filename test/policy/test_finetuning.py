"""``mbmf finetune`` and robots of a user's own: defaults, what is said, and settings beside the robot's file."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path

import pytest
from policy_sources import SPENT, make_source  # pyright: ignore[reportMissingImports]
from rich.console import Console

from mbmf_ros import terminal
from mbmf_ros.cli import main
from mbmf_ros.commands import model_free
from mbmf_ros.commands.model_free import handed_over
from mbmf_ros.errors import MbmfError
from mbmf_ros.policy.io import save_policy
from mbmf_ros.policy.settings import baseline_settings
from mbmf_ros.robots import registry, robot

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-robot.md"
LEARN = (
    *("random_episode_steps=100", "iteration_steps=50", "planner_settings.batch_size=8", "first.min_updates=20"),
    *("planner_settings.time_steps=3", "planner_settings.iterations=1", "refit.min_updates=20", "first.epochs=1"),
    *("refit.epochs=1", "dynamics.hidden=16", "random_steps=300"),
)
IMITATE = (
    *("expert_rollouts=1", "rounds=1", "round_steps=10", "round_replays=4", "clone.min_updates=20"),
    *("improvement.rounds=1", "improvement.updates=3", "improvement.batch_size=8", "improvement.real_steps=5"),
)
TRPO = (
    *("evaluate_every=256", "episodes=1", "trpo.batch=128", "trpo.hidden=8", "trpo.critic_updates=2"),
    *("trpo.cg_steps=5", "handover.first_batch=256", "handover.std_grid=[0.1]", "handover.std_episodes=1"),
    "handover.warm_up_rounds=3",
)


def seeded(folder: Path, seed: int) -> Path:
    """A source whose file names the seed of its imitation."""
    source = make_source(folder)
    extra = {"by": "mbmf imitate", "identity": {"seed": seed}}
    save_policy(folder / "policy.safetensors", source.policy, dataclasses.replace(source.info, extra=extra))
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model_free, "FINAL_EPISODES", 1)  # quick
    return tmp_path


def test_the_seed_is_the_policys_and_the_message_names_the_way_out(place: Path, capsys: pytest.CaptureFixture[str]):
    settings = ["--set", *TRPO, "--budget", str(SPENT + 10), "--json", "out.json"]
    for seed in (7, 8):
        assert main(["finetune", "--source", str(seeded(place / f"source_{seed}", seed)), *settings]) == 0
        assert json.loads(Path("out.json").read_text())["seed"] == seed
        assert (place / "runs" / f"finetune_hopper_forward_trpo_default_{seed}" / "run.json").is_file()
    assert main(["finetune", "--source", "source_8", "--seed", "9", *settings]) == 0
    assert json.loads(Path("out.json").read_text())["seed"] == 9
    make_source(place / "other", rollouts=4)
    capsys.readouterr()
    assert main(["finetune", "--source", "other", "--seed", "9", *settings]) == 2
    assert "choose another with --folder" in capsys.readouterr().err


def test_what_the_hand_over_came_to_is_said(place: Path, monkeypatch: pytest.MonkeyPatch):
    make_source(place / "source")
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, force_interactive=True, width=200)
    for module in (terminal, model_free):
        monkeypatch.setattr(module, "CONSOLE", console)
    assert main(["finetune", "--source", "source", "--set", *TRPO, "--budget", str(SPENT + 4000)]) == 0
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "evaluating the last policy and the best" in said
    assert said.count("hand-over: first standard deviation 0.1; the critic explains") == 1


def test_a_critic_that_is_worse_than_a_constant_is_no_secret():
    notes = {"std": 0.08, "explained_variance": [-22.0, -0.9, -1.1]}
    assert "explains -0.90 of the variance" in handed_over(notes)
    assert "less than a constant would" in handed_over(notes)
    assert "constant" not in handed_over({"std": 0.1, "explained_variance": [0.4]})
    assert handed_over({"std": 0.1}) == "hand-over: first standard deviation 0.1"


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process: robots of files are not known."""
    monkeypatch.setattr(registry, "_FILES", {})
    monkeypatch.setattr(registry, "_OWN", {})
    registry._load.cache_clear()


def test_a_robot_of_ones_own(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    found = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found
    Path("crawler.py").write_text(found.group(1))
    Path("crawler.policy.yaml").write_text("imitate:\n  policy:\n    hidden: 8\nfinetune:\n  trpo:\n    hidden: 7\n")
    forget(monkeypatch)
    learn = ["learn", "--robot", "crawler.py", "--budget", "350", "--episodes", "1", "--folder", "run", "--set", *LEARN]
    assert main(learn) == 0
    imitate = ["imitate", "--source", "run", "--workers", "1", "--folder", "imitated", "--set", *IMITATE]
    finetune = ["finetune", "--source", "imitated", "--folder", "tuned", "--budget", "6000", "--json", "out.json"]
    finetune += ["--set", *(text for text in TRPO if not text.startswith("trpo.hidden"))]
    for command in (imitate, finetune):
        forget(monkeypatch)
        capsys.readouterr()
        assert main(command) == 2
        assert "if 'crawler' is a robot of yours, add --robot FILE.py" in capsys.readouterr().err
        assert main([*command, "--robot", "crawler.py"]) == 0
    result = json.loads(Path("out.json").read_text())
    assert result["robot"] == "crawler"
    assert result["config"]["trpo"]["hidden"] == 7
    assert result["steps"] > result["source_steps"]
    forget(monkeypatch)
    small = ["--set", *(text for text in TRPO if not text.startswith("handover"))]
    assert main(["baseline", "--robot", "crawler.py", "--budget", "300", *small]) == 0


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("finetun:\n  trpo:\n    batch: 1024\n", r"mine.policy.yaml: unknown section 'finetun' .*'finetune'"),
        ("baseline:\n  trpo:\n    bach: 1024\n", r"mine.policy.yaml: unknown key in baseline.trpo 'bach'"),
        ("baseline: [1]\n", r"mine.policy.yaml: baseline: expected a mapping of keys to values, got list"),
    ],
)
def test_what_is_wrong_in_a_robots_settings_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, written: str, expected: str
):
    forget(monkeypatch)
    Path("mine.py").write_text(
        "import dataclasses\nfrom mbmf_ros.robots.ant import ANT\nSPECS = (dataclasses.replace(ANT, name='my_ant'),)\n"
    )
    Path("mine.policy.yaml").write_text(written)
    with pytest.raises(MbmfError, match=expected):
        baseline_settings(robot("mine.py"))
    registry._load.cache_clear()
