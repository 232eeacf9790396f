"""One goal of the action `follow_waypoints` while it is being driven."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from builtin_interfaces.msg import Duration
from rclpy.task import Future

from mbmf_ros.action import FollowWaypoints

GRACE_S = 5.0
CANCELLED = -1  # not an error code: the client knows that it cancelled

Result = FollowWaypoints.Result


class Goal:
    """A goal under way.

    Args:
        handle: the action server's.
        started_s: stamp of the state at acceptance [s].
        limit_s: longest time that it may take [s].
        executor: wakes up whoever awaits the end.
    """

    def __init__(self, handle: Any, started_s: float, limit_s: float, executor: Any = None):
        self.handle = handle
        self.started_s = started_s
        self.limit_s = limit_s
        self._result = Result()
        self._ended: Future = Future(executor=executor)

    @property
    def over(self) -> bool:
        """Somebody ended it."""
        return self._ended.done()

    def end(self, code: int, text: str, now_s: float, missed: Sequence[int] = ()) -> None:
        """End the goal for the reason ``code`` at the stamp ``now_s`` [s]; the first reason counts."""
        if not self.over:
            result = Result(error_code=max(code, Result.NONE), error_message=text, missed_waypoints=list(missed))
            result.total_elapsed_time = duration_message(now_s - self.started_s)
            self._result = result
            self._ended.set_result(code)

    async def result(self) -> Any:
        """Wait for the end, then set the goal's final state; returns the action's result."""
        code = await self._ended  # type: ignore[misc]
        if code == Result.NONE:
            self.handle.succeed()
        elif code == CANCELLED:
            self.handle.canceled()
        else:
            self.handle.abort()
        return self._result

    def feedback(self, now_s: float, waypoint: int, remaining_m: float, cross_track_m: float) -> None:
        """Tell the client how far it is."""
        message = FollowWaypoints.Feedback(current_waypoint=waypoint)
        message.distance_remaining, message.cross_track_error = remaining_m, cross_track_m
        message.elapsed_time = duration_message(now_s - self.started_s)
        self.handle.publish_feedback(message)


def duration_message(seconds: float) -> Duration:
    """``seconds`` as a message; never negative."""
    whole, rest = divmod(round(max(seconds, 0.0) * 1e9), 1_000_000_000)
    return Duration(sec=whole, nanosec=rest)
