"""Means of a mixture from samples of two known noise levels, by expectation-maximization."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from compute.kernel import kernel
from compute.scaling_laws.noisy_data.information import means_on_a_line, posteriors

Array = NDArray[np.float64]

BIN = 0.1  # width of a bin over the standard deviation: what it hides is 0.1% of a variance, and known
MAX_STEPS = 1500
TOLERANCE = 1e-8


@kernel
def _em_step(x, count, variance, means, out):  # type: ignore[no-untyped-def]
    """One EM step into ``out``; returns the log-likelihood at ``means``, up to a constant."""
    n, d = x.shape
    k = means.shape[0]
    total = np.zeros(k)
    out[:] = 0.0
    log_each = np.empty(k)
    value = 0.0
    for a in range(n):
        top = -np.inf
        for i in range(k):
            square = 0.0
            for j in range(d):
                square += (x[a, j] - means[i, j]) ** 2
            log_each[i] = -0.5 * square / variance[a]
            top = max(top, log_each[i])
        mass = 0.0
        for i in range(k):
            log_each[i] = 1.0 if log_each[i] == top else np.exp(log_each[i] - top)
            mass += log_each[i]
        value += count[a] * (top + np.log(mass))
        scale = count[a] / (mass * variance[a])
        for i in range(k):
            share = scale * log_each[i]
            total[i] += share
            for j in range(d):
                out[i, j] += share * x[a, j]
    for i in range(k):
        for j in range(d):
            out[i, j] = out[i, j] / total[i] if total[i] > 1e-300 else means[i, j]
    return value


@kernel
def _fit(x, count, variance, means, max_steps, tolerance):  # type: ignore[no-untyped-def]
    """EM to its fixed point, in place, with squared extrapolation (Varadhan & Roland 2008) where it does not lose likelihood."""
    first, second, trial = np.empty_like(means), np.empty_like(means), np.empty_like(means)
    steps = 0
    while steps < max_steps:
        here = _em_step(x, count, variance, means, first)
        _em_step(x, count, variance, first, second)
        steps += 2
        move = np.sqrt(np.sum((first - means) ** 2))
        bend = np.sqrt(np.sum((second - 2 * first + means) ** 2))
        if move < tolerance:
            means[:] = second
            return steps
        stretch = max(1.0, move / bend) if bend > 0 else 1.0
        trial[:] = means + 2 * stretch * (first - means) + stretch * stretch * (second - 2 * first + means)
        gained = _em_step(x, count, variance, trial, first)
        steps += 1
        # One plain step after the extrapolation keeps it stable.
        means[:] = first if gained >= here else second
    return -steps


def fit_means(x: Array, count: Array, variance: Array, start: Array, tolerance: float = TOLERANCE) -> Array:
    """Maximum-likelihood means near a start.

    Parameters
    ----------
    x : (n, d) array
        Samples, or bin centers.
    count : (n,) array
        How often each was seen.
    variance : (n,) array
        Variance of each sample about its component's mean.
    start : (k, d) array
    tolerance : float
        On the length of the last step.

    Returns
    -------
    (k, d) array
    """
    means = np.array(start, dtype=float)
    _fit(x, count, variance, means, MAX_STEPS, tolerance)
    return means


def binned_mixture(rng: np.random.Generator, n: int, means: Array, variance: float) -> tuple[Array, Array, Array]:
    """n samples of a mixture on a line as counts in bins: centers (m, 1), counts and variances (m,).

    A bin's width adds its w^2/12 to the variance (Sheppard). Empty bins are left out.
    """
    x, share, broad = _bins(tuple(means.tolist()), variance)
    count = rng.multinomial(n, share).astype(float)
    seen = count > 0
    return x[seen][:, None], count[seen], np.full(int(seen.sum()), broad)


@lru_cache(maxsize=8)
def _bins(means: tuple[float, ...], variance: float) -> tuple[Array, Array, float]:
    """Centers of the bins, their probabilities, and the variance that a center has: the same for every data set."""
    width = BIN * np.sqrt(variance)
    half = np.abs(means).max() + 9 * np.sqrt(variance)
    m = int(np.ceil(half / width))
    x = width * np.arange(-m, m + 1)
    broad = float(variance + width**2 / 12)
    density = posteriors(x, np.array(means), broad)[1]
    share = density / density.sum()
    for array in (x, share):
        array.flags.writeable = False
    return x, share, broad


def drawn_mixture(rng: np.random.Generator, n: int, means: Array, variance: float, dimension: int) -> tuple[Array, Array, Array]:
    """n samples of a mixture with means on the first axis of R^d, one by one."""
    x = np.sqrt(variance) * rng.standard_normal((n, dimension))
    x[:, 0] += rng.choice(means, n)
    return x, np.ones(n), np.full(n, variance)


def squared_error(
    rng: np.random.Generator, n_clean: int, n_noisy: int, components: int, separation: float, corruption: float, dimension: int
) -> float:
    """Sum of squared errors of the fitted means, matched to the true ones, in one drawn data set.

    Expectation-maximization starts at the truth: it finds the likelihood's maximum nearest to it.
    """
    means = means_on_a_line(components, separation)
    parts = []
    for n, variance in ((n_clean, 1.0), (n_noisy, 1 + corruption**2)):
        if n == 0:
            continue
        if dimension == 1:
            parts.append(binned_mixture(rng, n, means, variance))
        else:
            parts.append(drawn_mixture(rng, n, means, variance, dimension))
    x, count, variances = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    truth = np.zeros((components, dimension))
    truth[:, 0] = means
    found = fit_means(x, count, variances, truth, 1e-6)  # far below the error of any data set
    distance = np.sum((found[:, None] - truth) ** 2, axis=-1)
    return float(distance[linear_sum_assignment(distance)].sum())
