"""``mbmf follow``, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbmf_ros.cli import main


def test_a_path_that_the_robot_cannot_walk_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "paths.json").write_text('{"ahead": [[1.0, 0.0]], "aside": [[1.0, 0.0], [2.0, 1.0]]}')
    command = ["follow", "--robot", "half_cheetah_v5", "--json", str(tmp_path / "out.json")]
    assert main([*command, "--paths", str(tmp_path / "paths.json")]) == 2
    error = capsys.readouterr().err.replace("\n", " ")
    assert "path 'aside': half_cheetah_v5 moves along the x axis only" in error
    assert "mbmf paths --robot half_cheetah_v5" in error
    assert not (tmp_path / "out.json").exists()
