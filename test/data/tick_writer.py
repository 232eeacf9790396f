"""A program that records a robot's states at its control rate until it is killed: `tick_writer.py FOLDER EPISODE`.

It is the dynamics learner without ROS: the same recorder, fed at the same rate and flushed by the same timer. For every
state taken it prints the tick and the monotonic time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tick_messages import SPEC, serialised, state

from mbmf_ros.data.recorder import Recorder

TIMER_S = 0.25  # as in the node


def main(folder: Path, episode: int) -> None:
    recorder = Recorder(SPEC, folder, "/state", 100_000, max_bytes=20_000_000)
    states = [state(episode, tick) for tick in range(2000)]
    data = [serialised(one) for one in states]
    start = flushed_at = time.monotonic()
    print(f"begins with {recorder.ticks.store().transitions}", flush=True)
    for tick, (one, bytes_) in enumerate(zip(states, data, strict=True)):
        time.sleep(max(0.0, start + tick * SPEC.dt_s - time.monotonic()))  # the robot's own pace
        if not recorder.take(bytes_, one) or recorder.error:
            raise SystemExit(recorder.ticks.problem + recorder.error)
        print(tick, time.monotonic(), flush=True)
        if time.monotonic() - flushed_at >= TIMER_S:
            flushed_at = time.monotonic()
            recorder.flush_if_due()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
