r"""Log-likelihood by the probability flow: follow a point up in noise and integrate the divergence.

Along dy/d(log sigma) = y - D the noisy density changes as d log p_sigma(y)/d(log sigma) = -(d - tr C/sigma^2), so

    log p_bottom(x) = log p_top(y_top) + int (d - tr C/sigma^2) d(log sigma),

with C the posterior covariance. The trace is exact, or Hutchinson's estimate v^T C v with random signs v, held fixed
along a path as in 281 (its equation 39 and appendix D.2). Both integrals by RK4 in log sigma.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Flow:
    """Where points end at the top level, and what they gathered."""

    end: Array  # (n, d)
    divergence: Array  # (n,) its integral, exact trace
    hutchinson: Array  # (n, n_probes) its integral, one random vector each


def climb(mixture: GaussianMixture, x: Array, sigma_min: float, sigma_max: float, n_steps: int, probes: Array) -> Flow:
    """Follow (n, d) points from sigma_min to sigma_max in equal steps of log sigma.

    Parameters
    ----------
    mixture : GaussianMixture
    x : (n, d) array
    sigma_min, sigma_max : float
    n_steps : int
        Each of four evaluations of the denoiser and of its trace.
    probes : (n, n_probes, d) array
        Random vectors of unit covariance; n_probes may be 0.
    """
    square = np.sum(probes**2, axis=2)

    def slope(y: Array, sigma: float) -> tuple[Array, Array, Array]:
        trace = np.sum(mixture.posterior_variance(y, sigma), axis=1)
        estimate = mixture.posterior_quadratic(y, sigma, probes) if probes.shape[1] else np.zeros((len(y), 0))
        return y - mixture.denoise(y, sigma), mixture.dimension - trace / sigma**2, square - estimate / sigma**2

    grid = np.geomspace(sigma_min, sigma_max, n_steps + 1)
    h = np.log(sigma_max / sigma_min) / n_steps
    y, total, guess = x, np.zeros(len(x)), np.zeros(probes.shape[:2])
    for low, high in itertools.pairwise(grid):
        middle = np.sqrt(low * high)
        k1, t1, g1 = slope(y, low)
        k2, t2, g2 = slope(y + h / 2 * k1, middle)
        k3, t3, g3 = slope(y + h / 2 * k2, middle)
        k4, t4, g4 = slope(y + h * k3, high)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        total = total + h / 6 * (t1 + 2 * t2 + 2 * t3 + t4)
        guess = guess + h / 6 * (g1 + 2 * g2 + 2 * g3 + g4)
    return Flow(y, total, guess)
