r"""How far samples are from a known mixture, with no samples of the mixture.

On the line the first Wasserstein distance is W1 = int_0^1 |F_n^{-1}(u) - Q(u)| du with the exact quantile function Q.
The i-th of n sorted samples is compared with the mean of Q over its cell ((i-1)/n, i/n), which is exact but in cells
where the two curves cross (an error of order 1/n^2 in all). In d >= 2 it is the mean of W1 over 16 fixed directions,
each against the exact projected mixture: no sample of the target, no random projection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]

N_DIRECTIONS = 16
N_BINS = 60


def directions(dimension: int) -> Array:
    """(n_directions, dimension) unit vectors: evenly turned in the plane; above it, half in the first plane, half random."""
    if dimension == 1:
        return np.ones((1, 1))
    angle = np.pi * (np.arange(N_DIRECTIONS) + 0.5) / N_DIRECTIONS
    flat = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if dimension == 2:
        return flat
    half = N_DIRECTIONS // 2
    found = np.random.default_rng(0).standard_normal((N_DIRECTIONS, dimension))
    found[:half, :2], found[:half, 2:] = flat[::2], 0.0
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Target:
    """A mixture, made ready to be compared with many samples of one size.

    Parameters
    ----------
    mixture : GaussianMixture
        Of positive width.
    n : int
        Size of the samples.
    """

    mixture: GaussianMixture
    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", directions(self.mixture.dimension))
        cells = np.stack([_cell_means(self.mixture.project(axis), self.n) for axis in self.axes])  # type: ignore[attr-defined]
        object.__setattr__(self, "cells", cells)

    def w1(self, samples: Array) -> float:
        """Mean over the directions of the first Wasserstein distance of (n, d) samples to the mixture."""
        sorted_projections = np.sort(self.axes @ samples.T, axis=1)  # type: ignore[attr-defined]
        return float(np.mean(np.abs(sorted_projections - self.cells)))  # type: ignore[attr-defined]

    def noise_floor(self, rng: np.random.Generator, repeats: int = 20) -> tuple[float, float]:
        """Mean and standard deviation of ``w1`` over exact samples of the same size."""
        values = [self.w1(self.mixture.sample(rng, self.n)) for _ in range(repeats)]
        return float(np.mean(values)), float(np.std(values, ddof=1))


def _cell_means(law: GaussianMixture, n: int) -> Array:
    """(n,) mean of the quantile function over each cell ((i-1)/n, i/n)."""
    edges = law.quantile(np.arange(1, n) / n)
    below = np.concatenate([[0.0], law.mean_below(edges), law.mean])
    return n * np.diff(below)


def total_variation(samples: Array, law: GaussianMixture, n_bins: int = N_BINS) -> float:
    """Total variation distance of (n,) samples to a law on the line, over bins of equal probability.

    Binning can only lower the distance, and n samples of the law itself show about sqrt(n_bins/(2 pi n)).
    """
    edges = law.quantile(np.arange(1, n_bins) / n_bins)
    counts = np.bincount(np.searchsorted(edges, samples), minlength=n_bins)
    return float(0.5 * np.sum(np.abs(counts / samples.size - 1 / n_bins)))


def normal_w1(mean_gap: Array | float, std_gap: Array | float) -> Array:
    """W1 between two normal laws: E |a + b z| for gaps a of the means and b of the standard deviations."""
    a = np.abs(mean_gap)
    b = np.maximum(np.abs(std_gap), 1e-9 * a + 1e-300)
    return b * np.sqrt(2 / np.pi) * np.exp(-0.5 * (a / b) ** 2) + a * (1 - 2 * ndtr(-a / b))
