r"""Empirical model statistics of DPM-Solver-v3: the linearization of a denoiser along its own ODE.

In lambda = -log sigma the probability-flow ODE is dy/dlambda = -(y - D). Per coordinate,

    l(lambda)   makes N = (y - D) - l y flattest: l = E diag(I - C/sigma^2) minimizes E |grad N|^2
    s, b        make dN/dlambda = s N + b along the ODE, by least squares

over y of the forward process. With L = int l and S = int s from the start of a step the ODE has the exact solution
y' = e^{-L} [y - int e^{L+S} (g + int e^{-S} b)], g = e^{-S} N - int e^{-S} b, of which ``reverse_samplers.dpm_v3``
takes g constant or linear.

References
----------
Zheng et al., "DPM-Solver-v3" (2023), paper 028 of the catalogue: equations 5 to 12.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]

NODES = np.linspace(0, 1, 49)  # of the quadrature within a step
# CUMULATE @ f is the integral of f from 0 to each node, by the trapezoid rule.
CUMULATE = (np.tri(NODES.size) - 0.5 * np.eye(NODES.size)) * NODES[1]
CUMULATE[:, 0] = 0.5 * NODES[1]
CUMULATE[0] = 0.0


@dataclass(frozen=True)
class StepIntegrals:
    """What a step from one level to another needs, each (d,); L and S start at 0."""

    linear: Array  # l at the start
    shrink: Array  # e^{-L} at the end
    weight: Array  # int e^{L+S}
    drift: Array  # int e^{L+S} int e^{-S} b
    moment: Array  # int e^{L+S} (lambda - lambda_start)
    decay: Array  # e^{-S} at the end
    shift: Array  # int e^{-S} b


@dataclass(frozen=True, eq=False)
class Statistics:
    """l, s and b on a grid of lambda, per coordinate.

    Parameters
    ----------
    grid : (n_grid,) array
        lambda = -log sigma, rising evenly.
    l, s, b : (n_grid, d) arrays
    """

    grid: Array
    l: Array
    s: Array
    b: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "_stacked", np.stack([self.l, self.s, self.b], axis=1))

    def at(self, where: Array) -> Array:
        """(3, n, d) l, s and b at each lambda, linear between the grid's."""
        position = (where - self.grid[0]) / (self.grid[1] - self.grid[0])
        left = np.minimum(np.maximum(position.astype(int), 0), self.grid.size - 2)
        t = np.minimum(np.maximum(position - left, 0.0), 1.0)[:, None, None]
        values: Array = self._stacked  # type: ignore[attr-defined]
        return ((1 - t) * values[left] + t * values[left + 1]).transpose(1, 0, 2)

    def integrals(self, sigma: float, sigma_next: float) -> StepIntegrals:
        """The integrals from one level to another, by the trapezoid rule."""
        length = np.log(sigma / sigma_next)
        rise = length * NODES
        l, s, b = self.at(rise - np.log(sigma))
        big = length * (CUMULATE @ np.concatenate([l, s], axis=1))
        big_l, big_s = big[:, : l.shape[1]], big[:, l.shape[1] :]
        decay = np.exp(-big_s)
        inner = length * (CUMULATE @ (decay * b))
        growth = np.exp(big_l) / decay
        whole = length * CUMULATE[-1]
        return StepIntegrals(
            l[0], np.exp(-big_l[-1]), whole @ growth, whole @ (growth * inner), (whole * rise) @ growth, decay[-1], inner[-1]
        )


def statistics(
    mixture: GaussianMixture, rng: np.random.Generator, sigma_min: float, sigma_max: float, n_samples: int = 1000, n_grid: int = 121
) -> Statistics:
    """The statistics of a mixture's denoiser by Monte Carlo over the forward process.

    All levels share their samples, so that the curves are smooth.
    """
    grid = np.linspace(-np.log(sigma_max), -np.log(sigma_min), n_grid)
    data = mixture.sample(rng, n_samples)
    noise = rng.standard_normal(data.shape)
    levels = np.exp(-grid)
    l = np.stack([np.mean(1 - mixture.posterior_variance(data + v * noise, v) / v**2, axis=0) for v in levels])
    l_slope = np.gradient(l, grid, axis=0)
    s, b = np.zeros_like(l), np.zeros_like(l)
    step = 1e-3
    for i, sigma in enumerate(levels):
        y = data + sigma * noise
        drift = y - mixture.denoise(y, sigma)  # -dy/dlambda
        later, earlier = y - step * drift, y + step * drift
        after = later - mixture.denoise(later, sigma * np.exp(-step))
        before = earlier - mixture.denoise(earlier, sigma * np.exp(step))
        residual = drift - l[i] * y
        change = (after - before) / (2 * step) - l_slope[i] * y + l[i] * drift
        mean_residual, mean_change = residual.mean(axis=0), change.mean(axis=0)
        variance = residual.var(axis=0)
        covariance = np.mean(residual * change, axis=0) - mean_residual * mean_change
        s[i] = np.where(variance > 1e-12, covariance / np.maximum(variance, 1e-12), 0.0)
        b[i] = mean_change - s[i] * mean_residual
    return Statistics(grid, l, s, b)
