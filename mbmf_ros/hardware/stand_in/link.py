"""What lies between a computer and a robot: delay and loss."""

from __future__ import annotations

from collections import deque

import numpy as np

from mbmf_ros.errors import MbmfError


class DelayLine:
    """Hands numbers on a fixed time after they were put in.

    Args:
        delay_s: how long it takes [s].

    Raises:
        MbmfError: a negative delay.
    """

    def __init__(self, delay_s: float):
        if not delay_s >= 0:
            raise MbmfError(f"delay: expected seconds of at least 0, got {delay_s}")
        self.delay_s = delay_s
        self._waiting: deque[tuple[float, np.ndarray]] = deque()

    def put(self, value: np.ndarray, now_s: float) -> None:
        """Put ``value`` in at ``now_s``, which never runs backwards."""
        self._waiting.append((now_s + self.delay_s, value))

    def take(self, now_s: float) -> tuple[float, np.ndarray] | None:
        """The newest value that has come through by ``now_s``, and when it did [s]; None where there is no new one."""
        newest = None
        while self._waiting and self._waiting[0][0] <= now_s + 1e-9:  # sums of periods are not exact
            newest = self._waiting.popleft()
        return newest

    def clear(self) -> None:
        """Lose what is on its way."""
        self._waiting.clear()


class Loss:
    """Loses messages at random, each by itself.

    Args:
        share: of the messages, 0 to 1.
        rng: decides.

    Raises:
        MbmfError: a share outside 0 to 1.
    """

    def __init__(self, share: float, rng: np.random.Generator):
        if not 0 <= share <= 1:
            raise MbmfError(f"packet loss: expected a share from 0 to 1, got {share}")
        self.share = share
        self.lost = 0
        self._rng = rng

    def loses(self) -> bool:
        """Whether the next message is lost."""
        lost = bool(self._rng.random() < self.share)
        self.lost += lost
        return lost
