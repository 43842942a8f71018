"""Resample rows, refit, and read intervals off the refits, a chunk at a time so that progress can be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def resample_counts(rng: np.random.Generator, n_rows: int, n_refits: int, n_drawn: int | None = None) -> Array:
    """How often each row is drawn, with replacement.

    Parameters
    ----------
    n_rows, n_refits : int
    n_drawn : int, optional
        Rows in a resample; ``n_rows`` if not given. Another number foretells the interval of a study of that size.

    Returns
    -------
    (n_refits, n_rows) array
        Each row sums to ``n_drawn``.
    """
    drawn = n_rows if n_drawn is None else n_drawn
    return rng.multinomial(drawn, np.full(n_rows, 1 / n_rows), size=n_refits).astype(float)


def bootstrap(
    refit: Callable[[Array], Array],
    n_rows: int,
    n_refits: int,
    rng: np.random.Generator,
    *,
    n_drawn: int | None = None,
    chunk: int = 100,
) -> Iterator[tuple[float, Array]]:
    """Stream a bootstrap over rows.

    Parameters
    ----------
    refit : callable
        From (n, n_rows) row counts to (n, n_estimates) estimates.
    n_rows, n_refits : int
    rng : numpy.random.Generator
        Seeded by the caller; the estimates do not depend on ``chunk``.
    n_drawn : int, optional
        Rows in a resample.
    chunk : int
        Refits between two reports.

    Yields
    ------
    (float, (n_so_far, n_estimates) array)
        Share done and the estimates so far.
    """
    parts: list[Array] = []
    for first in range(0, n_refits, chunk):
        size = min(chunk, n_refits - first)
        parts.append(refit(resample_counts(rng, n_rows, size, n_drawn)))
        yield (first + size) / n_refits, np.concatenate(parts)


def interval(estimates: ArrayLike, level: float = 0.8) -> tuple[Array, Array]:
    """Percentile interval over the first axis; estimates that are NaN (no answer) are left out.

    Returns
    -------
    low, high : arrays
        NaN where fewer than two estimates are finite.
    """
    estimates = np.asarray(estimates, dtype=float)
    flat = estimates.reshape(len(estimates), -1)
    out = np.full((2, flat.shape[1]), np.nan)
    enough = np.sum(np.isfinite(flat), axis=0) >= 2
    if enough.any():
        tails = [(1 - level) / 2, (1 + level) / 2]
        whole = np.isfinite(flat).all(axis=0)
        # NumPy leaves NaN out column by column in Python; few estimates hold any.
        if whole.any():
            out[:, whole] = np.quantile(flat[:, whole], tails, axis=0)
        rest = enough & ~whole
        if rest.any():
            sound = np.where(np.isfinite(flat), flat, np.nan)[:, rest]
            out[:, rest] = np.nanquantile(sound, tails, axis=0)
    low, high = out.reshape(2, *estimates.shape[1:])
    return low, high


def standard_error(estimates: ArrayLike) -> Array:
    """Standard deviation over the first axis, NaN left out; 0 where fewer than two are finite."""
    estimates = np.asarray(estimates, dtype=float)
    sound = np.isfinite(estimates)
    n = np.sum(sound, axis=0)
    mean = np.sum(np.where(sound, estimates, 0.0), axis=0) / np.maximum(n, 1)
    square = np.sum(np.where(sound, (estimates - mean) ** 2, 0.0), axis=0)
    return np.asarray(np.sqrt(square / np.maximum(n - 1, 1)))


def width_error(width: ArrayLike, n_refits: int, level: float = 0.8) -> Array:
    """Standard error of the width of a percentile interval from ``n_refits`` near-Gaussian estimates.

    The two quantiles at probability p from either end have variance p(1 - p)/(R f^2) and covariance
    p^2/(R f^2), f the normal density there.
    """
    from scipy.stats import norm

    p = (1 - level) / 2
    z = norm.isf(p)
    relative = np.sqrt(2 * (p * (1 - p) - p**2)) / (norm.pdf(z) * 2 * z)
    return np.asarray(width, dtype=float) * relative / np.sqrt(n_refits)
