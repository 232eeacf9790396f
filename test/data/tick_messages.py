"""RobotState messages that tell where they belong, and what may be learnt from them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mbmf_ros.data.bag import STATE_TYPE, state_types
from mbmf_ros.data.log import StateLog
from mbmf_ros.data.store import TransitionStore
from mbmf_ros.robots import robot

SPEC = robot("ant")
TYPES = state_types()


def code(episode: int, tick: int) -> float:
    """A number that tells which tick of which episode something belongs to."""
    return 1000.0 * episode + tick


def state(
    episode: int, tick: int, robot_name: str = "ant", joints: int = 8, x: float | None = None, late_s: float = 0.0
) -> Any:
    """A RobotState whose position is its code, and whose action is the code of its own tick, scaled into [-1, 1]."""
    types: dict[str, Any] = dict(TYPES.types)
    point, quaternion = types["geometry_msgs/msg/Point"], types["geometry_msgs/msg/Quaternion"]
    vector, twist = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Twist"]
    nanoseconds = round((tick * SPEC.dt_s + late_s) * 1e9)
    stamp = types["builtin_interfaces/msg/Time"](*divmod(nanoseconds, 10**9))
    here = code(episode, tick)
    return types[STATE_TYPE](
        header=types["std_msgs/msg/Header"](stamp, "odom"),
        robot=robot_name,
        episode=episode,
        tick=tick,
        pose=types["geometry_msgs/msg/Pose"](point(here if x is None else x, 0.0, 0.5), quaternion(0.0, 0.0, 0.0, 1.0)),
        twist=twist(vector(0.0, 0.0, 0.0), vector(0.0, 0.0, 0.0)),
        joint_position=np.linspace(0.0, 1.0, joints),
        joint_velocity=np.linspace(1.0, 2.0, joints),
        applied_action=np.full(8 if tick else 0, here / 1e6),
        action_source=1 if tick else 0,
        pending_action=np.empty(0),
        status=0,
    )


def still(episode: int, tick: int) -> Any:
    """The same of a robot to which the safe action was applied."""
    message = state(episode, tick)
    message.applied_action = np.zeros(8 if tick else 0)
    return message


def serialised(message: object) -> bytes:
    return bytes(TYPES.serialize_cdr(message, STATE_TYPE))


def write(folder: Path, messages: Iterable[object], chunk: int = 7) -> Path:
    log = StateLog(folder, "/state")
    for index, message in enumerate(messages):
        log.write(message if isinstance(message, bytes) else serialised(message))
        if index % chunk == chunk - 1:
            log.flush()
    log.close()
    return folder


def ticks(episode: int, count: int, first: int = 0) -> list[Any]:
    return [state(episode, tick) for tick in range(first, first + count)]


def check_pairs(store: TransitionStore) -> set[tuple[float, float]]:
    """Every transition leads from one tick to the next under the action of that next one; returns the codes."""
    pairs = set()
    for episode in store.episodes:
        x = episode.measurements[:, 0]
        np.testing.assert_array_equal(np.diff(x), 1.0)
        np.testing.assert_allclose(episode.actions, np.repeat(x[1:, None] / 1e6, SPEC.nu, axis=1), rtol=1e-12)
        pairs |= set(zip(x[:-1].tolist(), x[1:].tolist(), strict=True))
    return pairs
