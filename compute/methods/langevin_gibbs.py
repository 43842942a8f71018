r"""Denoising Langevin-Gibbs (paper 233, algorithm 1) on a Gaussian mixture: a chain in (x, sigma), each move

    x <- x + (eta/2) v grad log p_sigma(x) + sqrt(eta v) z,  v = s^2 + sigma^2       (one evaluation of the score)
    sigma ~ p(sigma | x)  prop.  p(sigma) p_sigma(x)  on a grid of levels             (exact; a classifier in the paper)

and a denoiser whose rows have noise levels of their own, to bring the chain's states down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compute.kernel import kernel
from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@kernel
def _log_parts(x, log_weights, means, variance, out):  # type: ignore[no-untyped-def]
    """log pi_k N(x; mu_k, variance I) up to a constant into out; returns the largest."""
    best = -np.inf
    d = x.size
    for k in range(log_weights.size):
        square = 0.0
        for j in range(d):
            square += (x[j] - means[k, j]) ** 2
        out[k] = log_weights[k] - 0.5 * square / variance - 0.5 * d * np.log(variance)
        best = max(best, out[k])
    return best


@kernel
def _walk(rng, x, level, sigmas, log_prior, log_weights, means, width, eta, burn, skip, xs, levels):  # type: ignore[no-untyped-def]
    """Move each chain burn times, then keep every skip-th state."""
    n_chains, n_kept, d = xs.shape
    parts = np.empty(log_weights.size)
    chance = np.empty(sigmas.size)
    score = np.empty(d)
    for c in range(n_chains):
        y = x[c].copy()
        at = level[c]
        for step in range(burn + skip * n_kept):
            variance = width * width + sigmas[at] ** 2
            best = _log_parts(y, log_weights, means, variance, parts)
            total = 0.0
            score[:] = 0.0
            for k in range(parts.size):
                w = np.exp(parts[k] - best)
                total += w
                for j in range(d):
                    score[j] += w * (means[k, j] - y[j])
            for j in range(d):
                y[j] += 0.5 * eta * score[j] / total + np.sqrt(eta * variance) * rng.standard_normal()
            top = -np.inf
            for s in range(sigmas.size):
                v = width * width + sigmas[s] ** 2
                best = _log_parts(y, log_weights, means, v, parts)
                total = 0.0
                for k in range(parts.size):
                    if parts[k] > best - 30.0:
                        total += np.exp(parts[k] - best)
                chance[s] = log_prior[s] + best + np.log(total)
                top = max(top, chance[s])
            whole = 0.0
            for s in range(sigmas.size):
                chance[s] = np.exp(chance[s] - top)
                whole += chance[s]
            u = rng.random() * whole
            at = 0
            while at < sigmas.size - 1 and u > chance[at]:
                u -= chance[at]
                at += 1
            if step >= burn and (step - burn + 1) % skip == 0:
                place = (step - burn) // skip
                levels[c, place] = at
                for j in range(d):
                    xs[c, place, j] = y[j]


def walk(
    law: GaussianMixture,
    sigmas: Array,
    log_prior: Array,
    eta: float,
    burn: int,
    skip: int,
    n_chains: int,
    n_kept: int,
    rng: np.random.Generator,
    start: tuple[Array, Ints] | None = None,
) -> tuple[Array, Ints]:
    """Run chains.

    Parameters
    ----------
    law : GaussianMixture
        Of the clean data.
    sigmas : (n_levels,) array
        Rising.
    log_prior : (n_levels,) array
        log p(sigma), up to a constant.
    eta : float
        Langevin step over the variance of a noisy component, at most 1.
    burn, skip, n_chains, n_kept : int
        Moves left out first, moves between kept states, chains, kept states of each.
    start : ((n_chains, d) array, (n_chains,) array of int), optional
        Where chains begin; at the highest level, in its noise, if not given.

    Returns
    -------
    x : (n_chains, n_kept, d) array
    level : (n_chains, n_kept) array of int
    """
    if start is None:
        x = float(np.hypot(sigmas[-1], law.scale)) * rng.standard_normal((n_chains, law.dimension))
        start = (x, np.full(n_chains, sigmas.size - 1))
    xs, levels = np.empty((n_chains, n_kept, law.dimension)), np.empty((n_chains, n_kept), dtype=np.int64)
    parts = (np.log(law.weights), law.means, law.width)
    _walk(rng, *start, sigmas, log_prior, *parts, eta, burn, skip, xs, levels)
    return xs, levels


def denoise_rows(law: GaussianMixture, y: Array, sigma: Array | float) -> Array:
    """(n, d) E[x | y] of points that have noise levels of their own, (n,) or (n, 1)."""
    variance = law.width**2 + np.reshape(sigma, (-1, 1)) ** 2
    logit = np.log(law.weights) + (y @ law.means.T - 0.5 * np.sum(law.means**2, axis=1)) / variance
    weight = np.exp(logit - logit.max(axis=1, keepdims=True))
    keep = law.width**2 / variance
    return np.asarray(keep * y + (1 - keep) * (weight @ law.means) / weight.sum(axis=1, keepdims=True))
