r"""Mixtures of normal laws of one known width: maximum likelihood by EM, and draws from a Dirichlet process's posterior.

EM with weights w_k and means m_k, both free: responsibilities r_ik prop. w_k N(x_i; m_k, s^2 I), then w_k the mean of r_ik and m_k the
mean of x weighted by it; the log-likelihood never falls.

The Dirichlet process with concentration alpha, cut at K atoms (the last takes the rest of the stick), prior means N(0, t^2 I), by blocked
Gibbs sampling: labels given atoms; means given labels, normal with precision n_k/s^2 + 1/t^2; sticks Beta(1 + n_k, alpha + sum_{l>k} n_l).

References
----------
Dempster, Laird and Rubin (1977). Ishwaran and James, "Gibbs sampling methods for stick-breaking priors" (2001).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from compute.kernel import kernel
from compute.methods.log_sum_exp import log_sum_exp

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A mixing measure.

    Parameters
    ----------
    means : (K, d) array
    weights : (K,) array
    log_likelihood : (n_iterations + 1,) array
        Mean over the points, before each iteration and after the last.
    """

    means: Array
    weights: Array
    log_likelihood: Array


@dataclass(frozen=True)
class Draw:
    """A mixing measure drawn given labels, and the law it was drawn from: independent normal means and weights.

    Parameters
    ----------
    means : (K, d) array
    weights : (K,) array
    center : (K, d) array
        Expected means.
    spread : (K,) array
        Their standard deviations.
    expected_weights : (K,) array
    """

    means: Array
    weights: Array
    center: Array
    spread: Array
    expected_weights: Array


def _log_terms(x: Array, means: Array, weights: Array, width: float) -> Array:
    """(n, K) of log w_k N(x_i; m_k), less what all components share at x_i: -|x_i|^2/2s^2 - (d/2) log(2 pi s^2)."""
    with np.errstate(divide="ignore"):
        level = np.log(weights) - 0.5 * np.einsum("kd,kd->k", means, means) / width**2
    return np.asarray(x @ (means.T / width**2) + level)


def log_likelihood(x: Array, means: Array, weights: Array, width: float) -> float:
    """Mean over the (n, d) points."""
    shared = -0.5 * np.sum(x**2, axis=1) / width**2 - 0.5 * x.shape[1] * np.log(2 * np.pi * width**2)
    return float(np.mean(log_sum_exp(_log_terms(x, means, weights, width)) + shared))


def em(x: Array, means: Array, width: float, n_iterations: int, counts: Array | None = None) -> Fit:
    """Maximum likelihood from a start with equal weights.

    Parameters
    ----------
    x : (n, d) array
    means : (K, d) array
        Where to start.
    width : float
    n_iterations : int
    counts : (n,) array, optional
        How often each point counts.

    Returns
    -------
    Fit
    """
    n, d = x.shape
    weight = np.ones(n) if counts is None else counts
    share = weight / weight.sum()
    shared = -0.5 * np.sum(x**2, axis=1) / width**2 - 0.5 * d * np.log(2 * np.pi * width**2)
    weighted = share[:, None] * np.concatenate([np.ones((n, 1)), x], axis=1)
    weights = np.full(len(means), 1 / len(means))
    history = np.empty(n_iterations + 1)
    for step in range(n_iterations + 1):
        terms = _log_terms(x, means, weights, width)
        top = terms.max(axis=1)
        terms -= top[:, None]
        np.exp(terms, out=terms)
        total = terms.sum(axis=1)
        history[step] = share @ (top + np.log(total) + shared)
        if step < n_iterations:
            sums = (terms / total[:, None]).T @ weighted
            weights = sums[:, 0] / sums[:, 0].sum()
            means = np.where(weights[:, None] > 1e-300, sums[:, 1:] / np.maximum(sums[:, :1], 1e-300), means)
    return Fit(means, weights, history)


def best_em(x: Array, n_components: int, width: float, n_iterations: int, n_starts: int, rng: np.random.Generator) -> Fit:
    """The likeliest of several runs of ``em`` from points drawn at random."""
    runs = [em(x, x[rng.choice(len(x), n_components, replace=len(x) < n_components)], width, n_iterations) for _ in range(n_starts)]
    return max(runs, key=lambda run: float(run.log_likelihood[-1]))


@kernel
def _allot(terms: Array, uniform: Array, values: Array) -> Array:
    """(K, c) sums of rows of values (n, c) by the component drawn for each from its log weights, terms (n, K)."""
    n, k = terms.shape
    sums = np.zeros((k, values.shape[1]))
    below = np.empty(k)
    for i in range(n):
        top = terms[i].max()
        total = 0.0
        for j in range(k):
            total += np.exp(terms[i, j] - top)
            below[j] = total
        label = 0
        while label < k - 1 and below[label] < total * uniform[i]:
            label += 1
        for c in range(values.shape[1]):
            sums[label, c] += values[i, c]
    return sums


def gibbs(
    x: Array, n_components: int, width: float, concentration: float, prior_width: float, n_sweeps: int, rng: np.random.Generator
) -> Iterator[Draw]:
    """Draws from the posterior of the mixing measure.

    Parameters
    ----------
    x : (n, d) array
    n_components : int
        K, where the stick is cut.
    width, concentration, prior_width : float
        s, alpha, t.
    n_sweeps : int
    rng : numpy.random.Generator

    Yields
    ------
    Draw
    """
    n = len(x)
    means = x[rng.choice(n, n_components, replace=n < n_components)]
    weights = np.full(n_components, 1 / n_components)
    extended = np.concatenate([np.ones((n, 1)), x], axis=1)
    for _ in range(n_sweeps):
        sums = _allot(_log_terms(x, means, weights, width), rng.random(n), extended)
        draw = draw_atoms(sums[:, 0], sums[:, 1:], width, concentration, prior_width, rng)
        means, weights = draw.means, draw.weights
        yield draw


def draw_atoms(size: Array, sums: Array, width: float, concentration: float, prior_width: float, rng: np.random.Generator) -> Draw:
    """Means and weights given how many points (K,) each atom has, and their sums (K, d)."""
    precision = size / width**2 + 1 / prior_width**2
    center, spread = sums / width**2 / precision[:, None], 1 / np.sqrt(precision)
    later = size.sum() - size.cumsum()
    first, second = 1 + size[:-1], concentration + later[:-1]
    means = center + rng.standard_normal(sums.shape) * spread[:, None]
    weights = _break(rng.beta(first, second))
    return Draw(means, weights, center, spread, _break(first / (first + second)))


def _break(stick: Array) -> Array:
    """(K,) lengths of a stick broken at the shares (K - 1,); of expected shares, as they are independent, the expected lengths."""
    lengths = np.ones(stick.size + 1)
    lengths[:-1] = stick
    lengths[1:] *= np.multiply.accumulate(1 - stick)
    return lengths


def outlying_mass(means: Array, weights: Array, atoms: Array, radius: Array | float) -> Array:
    """Weight farther than each radius from every one of the (m, d) atoms; of the radius's shape."""
    far = np.sqrt(np.min(np.sum((means[:, None] - atoms) ** 2, axis=2), axis=1))
    return np.asarray(np.sum(np.where(far > np.asarray(radius)[..., None], weights, 0.0), axis=-1))


def chance_of_outlying(center: Array, spread: Array, atoms: Array, radius: Array) -> Array:
    """(K, n_radii) chance that a normal number N(center, spread^2) is farther than each radius from every one of the (m,) atoms."""
    atoms = np.sort(atoms)
    low, high = atoms - radius[:, None], atoms + radius[:, None]  # (n_radii, m)
    inner = np.maximum(low[:, 1:], high[:, :-1])  # where the next interval starts beyond the end of this one

    def below(x: Array) -> Array:
        return np.asarray(ndtr((x - center[:, None, None]) / spread[:, None, None]))

    gaps = np.sum(below(inner) - below(high[:, :-1]), axis=2)
    beyond = ndtr((center[:, None] - high[:, -1]) / spread[:, None])
    return np.asarray(below(low[:, :1])[..., 0] + beyond + gaps)
