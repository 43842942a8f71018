r"""Distributions pushed through functions to the line and kept there as quantiles, so that W2 becomes a Euclidean distance.

For functions phi_l with weights a_l, and Q_l the quantile function of phi_l's values under a distribution,

    ISW^2(mu, nu) = sum_l a_l W2^2(phi_l # mu, phi_l # nu) = sum_l a_l int_0^1 (Q_l - Q_l')^2,

the squared distance between the vectors sqrt(a_l / m) Q_l((i - 1/2)/m), i = 1 … m, up to the grid of levels.

References
----------
Rustamov & Majumdar, "Intrinsic sliced Wasserstein distances for comparing collections of probability distributions on manifolds
and graphs" (2023): functions are Laplacian eigenfunctions, weights exp(-t lambda).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from compute.models.laplacian_modes import Modes

Array = NDArray[np.float64]

N_LEVELS = 64


def levels(n_levels: int = N_LEVELS) -> Array:
    """(n_levels,) (i - 1/2)/n_levels."""
    return (np.arange(n_levels) + 0.5) / n_levels


def quantiles(values: Array, n_levels: int = N_LEVELS) -> Array:
    """Quantiles (…, n_levels) of the empirical laws of values (…, n): the inverse distribution function, no interpolation."""
    n = values.shape[-1]
    # The smallest order statistic whose share k/n reaches the level; the rounding keeps k/n = level exact.
    place = np.ceil(np.round(levels(n_levels) * n, 9)).astype(np.int64) - 1
    return np.asarray(np.sort(values, axis=-1)[..., place])


def decay_weights(eigenvalue: Array, decay: float) -> Array:
    """exp(-t lambda), kept above 1e-290: a coordinate-wise test, which no weight concerns, should still see the slice."""
    return np.exp(-np.minimum(decay * eigenvalue, 667.0))


def effective_slices(weight: Array) -> float:
    """(sum a)^2 / sum a^2: how many slices of equal weight see as much."""
    share = weight / weight.max()
    return float(share.sum() ** 2 / np.sum(share**2))


def embed(sliced: Array, weight: Array) -> Array:
    """(N, L m) vectors of quantiles (N, L, m) whose squared distances are ISW^2."""
    n, _, m = sliced.shape
    return np.asarray((sliced * np.sqrt(weight / m)[:, None]).reshape(n, -1))


def squared_distances(vectors: Array) -> Array:
    """(N, N) squared distances of (N, D) vectors."""
    centered = vectors - vectors.mean(axis=0)
    gram = centered @ centered.T
    size = np.diag(gram)
    return np.maximum(size[:, None] + size - 2 * gram, 0.0)


def classical_scaling(vectors: Array, dimension: int = 2) -> tuple[Array, Array]:
    """Places (N, dimension) whose distances come nearest those of vectors (N, D), and the share of variance of each axis."""
    centered = vectors - vectors.mean(axis=0)
    gram = centered @ centered.T
    n = len(gram)
    value, vector = eigh(gram, subset_by_index=[n - dimension, n - 1])
    value = np.maximum(value[::-1], 0.0)
    place = vector[:, ::-1] * np.sqrt(value)
    # An axis and its mirror image are equally good: the largest place is positive.
    place = place * np.where(place[np.argmax(np.abs(place), axis=0), np.arange(dimension)] < 0, -1.0, 1.0)
    return place, value / max(float(np.trace(gram)), 1e-300)


def eigenspaces(eigenvalue: Array) -> list[slice]:
    """Runs of equal eigenvalues (relative 1e-6), sorted eigenvalues given."""
    jumps = np.flatnonzero(np.diff(eigenvalue) > 1e-6 * eigenvalue[1:]) + 1
    edges = [0, *jumps.tolist(), eigenvalue.size]
    return [slice(a, b) for a, b in pairwise(edges)]


def turned_bases(eigenvalue: Array, n_bases: int, rng: np.random.Generator) -> list[Array]:
    """Orthogonal (L, L) matrices, each turning every eigenspace within itself at random; functions are multiplied on the right."""
    turns = []
    for _ in range(n_bases):
        turn = np.zeros((eigenvalue.size, eigenvalue.size))
        for space in eigenspaces(eigenvalue):
            size = space.stop - space.start
            q, r = np.linalg.qr(rng.standard_normal((size, size)))
            turn[space, space] = q * np.sign(np.diag(r))
        turns.append(turn)
    return turns


def in_bases(modes: Modes, turns: list[Array]) -> Modes:
    """The same functions in several bases side by side: (n, B L) functions, each base's eigenvalues in turn."""
    if not turns:
        return modes
    function = np.concatenate([modes.function @ turn for turn in turns], axis=1)
    return Modes(np.tile(modes.eigenvalue, len(turns)), function)
