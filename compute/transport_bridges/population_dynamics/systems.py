"""The systems whose snapshots are taken, simulated in fine steps."""

from __future__ import annotations

import numpy as np

from compute.transport_bridges.population_dynamics.reference import DriftClass
from compute.transport_bridges.population_dynamics.setting import Array

FINE = 0.05  # time step at rate 1
LENGTH = {"Lotka-Volterra": 5.0, "OU": 2.0}
TRUE_CLASS = {"Lotka-Volterra": DriftClass("Lotka-Volterra", 2), "OU": DriftClass("OU", 1)}
WRONG_CLASS = {"Lotka-Volterra": DriftClass("linear", 2), "OU": DriftClass("constant", 1)}
START = {"Lotka-Volterra": (np.array([0.9, 0.0]), 0.15), "OU": (np.array([0.0]), np.sqrt(2.0))}


def true_coefficients(system: str, theta: float) -> Array:
    """(p,) of the system's own class."""
    return np.full(TRUE_CLASS[system].n_coefficients, theta)


def drift_class(system: str, reference: str) -> DriftClass:
    """The class that a reference of that name is taken from."""
    if reference == "Brownian":
        return DriftClass("Brownian", TRUE_CLASS[system].dimension)
    return TRUE_CLASS[system] if reference == "right class" else WRONG_CLASS[system]


def simulate(rng: np.random.Generator, system: str, theta: float, g: float, times: Array, n: int) -> Array:
    """(len(times), n, d) positions of n particles at ascending times, the first of them 0.

    Heun's steps; OU by its exact transitions.
    """
    mean, spread = START[system]
    x = mean + spread * rng.standard_normal((n, mean.size))
    out = np.empty((times.size, n, mean.size))
    out[0] = x
    drift, w = TRUE_CLASS[system], true_coefficients(system, theta)
    for k, duration in enumerate(np.diff(times)):
        if system == "OU":
            kept = np.exp(-theta * duration)
            noise = np.sqrt(g * -np.expm1(-2 * theta * duration) / (2 * theta))
            x = kept * x + noise * rng.standard_normal(x.shape)
        else:
            steps = max(1, int(np.ceil(duration * max(theta, 1.0) / FINE)))
            h = duration / steps
            for _ in range(steps):
                kick = np.sqrt(g * h) * rng.standard_normal(x.shape)
                slope = drift.drift(x, w)
                guess = x + h * slope + kick
                x = x + 0.5 * h * (slope + drift.drift(guess, w)) + kick
        out[k + 1] = x
    return out


def snapshots_of(rng: np.random.Generator, system: str, theta: float, g: float, times: Array, n: int) -> list[Array]:
    """Independent populations of n particles at each time: nobody is seen twice."""
    paths = simulate(rng, system, theta, g, times, n * times.size)
    return [paths[i, i * n : (i + 1) * n] for i in range(times.size)]
