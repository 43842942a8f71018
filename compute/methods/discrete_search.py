"""Searches of a small discrete space by evaluations of it: at random, by greedy growth, by a Gaussian process.

The space is a table: features of every point and its value, which a search sees only where it has looked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

Array = NDArray[np.float64]
Places = NDArray[np.int64]


def random_search(rng: np.random.Generator, features: Places, values: Array, n_looks: int) -> Places:
    """Points in random order."""
    return rng.permutation(len(values))[:n_looks]


def greedy_search(rng: np.random.Generator, features: Places, values: Array, n_looks: int) -> Places:
    """From the first point look at all points one choice away, move to the best, again; from a random new point when stuck."""
    looked: list[int] = []
    seen = np.zeros(len(values), dtype=bool)

    def look(i: int) -> None:
        if not seen[i]:
            seen[i] = True
            looked.append(i)

    here = 0
    look(here)
    while len(looked) < min(n_looks, len(values)):
        near = np.flatnonzero((features != features[here]).sum(axis=1) == 1)
        for i in rng.permutation(near):
            look(int(i))
        best = near[np.argmax(values[near])] if near.size else here
        if near.size and values[best] > values[here]:
            here = int(best)
        else:
            here = int(rng.choice(np.flatnonzero(~seen))) if not seen.all() else here
            look(here)
    return np.array(looked[:n_looks])


def gaussian_process_search(
    rng: np.random.Generator, features: Places, values: Array, n_looks: int, first: int = 5, length: float = 1.5
) -> Places:
    """Expected improvement under a Gaussian process of squared-exponential kernel on the features' places.

    Parameters
    ----------
    first : int
        Random points before the process decides.
    length : float
        Length scale, in places.
    """
    n = len(values)
    distance = ((features[:, None, :] - features[None, :, :]) ** 2).sum(axis=-1)
    kernel = np.exp(-0.5 * distance / length**2)
    looked = list(rng.permutation(n)[: min(first, n_looks)])
    while len(looked) < min(n_looks, n):
        at = np.array(looked)
        y = values[at]
        center, scale = y.mean(), max(float(y.std()), 1e-9)
        factor = cho_factor(kernel[np.ix_(at, at)] + 1e-6 * np.eye(at.size), lower=True)
        cross = kernel[:, at]
        mean = cross @ cho_solve(factor, (y - center) / scale)
        variance = np.maximum(1 - np.sum(cross * cho_solve(factor, cross.T).T, axis=1), 1e-12)
        deviation = np.sqrt(variance)
        z = (mean - (y.max() - center) / scale) / deviation
        improvement = deviation * (z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))
        improvement[at] = -1.0
        looked.append(int(np.argmax(improvement)))
    return np.array(looked)


SEARCHES = {"random": random_search, "greedy": greedy_search, "gaussian_process": gaussian_process_search}


def regret(values: Array, looked: Places) -> Array:
    """Best value of all less the best seen so far; ``(n_looks,)``."""
    return np.asarray(values.max() - np.maximum.accumulate(values[looked]))
