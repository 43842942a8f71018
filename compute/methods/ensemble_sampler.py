r"""Markov chain Monte Carlo by an ensemble of walkers: the stretch move, which needs no step size.

Walker k proposes Y = X_j + Z (X_k - X_j) for another walker j and Z of density 1/sqrt(z) on [1/2, 2], accepted with
probability min(1, Z^{d-1} p(Y)/p(X_k)). The walkers move in halves, each against the other, so that one call of the density
serves half of them.

References
----------
Goodman and Weare, "Ensemble samplers with affine invariance" (2010), section 2, equation 7; the two halves are those of
Foreman-Mackey et al., "emcee: The MCMC Hammer" (2013), algorithm 3.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
STRETCH = 2.0


def sample(
    log_density: Callable[[Array], Array], start: Array, n_steps: int, rng: np.random.Generator
) -> tuple[Array, Array, float]:
    """Walk an ensemble.

    Parameters
    ----------
    log_density : callable
        (n, d) points to (n,) log densities, up to a constant; minus infinity where not allowed.
    start : (n_walkers, d) array
        An even number of walkers, more than 2 d, all where the density is positive.
    n_steps : int
    rng : numpy.random.Generator

    Returns
    -------
    chain : (n_steps, n_walkers, d) array
    log_densities : (n_steps, n_walkers) array
    acceptance : float
        Share of proposals accepted.
    """
    n_walkers, d = start.shape
    if n_walkers % 2 or n_walkers <= 2 * d:
        raise ValueError(f"{n_walkers} walkers: give an even number above {2 * d}")
    x, log_p = start.copy(), log_density(start)
    chain, densities, accepted = np.empty((n_steps, n_walkers, d)), np.empty((n_steps, n_walkers)), 0
    half = n_walkers // 2
    halves = (slice(half), slice(half, None))
    for step in range(n_steps):
        for moved, still in (halves, halves[::-1]):
            z = ((STRETCH - 1) * rng.random(half) + 1) ** 2 / STRETCH
            partner = x[still][rng.integers(half, size=half)]
            proposal = partner + z[:, None] * (x[moved] - partner)
            log_q = log_density(proposal)
            take = np.log(rng.random(half)) < (d - 1) * np.log(z) + log_q - log_p[moved]
            x[moved] = np.where(take[:, None], proposal, x[moved])
            log_p[moved] = np.where(take, log_q, log_p[moved])
            accepted += int(take.sum())
        chain[step], densities[step] = x, log_p
    return chain, densities, accepted / (n_steps * n_walkers)
