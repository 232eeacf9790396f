"""Parameters of the dynamics learner."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mbmf_ros.dynamics.acceptance import AcceptanceConfig
from mbmf_ros.dynamics.change import ChangeConfig
from mbmf_ros.dynamics.continual import ContinualConfig
from mbmf_ros.dynamics.model import DynamicsConfig
from mbmf_ros.dynamics.refit import RefitConfig
from mbmf_ros.dynamics.training import TrainConfig
from mbmf_ros.nodes.runtime import option


@dataclass(frozen=True)
class LearnerConfig:
    """Parameters of the node."""

    robot: str = option("ant", "name of the robot")
    log_dir: str = option(
        "default",
        "folder to log every state to (MCAP); default: ~/.ros/mbmf_ros/<namespace>/<robot>/<run>; empty: none",
    )
    max_log_mb: int = option(
        2000, "beyond that the oldest files of the log folder are dropped [MB]; 0: no limit", low=0
    )
    model_path: str = option("default", "model to begin with: a file; default: the shipped one; empty: none")
    save_path: str = option(
        "default", "file of ~/save and ~/load; default: ~/.ros/mbmf_ros/<namespace>/<robot>/model.safetensors"
    )
    base_data: str = option("", "file of transitions to train on together with the log; empty: none")
    max_transitions: int = option(100_000, "the newest so many transitions of the log are trained on", low=1)
    min_transitions: int = option(5_000, "transitions of the log and the base data needed for training", low=1)
    max_memory_mb: int = option(3_000, "a training that needs more memory ends [MB]; 0: no limit", low=0)
    seed: int = option(0, "seed of initial weights and batches", low=0)
    continuous: bool = option(False, "train by itself, again and again; else only on ~/train")
    continual: ContinualConfig = field(default_factory=ContinualConfig)
    change: ChangeConfig = field(default_factory=ChangeConfig)
    acceptance: AcceptanceConfig = field(default_factory=AcceptanceConfig)
    dynamics: DynamicsConfig = field(default_factory=DynamicsConfig)
    training: TrainConfig = field(default_factory=TrainConfig)

    def log_folder(self, own: Path) -> Path | None:
        """Where to log, ``own`` by default; None: nowhere."""
        given = Path(self.log_dir).expanduser() if self.log_dir else None
        return own if self.log_dir == "default" else given

    def save_file(self, home: Path) -> Path:
        """The file of ~/save and ~/load; by default it is in ``home``."""
        return home / "model.safetensors" if self.save_path == "default" else Path(self.save_path).expanduser()

    @property
    def base_file(self) -> Path | None:
        """The file of transitions to train on too, if any."""
        return Path(self.base_data).expanduser() if self.base_data else None

    @property
    def refit(self) -> RefitConfig:
        """One training from the beginning, on everything alike."""
        c = self
        return RefitConfig(seed=c.seed, dynamics=c.dynamics, training=c.training, acceptance=c.acceptance)
