"""Learning that goes on: when to train, on what settings, and whether the robot is still the one that was learned."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.data.motion import moves
from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.dynamics.change import ChangeConfig, ChangeDetector
from mbmf_ros.dynamics.model import Dynamics
from mbmf_ros.dynamics.refit import RefitConfig
from mbmf_ros.robots import RobotSpec


@dataclass(frozen=True)
class ContinualConfig(Ranged):
    """When a learner trains by itself, and how much at a time. Counts are of transitions in motion.

    Attributes:
        first_train: without a model the first training begins after so many transitions.
        retrain_every: the next one when so many new ones have come ...
        retrain_changed: ... or so many after a change of the robot ...
        recovery: ... during so many transitions after it.
        first_updates, updates: gradient steps of the first training (or any that begins anew), and of later ones.
        learning_rate: of later ones.
        warm_start: later ones begin with the model in force; one whose result was refused is followed by a fresh one,
            unless the robot has changed: then there is too little to begin anew from.
        half_life: of the weight with which a transition is drawn, in transitions recorded after it; 0: all alike.
    """

    first_train: int = ranged(6000, 1)
    retrain_every: int = ranged(2400, 1)
    retrain_changed: int = ranged(600, 1)
    recovery: int = ranged(3600, 0)
    first_updates: int = ranged(4000, 1)
    updates: int = ranged(1500, 1)
    learning_rate: float = ranged(1e-3, 0.0, 1.0)
    warm_start: bool = True
    half_life: int = ranged(24000, 0)


class Continual:
    """Follows the stream of transitions; decides, and leaves the doing to whoever asks.

    Args:
        spec: the robot.
        config: when and how to train.
        change: when a robot counts as changed.

    Attributes:
        moved: transitions in motion so far.
        changes: how often a change of the robot was noticed.
        changed: one was noticed, and no model that has learned from what came after it is in force.
    """

    def __init__(self, spec: RobotSpec, config: ContinualConfig | None = None, change: ChangeConfig | None = None):
        self.spec = spec
        self.config = config or ContinualConfig()
        self.detector = ChangeDetector(change)
        self.moved = self.changes = 0
        self.changed = False
        self._has_model = self._fresh = self._successor = False
        self._trained_at = 0  # ``moved`` when the last training began
        self._changed_at: int | None = None
        self._unseen: list[Episode] = []

    @property
    def since_change(self) -> int:
        """Transitions in motion since the robot changed; 0: it has not."""
        return 0 if self._changed_at is None else max(1, self.moved - self._changed_at)

    @property
    def until_training(self) -> int:
        """Transitions in motion still missing for the next training."""
        config = self.config
        if not self._has_model:
            wanted = config.first_train if not self._trained_at else config.retrain_every
        elif self._changed_at is not None and self.since_change <= config.recovery:
            wanted = config.retrain_changed
        else:
            wanted = config.retrain_every
        return max(0, wanted - (self.moved - self._trained_at))

    def recall(self, transitions: int) -> None:
        """So many transitions in motion were recorded earlier."""
        self.moved += transitions
        self._trained_at = self.moved if self._has_model else 0

    def begin(self, model: Dynamics | None) -> None:
        """A model is in force from now on, or none."""
        self._has_model = model is not None
        self.detector.begin(model, self._successor)
        self._successor = False
        self._unseen.clear()

    def take(self, transition: Episode) -> None:
        """The next transition of the stream; an :class:`Episode` of one step. What is not in motion does not count."""
        if moves(self.spec, transition.actions):
            self.moved += 1
            self._unseen.append(transition)

    def watch(self) -> bool:
        """Look at what came since the last call; whether it shows that the robot has changed."""
        unseen, self._unseen = self._unseen, []
        if not self.detector.add(TransitionStore(self.spec, unseen)):
            return False
        self.changes += 1
        self.changed = True
        self._changed_at = self.moved - self.detector.within
        self._trained_at = max(self._trained_at, self._changed_at)
        return True

    def settings(self, base: RefitConfig) -> RefitConfig:
        """How to train now, with architecture, batches and so on as in ``base``."""
        config = self.config
        recovering = 0 < self.since_change <= config.recovery
        warm = config.warm_start and self._has_model and (recovering or not self._fresh)
        updates = config.updates if warm else config.first_updates
        rate = config.learning_rate if warm else base.training.learning_rate
        training = dataclasses.replace(base.training, epochs=0, min_updates=updates, learning_rate=rate)
        half_life = config.half_life
        since = self.since_change
        return dataclasses.replace(
            base,
            warm_start=warm,
            half_life=half_life,
            since_change=since,
            changed=self.changed,
            training=training,
            seed=base.seed + self.moved,
        )

    def started(self) -> None:
        """A training has begun."""
        self._trained_at = max(1, self.moved)

    def ended(self, accepted: bool) -> None:
        """It has ended; an accepted model is announced by :meth:`begin` too."""
        self._fresh = not accepted
        self._successor = accepted and not self.changed
        knew = self._changed_at is None or self._trained_at - self._changed_at >= self.detector.within
        if accepted and knew:
            self.changed = False

    def forget(self) -> None:
        """Begin anew: nothing was recorded, nothing has changed."""
        self.moved = self._trained_at = 0
        self._changed_at, self.changed, self._fresh = None, False, False
        self._unseen.clear()
