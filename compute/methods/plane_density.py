"""A density in the plane known up to a constant: its modes, masses and distances by quadrature on a grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from compute.methods.contours import level_lines
from compute.methods.distance_to_target import directions

Array = NDArray[np.float64]

N_GRID = 256
N_BINS = 800


@dataclass(frozen=True, eq=False)
class PlaneDensity:
    """A density on a square grid of cells, [-reach, reach]^2.

    Parameters
    ----------
    log_density : callable
        (n, 2) points to (n,) values, up to a constant; negligible outside the square.
    reach : float
        Half the side of the square.
    sites : (n_sites, 2) array, optional
        Centers of the regions whose masses matter, each the points nearest to one; the local maxima if not given.
    """

    log_density: Callable[[Array], Array]
    reach: float
    sites: Array | None = None
    centers: Array = field(init=False)  # (n_sites, 2)
    exact_masses: Array = field(init=False)  # (n_sites,) of the density itself
    axis: Array = field(init=False)  # (n_grid,) centers of cells
    points: Array = field(init=False)  # (n_grid^2, 2)
    mass: Array = field(init=False)  # (n_grid^2,) sums to 1
    cdfs: Array = field(init=False)  # (n_directions, n_bins) distribution functions of projections

    def __post_init__(self) -> None:
        axis = (np.arange(N_GRID) + 0.5) / N_GRID * 2 * self.reach - self.reach
        points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        log_values = self.log_density(points)
        mass = np.exp(log_values - log_values.max())
        mass /= mass.sum()
        for name, value in (("axis", axis), ("points", points), ("mass", mass)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "centers", self._maxima() if self.sites is None else self.sites)
        object.__setattr__(self, "exact_masses", self.masses(points, mass))
        object.__setattr__(self, "cdfs", np.cumsum(self._histograms(points, mass), axis=1))

    def _maxima(self) -> Array:
        """(n, 2) local maxima above a hundredth of the highest; the highest first; no two within four cells."""
        square = self.mass.reshape(N_GRID, N_GRID)
        peak = (square == maximum_filter(square, 9)) & (square > 0.01 * square.max())
        found: list[Array] = []
        for i in sorted(np.flatnonzero(peak), key=lambda i: -self.mass[i]):
            if all(np.max(np.abs(self.points[i] - other)) > 8 * self.reach / N_GRID for other in found):
                found.append(self.points[i])
        return np.array(found)

    def site_of(self, x: Array) -> NDArray[np.int64]:
        """(n,) index of the nearest site."""
        return np.asarray(np.argmin(np.sum(self.centers**2, axis=1) - 2 * x @ self.centers.T, axis=1), dtype=np.int64)

    def masses(self, x: Array, weights: Array) -> Array:
        """(n_sites,) weight of the points nearest to each site."""
        return np.bincount(self.site_of(x), weights, minlength=len(self.centers)).astype(float)

    @property
    def mean(self) -> Array:
        """(2,)"""
        return self.mass @ self.points

    @cached_property
    def covariance(self) -> Array:
        """(2, 2)"""
        centered = self.points - self.mean
        return (self.mass * centered.T) @ centered

    def _histograms(self, x: Array, weights: Array) -> Array:
        # Projections reach sqrt(2) farther than the sides; what lies beyond that counts at the ends.
        half = 1.5 * self.reach
        index = np.clip(((directions(2) @ x.T + half) * (N_BINS / (2 * half))).astype(int), 0, N_BINS - 1)
        return np.stack([np.bincount(row, weights, minlength=N_BINS) for row in index])

    def w1(self, x: Array, weights: Array) -> float:
        """Mean over 16 directions of W1 between weighted points and the density, by distribution functions on bins.

        Parameters
        ----------
        x : (n, 2) array
        weights : (n,) array
            Sum to 1.
        """
        gap = np.cumsum(self._histograms(x, weights), axis=1) - self.cdfs
        return float(np.mean(np.sum(np.abs(gap), axis=1)) * 3 * self.reach / N_BINS)

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """(n, 2) draws: a cell, then a point in it."""
        cell = 2 * self.reach / N_GRID
        chosen = np.searchsorted(np.cumsum(self.mass), rng.random(n) * (1 - 1e-12))
        return self.points[chosen.clip(max=self.mass.size - 1)] + cell * (rng.random((n, 2)) - 0.5)

    @cached_property
    def lines(self) -> tuple[Array, Array]:
        """Level lines at 5 and 50 percent of the maximum, as segments broken by NaN."""
        square = self.mass.reshape(N_GRID, N_GRID)[::2, ::2]
        lines = [level_lines(self.axis[::2], self.axis[::2], square, share * square.max()) for share in (0.05, 0.5)]
        return np.concatenate([x for x, _ in lines]), np.concatenate([y for _, y in lines])
