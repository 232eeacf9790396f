"""Random action sequences for collecting the first data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbmf_ros.config import Ranged, ranged
from mbmf_ros.errors import unknown

KINDS = ("uniform", "held", "coloured", "mixed")


@dataclass(frozen=True)
class ExplorationConfig(Ranged):
    """How random actions are drawn.

    Attributes:
        kind: ``uniform``: a fresh uniform action every step (the paper). ``held``: uniform, each kept for 1 to
            ``max_hold`` steps. ``coloured``: Gaussian with power spectrum 1/f^``beta``. ``mixed``: for every rollout an
            amplitude, then held or coloured.
        min_amplitude, max_amplitude: range of the amplitude that each rollout draws.
        max_hold: longest hold, in control steps.
        beta: exponent of coloured noise; 0 is white, 1 pink, 2 red.
    """

    kind: str = "mixed"
    min_amplitude: float = ranged(0.15, 0.0, 1.0)
    max_amplitude: float = ranged(0.9, 0.0, 1.0)
    max_hold: int = ranged(6, 1)
    beta: float = ranged(1.0, 0.0)


def coloured_noise(rng: np.random.Generator, steps: int, nu: int, beta: float) -> np.ndarray:
    """Unit-variance Gaussian noise (steps, nu) with power spectral density 1/f^beta (Timmer and Koenig, 1995)."""
    frequencies = np.fft.rfftfreq(steps)
    frequencies[0] = 1.0 / steps
    scale = frequencies ** (-beta / 2)
    spectrum = scale[:, None] * (rng.standard_normal((len(scale), nu)) + 1j * rng.standard_normal((len(scale), nu)))
    noise = np.fft.irfft(spectrum, n=steps, axis=0)
    power = 4 * np.sum(scale**2) - 3 * scale[0] ** 2  # the constant part has no counterpart at -f ...
    if steps % 2 == 0:
        power -= 3 * scale[-1] ** 2  # ... nor has the highest frequency
    return noise * steps / np.sqrt(power)


def random_actions(config: ExplorationConfig, rng: np.random.Generator, steps: int, nu: int) -> np.ndarray:
    """Actions (steps, nu) in [-1, 1].

    Raises:
        MbmfError: unknown kind.
    """
    if config.kind not in KINDS:
        raise unknown("exploration", config.kind, KINDS)
    kind, amplitude = config.kind, 1.0
    if kind == "mixed":
        kind = "held" if rng.random() < 0.75 else "coloured"
        amplitude = rng.uniform(config.min_amplitude, config.max_amplitude)
    if kind == "uniform":
        return amplitude * rng.uniform(-1, 1, (steps, nu))
    if kind == "held":
        hold = int(rng.integers(1, config.max_hold + 1))
        fresh = rng.uniform(-1, 1, (-(-steps // hold), nu))
        return amplitude * np.repeat(fresh, hold, axis=0)[:steps]
    return np.clip(amplitude * coloured_noise(rng, steps, nu, config.beta), -1, 1)
