"""The recorder goes on whatever the disk does, and its log goes on as soon as it can."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tick_messages import SPEC, check_pairs, serialised, state, still

from mbmf_ros.data import mcap, recorder
from mbmf_ros.data.episodes import PIECE_STEPS
from mbmf_ros.data.motion import moved, moving
from mbmf_ros.data.read_log import read_log
from mbmf_ros.data.recorder import Recorder
from mbmf_ros.dynamics.holdout import hold_out


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every message is flushed, and every one is a reason to try again."""
    monkeypatch.setattr("mbmf_ros.data.log.FLUSH_PERIOD_S", 0.0)
    monkeypatch.setattr(recorder, "RETRY_PERIOD_S", 0.0)


def take(log: Recorder, episode: int, first: int, end: int) -> None:
    for tick in range(first, end):
        assert log.take(serialised(state(episode, tick)), state(episode, tick))
        log.flush_if_due()


def fill_disk(monkeypatch: pytest.MonkeyPatch, free: int) -> list[int]:
    """Writes fail after ``free`` more bytes, in the middle of a write; returns what is left, to be changed."""
    left = [free]
    pwrite = os.pwrite

    def write(file: int, data: memoryview, offset: int) -> int:
        size = os.fstat(file).st_size
        if offset < size:  # overwriting needs no space
            data = data[: size - offset]
        elif not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        else:
            data = data[: left[0]]
            left[0] -= len(data)
        return pwrite(file, data, offset)

    monkeypatch.setattr(mcap.os, "pwrite", write)
    return left


def test_a_full_disk_stops_the_log_but_not_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = Recorder(SPEC, tmp_path / "log", "/state", 1000)
    take(log, 1, 0, 30)
    fill_disk(monkeypatch, free=700)
    take(log, 1, 30, 50)
    assert "No space left" in log.error
    assert "choose another log_dir" in log.error
    assert log.ticks.transitions == 49
    assert log.logged + log.waiting == 50
    log.close()
    assert log.error
    assert log.logged + log.given_up == 50
    assert log.logged in (30, 31)
    assert read_log(tmp_path / "log", SPEC).messages == log.logged
    assert mcap.is_whole(tmp_path / "log" / "log_0.mcap")


def test_when_there_is_space_again_nothing_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = Recorder(SPEC, tmp_path / "log", "/state", 1000)
    take(log, 1, 0, 30)
    left = fill_disk(monkeypatch, free=700)
    for first in (30, 50, 70):
        take(log, 1, first, first + 20)
        assert log.error
        left[0] = 3000  # for a few of them
    left[0] = 10**9
    take(log, 1, 90, 100)
    assert log.error == ""
    assert (log.logged, log.waiting, log.given_up) == (100, 0, 0)
    assert any("logging again" in note for note in log.notes)
    log.close()
    assert check_pairs(read_log(tmp_path / "log", SPEC).store) == {(1000.0 + t, 1001.0 + t) for t in range(99)}
    assert [file.name for file in (tmp_path / "log").glob("*.mcap")] == ["log_0.mcap"]


def test_what_waits_for_the_disk_is_bounded_and_the_newest_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recorder, "BACKLOG_BYTES", 20 * len(serialised(state(1, 1))))
    log = Recorder(SPEC, tmp_path / "log", "/state", 1000)
    take(log, 1, 0, 10)
    left = fill_disk(monkeypatch, free=0)
    take(log, 1, 10, 60)
    assert 18 <= log.waiting <= 21
    left[0] = 10**9
    take(log, 1, 60, 70)
    assert log.given_up == 70 - log.logged >= 25
    assert any(f"{log.given_up} messages were given up" in note for note in log.notes)
    log.close()
    assert max(check_pairs(read_log(tmp_path / "log", SPEC).store)) == (1068.0, 1069.0)


def test_a_folder_that_cannot_be_used_yet_is_tried_again(tmp_path: Path):
    (tmp_path / "mount").write_text("not a folder")
    log = Recorder(SPEC, tmp_path / "mount" / "log", "/state", 1000)
    take(log, 1, 0, 5)
    assert "not logging" in log.error
    assert log.ticks.transitions == 4
    (tmp_path / "mount").unlink()
    take(log, 1, 5, 8)
    assert log.error == ""
    log.close()
    assert read_log(tmp_path / "mount" / "log", SPEC).store.transitions == 7


def test_a_log_that_somebody_deletes_begins_anew(tmp_path: Path):
    log = Recorder(SPEC, tmp_path / "log", "/state", 1000)
    take(log, 1, 0, 5)
    shutil.rmtree(tmp_path / "log")
    take(log, 1, 5, 9)
    assert log.error == ""
    log.close()
    assert max(check_pairs(read_log(tmp_path / "log", SPEC).store)) == (1007.0, 1008.0)
    assert log.ticks.transitions == 8


def test_a_file_that_may_not_grow_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = Recorder(SPEC, tmp_path / "log", "/state", 1000)
    take(log, 1, 0, 5)
    pwrite = os.pwrite

    def write(file: int, data: memoryview, offset: int) -> int:
        if offset + len(data) > 8000:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return pwrite(file, data, offset)

    monkeypatch.setattr(mcap.os, "pwrite", write)
    take(log, 1, 5, 40)
    assert log.error == ""
    log.close()
    assert check_pairs(read_log(tmp_path / "log", SPEC).store) == {(1000.0 + t, 1001.0 + t) for t in range(39)}
    assert len(list((tmp_path / "log").glob("*.mcap"))) > 1


def test_a_restarted_recorder_takes_over_what_the_folder_holds(tmp_path: Path):
    def record(episode: int) -> Recorder:
        recorder = Recorder(SPEC, tmp_path / "log", "/state", 1000)
        for tick in range(10):
            recorder.take(serialised(state(episode, tick)), state(episode, tick))
        recorder.close()
        return recorder

    _, _, last = (record(episode) for episode in range(3))
    assert last.ticks.transitions == last.logged - 1 == 9
    assert len(check_pairs(last.ticks.store())) == 27
    assert sorted(file.name for file in (tmp_path / "log").glob("*.mcap")) == ["log_0.mcap", "log_1.mcap", "log_2.mcap"]


def split(log: Recorder) -> tuple[set[float], set[float]]:
    """The ticks that are trained on, and those that are held out."""
    train, held = hold_out(moving(log.ticks.store()), 0.1)
    ticks = [{m[0] for episode in part.store.episodes for m in episode.measurements[:-1]} for part in (train, held)]
    return ticks[0], ticks[1]


@pytest.mark.parametrize("max_bytes", [0, 250_000], ids=["old files are left", "old files are dropped"])
def test_what_is_held_out_is_the_same_from_wherever_a_restart_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_bytes: int
):
    monkeypatch.setattr("mbmf_ros.data.log._MOST_BYTES", 30_000)  # some 70 states in each file
    log = Recorder(SPEC, tmp_path / "log", "/state", 10_000, max_bytes)
    take(log, 1, 0, 3137)
    log.close()
    train, held = split(log)
    kept = 10_000 if max_bytes else 1500
    again = Recorder(SPEC, tmp_path / "log", "/state", kept, max_bytes)
    first = again.ticks.store().episodes[0].measurements[0, 0] - 1000
    assert first > PIECE_STEPS
    assert first % PIECE_STEPS, "it was to begin in the middle of a piece"
    train_again, held_again = split(again)
    assert train_again <= train
    assert held_again <= held
    assert len(held_again) >= 30
    take(again, 1, 3137, 3400)  # without a pause
    again.close()
    third = Recorder(SPEC, tmp_path / "log", "/state", kept // 2, max_bytes)
    train_third, held_third = split(third)
    train_again, held_again = split(again)
    third.close()
    assert not (train_third & (held | held_again))
    assert not (held_third & (train | train_again))
    assert max(train_third | held_third) == 4398.0


def test_a_restart_reads_back_to_motion_from_before_a_long_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mbmf_ros.data.log._MOST_BYTES", 100_000)  # some 240 states in each file
    log = Recorder(SPEC, tmp_path / "log", "/state", 600)
    take(log, 1, 0, 601)
    for tick in range(601, 2500):
        log.take(serialised(still(1, tick)), still(1, tick))
        log.flush_if_due()
    log.close()
    assert moved(log.ticks.store()) == 600
    again = Recorder(SPEC, tmp_path / "log", "/state", 600)
    again.close()
    assert moved(again.ticks.store()) == 600
    contents = read_log(tmp_path / "log", SPEC, 600)
    assert contents.messages < 1000, "what rests is not even read"
    for number in range(4):
        (tmp_path / "log" / f"log_{number}.mcap").unlink()
    assert moved(read_log(tmp_path / "log", SPEC, 600).store) == 0, "no motion is left, and that is no error"


FULL_DISK = """
import json, sys
from pathlib import Path
from mbmf_ros.data import log, recorder
from tick_messages import SPEC, serialised, state

log.FLUSH_PERIOD_S = recorder.RETRY_PERIOD_S = 0.0
disk = Path(sys.argv[1])
record = recorder.Recorder(SPEC, disk / "log", "/state", 10_000)
ballast, told, tick = disk / "ballast", [], 0
ballast.write_bytes(bytes(300_000))

def take(until):
    global tick
    while not until() and tick < 9000:
        record.take(serialised(state(1, tick)), state(1, tick))
        record.flush_if_due()
        tick += 1

take(lambda: record.error)
told.append(record.error)
for _ in range(50):
    record.take(serialised(state(1, tick)), state(1, tick))
    tick += 1
waiting = record.waiting
ballast.unlink()
take(lambda: not record.error)
record.close()
found = recorder.read_log(disk / "log", SPEC)
facts = {"told": told, "error": record.error, "waiting": waiting, "ticks": tick, "logged": found.messages}
print(json.dumps(facts | {"transitions": found.store.transitions, "learnt": record.ticks.transitions}))
"""


def test_a_disk_that_is_really_full(tmp_path: Path):
    """A small disk in memory, which the kernel mounts for this one program."""
    alone = ["unshare", "--map-root-user", "--mount"]
    mount = f'mount -t tmpfs -o size=600k tmpfs {tmp_path} && exec "$@"'
    inside = [*alone, "sh", "-c", mount, "sh"]
    if not shutil.which("unshare") or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let a program mount a disk of its own")
    command = [*inside, sys.executable, "-c", FULL_DISK, str(tmp_path)]
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(recorder.__file__).parents[2])])
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stdout)
    assert "No space left on device" in facts["told"][0]
    assert facts["waiting"] >= 50
    assert facts["error"] == ""
    assert facts["logged"] == facts["ticks"]
    assert facts["transitions"] == facts["learnt"] == facts["ticks"] - 1
