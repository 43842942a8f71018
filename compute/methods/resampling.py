"""Weights of particles: how many of them count, and drawing them anew."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def normalized(log_weights: Array) -> Array:
    """(n,) weights that sum to 1."""
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum()


def effective_fraction(log_weights: Array) -> float:
    """Effective sample size 1/sum w^2 over n: from 1/n (one particle owns all) to 1 (all alike)."""
    weights = normalized(log_weights)
    return float(1 / (weights.size * np.sum(weights**2)))


def systematic(rng: np.random.Generator, weights: Array, n: int | None = None) -> NDArray[np.int64]:
    """Indices of n draws (as many as particles if not given) by one random number and n equal strides.

    Particle i is drawn floor(n w_i) or ceil(n w_i) times, n w_i times in the mean.
    """
    n = n or weights.size
    cumulative = np.cumsum(weights)
    return np.searchsorted(cumulative / cumulative[-1], (rng.random() + np.arange(n)) / n, side="right").clip(max=weights.size - 1)
