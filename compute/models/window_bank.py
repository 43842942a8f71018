r"""Windows of chaotic motion as a finite set that stands for a law: x(t), x(t + dt), …, one coordinate, standardized.

Lorenz-63             x' = 10 (y - x), y' = x (28 - z) - y, z' = x y - (8/3) z; windows of x
FitzHugh-Nagumo       two units of opposite rates coupled through v: v_i' = v_i (a - v_i)(v_i - 1) - w_i + k (v_j - v_i),
                      w_i' = b_i v_i - c w_i, a = -0.025794, b = (0.0065, 0.0135), c = 0.02, k = 0.128
                      (Ansmann, Karnatak, Lehnertz & Feudel 2013, whose mean potential has rare large excursions)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

N_ORBITS = 200


def lorenz(state: Array) -> Array:
    """(3, n) velocity of Lorenz-63 at its classical parameters."""
    x, y, z = state
    return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])


A, B1, B2, C, K = -0.025794, 0.0065, 0.0135, 0.02, 0.128


def fitzhugh_nagumo(state: Array) -> Array:
    """(4, n) velocity of the pair (v_1, v_2, w_1, w_2)."""
    v1, v2, w1, w2 = state
    flow = K * (v2 - v1)
    first = v1 * (A - v1) * (v1 - 1) - w1 + flow
    second = v2 * (A - v2) * (v2 - 1) - w2 - flow
    return np.stack([first, second, B1 * v1 - C * w1, B2 * v2 - C * w2])


@dataclass(frozen=True)
class System:
    """A flow, how it is sampled, and which of its coordinates is seen.

    Parameters
    ----------
    velocity : callable
        (k, n) states to (k, n) velocities.
    start : (k,) array
        Orbits begin around it.
    spread : float
        Standard deviation of their beginnings.
    step : float
        Of the Runge-Kutta method.
    every : int
        Steps between samples of a window.
    transient : int
        Steps left out first.
    watch : (k,) array
        Weights of the coordinates in what is seen.
    """

    velocity: Callable[[Array], Array]
    start: Array
    spread: float
    step: float
    every: int
    transient: int
    watch: Array


SYSTEMS = {
    "Lorenz-63": System(lorenz, np.array([0.0, 1.0, 25.0]), 5.0, 0.02, 3, 400, np.array([1.0, 0.0, 0.0])),
    "FitzHugh-Nagumo": System(
        fitzhugh_nagumo, np.array([0.1, 0.1, 0.01, 0.01]), 0.05, 1.0, 6, 1000, np.array([0.5, 0.5, 0.0, 0.0])
    ),
}


def rk4(velocity: Callable[[Array], Array], state: Array, step: float) -> Array:
    """One classical Runge-Kutta step."""
    k1 = velocity(state)
    k2 = velocity(state + step / 2 * k1)
    k3 = velocity(state + step / 2 * k2)
    k4 = velocity(state + step * k3)
    return np.asarray(state + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4))


@lru_cache(maxsize=8)
def windows(name: str, n: int, length: int) -> Array:
    """(n, length) windows of a system, in standard deviations from its mean.

    Many orbits are followed at once, and each is cut into windows with as long a gap between them.
    """
    system = SYSTEMS[name]
    rng = np.random.default_rng(11)
    state = system.start[:, None] + system.spread * rng.standard_normal((system.start.size, N_ORBITS))
    for _ in range(system.transient):
        state = rk4(system.velocity, state, system.step)
    found: list[Array] = []
    while len(found) * N_ORBITS < n:
        window = np.empty((N_ORBITS, length))
        for j in range(2 * length):
            if j < length:
                window[:, j] = system.watch @ state
            for _ in range(system.every):
                state = rk4(system.velocity, state, system.step)
        found.append(window)
    return standardized(np.concatenate(found)[:n])


def standardized(values: Array) -> Array:
    """Less the mean, over the standard deviation of all."""
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-12))


def cut(series: Array, length: int, most: int) -> Array:
    """(n, length) windows of a series, evenly spaced, overlapping where it is short; at most ``most``."""
    starts = np.unique(np.linspace(0, series.size - length, min(most, series.size - length + 1)).astype(int))
    return standardized(np.asarray(series, dtype=float))[starts[:, None] + np.arange(length)]
