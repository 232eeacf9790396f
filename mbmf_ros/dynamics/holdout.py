"""What is learned from and what is held out, and how old it is."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

from mbmf_ros.data.motion import in_motion, moved
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.errors import MbmfError

BLOCK_STEPS = 30
"""Held-out stretches have this many transitions: enough for open-loop errors, short enough to be spread out."""


@dataclass
class Part:
    """Some of the transitions of a recording.

    Attributes:
        store: the transitions.
        ages: for each episode of ``store`` the number of transitions in motion recorded from its first one on.
    """

    store: TransitionStore
    ages: list[int] = field(default_factory=list)

    @property
    def transition_ages(self) -> np.ndarray:
        """For each transition the number in motion recorded from it on, (transitions,)."""
        episodes = zip(self.ages, self.store.episodes, strict=True)
        return np.concatenate([np.empty(0, int), *(age - self._moved(episode)[:-1] for age, episode in episodes)])

    def between(self, youngest: float, oldest: float) -> TransitionStore:
        """Episodes that began at an age of at least ``youngest`` and less than ``oldest`` transitions."""
        episodes = zip(self.ages, self.store.episodes, strict=True)
        return TransitionStore(self.store.spec, [episode for age, episode in episodes if youngest <= age < oldest])

    def _moved(self, episode: Episode) -> np.ndarray:
        """How many of an episode's transitions before the first, second, ... one are in motion, (T + 1,)."""
        return np.concatenate([[0], np.cumsum(in_motion(self.store.spec, episode.actions))])

    def _add(self, episode: Episode, first: int, last: int, age: int) -> None:
        """Take transitions ``first`` to ``last`` of the piece that ``episode`` is part of, as far as it has them."""
        first, last = max(first - episode.skipped, 0), last - episode.skipped
        if first < last:
            part = Episode(episode.measurements[first : last + 1], episode.actions[first:last], episode.source)
            self.store.episodes.append(part)
            self.ages.append(age - int(self._moved(episode)[first]))


def hold_out(store: TransitionStore, share: float) -> tuple[Part, Part]:
    """What to train on, and about ``share`` of the transitions to validate on, in stretches of ``BLOCK_STEPS``.

    Which stretches depends on the name of the piece of a recording that an episode is part of, and on where in it the
    episode begins; without a name, on the episode's own first measurement. So the choice is the same whenever and
    wherever it is made, while an episode grows too, or where only its end is read. A model is never validated on what
    it, or a model retrained here before it, was trained on. ``mbmf train`` splits otherwise: with base data that a
    model of it was trained on, a comparison favours that one.

    Args:
        store: episodes in the order in which they were recorded.
        share: of the transitions.

    Raises:
        MbmfError: there is nothing to train on, or nothing held out.
    """
    train, held = Part(TransitionStore(store.spec)), Part(TransitionStore(store.spec))
    period = max(BLOCK_STEPS + 1, round(BLOCK_STEPS / share)) if share > 0 else 2**31
    age = moved(store)
    for episode in store.episodes:
        draw = zlib.crc32(episode.piece.encode() or episode.measurements[0].tobytes())
        whole = episode.skipped + len(episode)
        for start in range(0, whole, period):
            end = min(start + period, whole)
            first = min(start + draw % (period - BLOCK_STEPS + 1), end)
            last = min(first + BLOCK_STEPS, end)
            train._add(episode, start, first, age)
            held._add(episode, first, last, age)
            train._add(episode, last, end, age)
            draw = zlib.crc32(draw.to_bytes(4, "little"))
        age -= int(in_motion(store.spec, episode.actions).sum())
    if not (train.store.episodes and held.store.episodes):
        raise MbmfError(
            f"expected transitions to train on and some to validate on, got {store.transitions} in "
            f"{len(store.episodes)} episodes; go on recording"
        )
    return train, held


def recency(ages: np.ndarray, half_life: float) -> np.ndarray:
    """Sampling weights (N,) of transitions ``ages`` (N,) old: half of it for every ``half_life`` transitions; 0: all
    alike."""
    return np.ones(len(ages)) if half_life <= 0 else 0.5 ** (ages / half_life)
