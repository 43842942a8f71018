r"""Sample until r passes: the estimator, its exact law with a cap, and maximum likelihood of a law log(-log p) = X b.

The likelihood of s passes in n draws is p^s (1 - p)^(n - s) whatever made the sampling stop: r passes, a cap, or n given
in advance. One fit serves them all, and a cap censors nothing that it does not know of. With l = log p and
eta = log(-log p) the score is l (s - n p)/(1 - p) and the information n p l^2/(1 - p), that is r l^2/(1 - p) at E n = r/p.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, nbinom

Array = NDArray[np.float64]

STEEPEST = 6.5  # eta beyond it is p < e^-665


def draw_waits(rng: np.random.Generator, success: Array, passes: int, shape: tuple[int, ...] = ()) -> Array:
    """Draws until the first, second, … pass: ``(*shape, *success.shape, passes)``, whole numbers as floats."""
    fraction = -rng.standard_exponential((*shape, *success.shape, passes)) / np.log1p(-np.minimum(success, 1 - 1e-16))[..., None]
    return np.cumsum(np.maximum(np.ceil(fraction), 1.0), axis=-1)


def stop(waits: Array, passes: int, cap: float) -> tuple[Array, Array]:
    """Passes s and draws n at the ``passes``-th pass, or at the cap; of ``draw_waits``."""
    last = waits[..., passes - 1]
    seen = np.where(last <= cap, passes, np.sum(waits[..., :passes] <= cap, axis=-1))
    return seen.astype(float), np.minimum(last, cap)


def estimate(seen: Array, draws: Array, passes: int) -> Array:
    """(r - 1)/(n - 1) where r >= 2 passes were reached, unbiased; else s/n."""
    reached = (seen >= passes) & (passes >= 2)
    return np.where(reached, (seen - 1) / np.maximum(draws - 1, 1), seen / draws)


def estimate_quantile(level: float, success: Array, passes: int, cap: float) -> Array:
    """Exact quantile of ``estimate``: outcomes that hit the cap are the lowest, s/cap with s < r."""
    hit = binom.cdf(passes - 1, cap, success)
    at_cap = binom.ppf(level, cap, success) / cap
    waited = passes + nbinom.ppf(1 - level, passes, success)
    reached = (passes - 1) / np.maximum(waited - 1, 1) if passes >= 2 else 1 / waited
    return np.where(level <= hit, at_cap, reached)


def expected_draws(success: ArrayLike, passes: ArrayLike, cap: float) -> Array:
    """E min(K, cap) = (1/p) E min(Bin(cap, p), r), by Wald's identity: draws times p are the passes seen."""
    p, r = np.asarray(success, dtype=float), np.asarray(passes, dtype=float)
    # E min(B, r) = E[B; B < r] + r P(B >= r), and E[B; B < r] = cap p P(Bin(cap - 1, p) < r - 1).
    seen = cap * p * binom.cdf(r - 2, cap - 1, p) + r * binom.sf(r - 1, cap, p)
    return np.where(p * cap < 1e-9, cap, seen / np.maximum(p, 1e-300))


def information(eta: Array, draws: Array) -> Array:
    """Fisher information on eta = log(-log p) of n draws."""
    log_p = -np.exp(np.clip(eta, -30, STEEPEST))
    return draws * np.exp(log_p) * log_p**2 / -np.expm1(log_p)


def fit_law(design: Array, seen: Array, draws: Array, iterations: int = 60) -> tuple[Array, Array]:
    """Maximum likelihood of eta = design @ b by Fisher scoring; the likelihood is concave in b, steps that lower it are halved.

    Parameters
    ----------
    design : (n_sizes, n_coefficients) array
        Columns 1, x, x^2, …; center x.
    seen, draws : (..., n_sizes) arrays
        Passes and draws; a size with draws 0 says nothing.

    Returns
    -------
    b : (..., n_coefficients) array
        Where the likelihood has no maximum (nothing ever passed), where the scoring had got to.
    covariance : (..., n_coefficients, n_coefficients) array
        Inverse Fisher information at b.
    """
    b = plug_in_fit(design, (seen + 0.5) / (draws + 1), seen + 0.5)[0]

    def evaluate(b: Array) -> tuple[Array, Array, Array]:
        log_p = -np.exp(np.clip(b @ design.T, -30, STEEPEST))
        failure = -np.expm1(log_p)
        log_failure = np.where(log_p < -0.7, np.log1p(-np.exp(log_p)), np.log(failure))
        likelihood = np.sum(seen * log_p + (draws - seen) * log_failure, axis=-1)
        score = (log_p * (seen - draws * np.exp(log_p)) / failure) @ design
        weight = draws * np.exp(log_p) * log_p**2 / failure
        return likelihood, score, np.einsum("...i,ij,ik->...jk", weight, design, design) + 1e-10 * np.eye(design.shape[1])

    value, score, fisher = evaluate(b)
    scale = np.ones(value.shape)
    for _ in range(iterations):
        move = np.linalg.solve(fisher, score[..., None])[..., 0]
        reach = np.max(np.abs(move @ design.T), axis=-1)
        if np.max(reach, initial=0.0) < 1e-10:
            break
        trial = b + (scale * np.minimum(1.0, 2.0 / np.maximum(reach, 1e-300)))[..., None] * move
        found, found_score, found_fisher = evaluate(trial)
        better = found >= value - 1e-12 * np.abs(value)
        b = np.where(better[..., None], trial, b)
        value = np.where(better, found, value)
        score = np.where(better[..., None], found_score, score)
        fisher = np.where(better[..., None, None], found_fisher, fisher)
        scale = np.where(better, 1.0, 0.5 * scale)
        if np.all(~better & (scale < 1e-6)):
            break
    return b, np.asarray(np.linalg.inv(fisher), dtype=float)


def plug_in_fit(design: Array, success: Array, seen: Array) -> tuple[Array, Array]:
    """Weighted least squares of log(-log p_hat), by s l^2/(1 - p_hat) of s passes; sizes with p_hat = 0 or 1 are left out."""
    sound = (success > 0) & (success < 1) & (seen > 0)
    log_p = np.log(np.where(sound, success, 0.5))
    weight = np.where(sound, seen * log_p**2 / -np.expm1(log_p), 0.0)
    fisher = np.einsum("...i,ij,ik->...jk", weight, design, design) + 1e-10 * np.eye(design.shape[1])
    right = (weight * np.log(-log_p)) @ design
    return np.linalg.solve(fisher, right[..., None])[..., 0], np.linalg.inv(fisher)


def predict(b: Array, covariance: Array, row: Array) -> tuple[Array, Array]:
    """eta at a design row and its standard error."""
    return b @ row, np.sqrt(np.einsum("...jk,j,k->...", covariance, row, row))
