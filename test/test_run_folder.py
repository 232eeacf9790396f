"""What a run leaves behind for the learner that is started again."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbmf_ros.run_folder import KeptModel, write_whole


def test_a_file_that_cannot_be_written_leaves_nothing_half_done(tmp_path: Path):
    (tmp_path / "model" / "inner").mkdir(parents=True)
    with pytest.raises(OSError, match="model"):
        write_whole(tmp_path / "model", b"weights")
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_only_the_newest_model_of_each_run_is_kept(tmp_path: Path):
    monday, tuesday = KeptModel(tmp_path, "monday"), KeptModel(tmp_path, "tuesday")
    assert monday.recall() is None
    for kept, version in ((monday, 1), (tuesday, 7), (monday, 10), (monday, 11)):
        kept.keep(b"%d" % version, version)
    assert monday.recall() == (b"11", 11)
    assert tuesday.recall() == (b"7", 7)
    assert len(list(tmp_path.iterdir())) == 2
