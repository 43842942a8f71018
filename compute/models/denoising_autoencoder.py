r"""A denoising autoencoder on a line, fitted by ridge regression on Gaussian bumps, and the chain that it drives (paper 077).

r minimizes (1/n) sum_i |r(x_i + sigma z_i) - x_i|^2 + ridge |a|^2 over r(y) = y + sum_j a_j phi_j(y); its best possible value is
r*(y) = E[x | y], and (r* - y)/sigma^2 is the score of the density smoothed by the noise, exactly. That vector field gives the Metropolis
ratio of a move from x to x' as the exponential of its path integral, by the midpoint rule in m pieces (077, section 3.4).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Field = Callable[[Array], Array]

RIDGE = 1e-4


def bumps(y: Array, centers: Array) -> Array:
    """(n, n_features) Gaussian bumps, each as wide as the centers are apart."""
    return np.asarray(np.exp(-0.5 * ((y[:, None] - centers) / (centers[1] - centers[0])) ** 2))


def fit(noisy: Array, clean: Array, centers: Array, ridge: float = RIDGE) -> Array:
    """(n_features,) coefficients of r(y) - y.

    Parameters
    ----------
    noisy, clean : (n,) arrays
    centers : (n_features,) array
        Evenly spaced, two at least.
    ridge : float
        Per training pair.
    """
    features = bumps(noisy, centers)
    gram = features.T @ features
    gram[np.diag_indices_from(gram)] += ridge * noisy.size
    return np.asarray(np.linalg.solve(gram, features.T @ (clean - noisy)))


def path_integral(score: Field, x: Array, to: Array, pieces: int) -> Array:
    """(n,) int of the score from x to ``to`` by the midpoint rule: what stands for log p(to) - log p(x)."""
    share = (np.arange(pieces) + 0.5) / pieces
    middles = x[:, None] + share * (to - x)[:, None]
    return np.asarray(score(middles.ravel()).reshape(middles.shape).mean(axis=1) * (to - x))


def metropolis(score: Field, x: Array, proposal: float, pieces: int, n_moves: int, rng: np.random.Generator) -> tuple[Array, float]:
    """(n_moves, n) states of n chains, and the share of moves accepted."""
    states, accepted = np.empty((n_moves, x.size)), 0
    for k in range(n_moves):
        to = x + proposal * rng.standard_normal(x.size)
        yes = np.log(rng.random(x.size)) < path_integral(score, x, to, pieces)
        x = np.where(yes, to, x)
        states[k] = x
        accepted += int(yes.sum())
    return states, accepted / states.size


def local_minima(values: Array) -> NDArray[np.int64]:
    """Indices of the inner local minima of a sequence."""
    inner = values[1:-1]
    return np.flatnonzero((inner < values[:-2]) & (inner <= values[2:])) + 1
