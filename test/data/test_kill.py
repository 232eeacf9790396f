"""`kill -9` at random moments: at most one second of states is lost, and the next start goes on in the same folder."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader
from tick_messages import SPEC, check_pairs, code

import mbmf_ros
from mbmf_ros.data.read_log import read_log
from mbmf_ros.errors import MbmfError

WRITER = Path(__file__).with_name("tick_writer.py")
PATH = os.pathsep.join([str(WRITER.parent), str(Path(mbmf_ros.__file__).parents[1])])
KILLS = 5


def killed(folder: Path, episode: int, ticks: int, delay_s: float) -> tuple[int, dict[int, float], float]:
    """Kill a writer a moment after it has taken so many ticks.

    Returns:
        Transitions it found, the time when it took each tick, and the time of its death [s, monotonic].
    """
    command = [sys.executable, str(WRITER), str(folder), str(episode)]
    environment = os.environ | {"PYTHONPATH": PATH}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        found = int(writer.stdout.readline().split()[-1])
        lines = [writer.stdout.readline() for _ in range(ticks)]
        until = time.monotonic() + delay_s  # anywhere within a control step, the middle of a write included
        while time.monotonic() < until:
            pass
        died_at = time.monotonic()
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.read().splitlines()
    assert writer.returncode == -signal.SIGKILL
    return found, {int(tick): float(at) for tick, at in map(str.split, lines)}, died_at


def pairs_in(folder: Path) -> set[tuple[float, float]]:
    """Transitions that are read, by their codes; none if no state got that far."""
    try:
        return check_pairs(read_log(folder, SPEC).store)
    except MbmfError as error:
        if "found none" in str(error):
            return set()
        raise


@pytest.mark.parametrize("seed", [1, 2])
def test_at_most_one_second_is_lost_and_the_next_start_goes_on(tmp_path: Path, seed: int):
    draw = random.Random(seed)
    folder, kept, lost = tmp_path / "log", set[tuple[float, float]](), list[float]()
    for episode in range(1, KILLS + 1):
        found, taken, died_at = killed(folder, episode, draw.randint(1, 40), draw.uniform(0.0, 2 * SPEC.dt_s))
        assert found == len(kept)  # what earlier ones left is learnt from
        pairs = pairs_in(folder)
        assert pairs >= kept
        here = {pair for pair in pairs - kept if pair[0] >= code(episode, 0)}
        assert here == pairs - kept
        last = round(max(here)[1] - code(episode, 0)) if here else 0
        assert here == {(code(episode, tick), code(episode, tick + 1)) for tick in range(last)}
        safe = [tick for tick, at in taken.items() if at < died_at - 1.0]
        assert last >= max(safe, default=0)
        lost.append(max(taken) - last)
        kept = pairs
    assert sorted(file.name for file in folder.glob("*.mcap")) == [f"log_{number}.mcap" for number in range(KILLS)]
    with Reader(folder) as reader:  # others read what the last start has mended, the files of all others included
        assert len(list(reader.messages())) >= len(kept)
    print(f"states lost: {lost}")


def test_killed_while_writing_without_a_pause(tmp_path: Path):
    """Thousands of writes a second, so that death comes in the middle of one now and then."""
    program = """
import sys
from pathlib import Path
from mbmf_ros.data import log
from tick_messages import serialised, state
log.FLUSH_PERIOD_S = 0.0
data = [serialised(state(int(sys.argv[2]), tick)) for tick in range(2000)]
record = log.StateLog(Path(sys.argv[1]), "/state", 3_000_000)
while True:
    for one in data:
        record.write(one)
    print("round", flush=True)
"""
    draw, folder, kept = random.Random(0), tmp_path / "log", 0
    for episode in range(1, 9):
        command = [sys.executable, "-c", program, str(folder), str(episode)]
        with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": PATH}, stdout=subprocess.PIPE) as writer:
            assert writer.stdout
            writer.stdout.readline()
            until = time.monotonic() + draw.uniform(0.0, 0.05)
            while time.monotonic() < until:
                pass
            writer.send_signal(signal.SIGKILL)
        contents = read_log(folder, SPEC)
        check_pairs(contents.store)
        assert contents.rejected == 0
        assert contents.messages - kept >= 2000 or contents.store.transitions > 3000  # the ring may have dropped some
        kept = contents.messages
