r"""PFGM++: data seen through the heavy-tailed kernel of D augmented dimensions, exactly, for Gaussian mixtures.

The kernel prop. (|y - x|^2 + r^2)^{-(N+D)/2}, r = sigma sqrt(D), on R^N is a Gaussian whose precision 1/tau^2 is
random, Gamma(D/2, rate r^2/2). The denoiser is therefore an average of Gaussian denoisers D(y; tau) over tau, weighted by
that Gamma law and by the noisy density p_tau(y): a trapezoid sum over log tau^2. D -> infinity is the Gaussian kernel
of width sigma; D = 1 is the Poisson flow. The sampling ODE is dy/dsigma = (y - D(y))/sigma as ever.

References
----------
Xu et al., "PFGM++" (2023), paper 038 of the catalogue.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]

SPACING = 0.7  # of the nodes, in widths of the law of log tau^2 given y: errors below 1e-5
GAUSSIAN_ABOVE = 2000.0  # beyond it the Gaussian kernel stands in: the two differ by about 1/D


def log_variances(sigma: float, augmented: float, dimension: int, spacing: float = SPACING) -> Array:
    """Evenly spaced u = log tau^2 that cover the law of the kernel's variance as any y may tilt it.

    That law has width about sqrt(2/D) around log sigma^2, a wall below and the tail e^{-uD/2} above; a point far out
    moves its mass up by at most some 40/D, a point near the data down by at most about N/D. Given y, the width is
    sqrt(2/(N + D)) or more, which sets the spacing.
    """
    reach = 8 * np.sqrt(2 / augmented)
    center = 2 * np.log(sigma)
    low = center - min(reach + (dimension + 4) / augmented, 11.0)
    high = center + reach + 40 / augmented
    return np.linspace(low, high, int(np.ceil((high - low) / (spacing * np.sqrt(2 / (dimension + augmented))))))


def denoise(mixture: GaussianMixture, y: Array, sigma: float, augmented: float, spacing: float = SPACING) -> Array:
    """(n, d) E[x | y] under the kernel of that augmented dimension at r = sigma sqrt(augmented)."""
    if augmented > GAUSSIAN_ABOVE:
        return mixture.denoise(y, sigma)
    u = log_variances(sigma, augmented, mixture.dimension, spacing)
    # Density of u: precision q = e^{-u} is Gamma(D/2, rate r^2/2), and dq = q du.
    log_prior = -0.5 * augmented * u - 0.5 * augmented * sigma**2 * np.exp(-u)
    variance = mixture.width**2 + np.exp(u)
    keep = mixture.width**2 / variance
    # weight[u, k, n]: joint posterior of the kernel's variance and the component; points last, where NumPy is fast.
    square = np.sum(mixture.means**2, axis=1)[:, None] - 2 * mixture.means @ y.T + np.sum(y * y, axis=1)
    weight = np.multiply.outer(-0.5 / variance, square)
    weight += (log_prior - 0.5 * mixture.dimension * np.log(variance))[:, None, None] + np.log(mixture.weights)[:, None]
    weight -= weight.max(axis=(0, 1))
    np.maximum(weight, -60.0, out=weight)  # exp of less is slow where it underflows, and counts for nothing
    np.exp(weight, out=weight)
    of_component = np.tensordot(1 - keep, weight, 1)  # (n_components, n)
    of_point = np.tensordot(keep, weight, 1).sum(axis=0)
    total = of_component.sum(axis=0) + of_point
    return (of_component.T @ mixture.means + of_point[:, None] * y) / total[:, None]


def prior(rng: np.random.Generator, n: int, dimension: int, sigma_max: float, augmented: float) -> Array:
    """(n, dimension) draws of the kernel around 0: R^2/r^2 is BetaPrime(N/2, D/2), the direction uniform."""
    # A normal vector over the root of an independent Gamma variable: a ratio of Gammas is a beta prime. The normal
    # numbers come first, so that runs of one seed at several D start in the same directions.
    normal = rng.standard_normal((n, dimension))
    if augmented > GAUSSIAN_ABOVE:
        return sigma_max * normal
    return sigma_max * normal / np.sqrt(rng.gamma(augmented / 2, 2 / augmented, n))[:, None]


def radius_density(ratio: Array, dimension: int, augmented: float) -> Array:
    """Density of R/r at each ratio: of the root of a BetaPrime(N/2, D/2) variable."""
    a, b = dimension / 2, augmented / 2
    log_beta = gammaln(a) + gammaln(b) - gammaln(a + b)
    return 2 * np.exp((2 * a - 1) * np.log(ratio) - (a + b) * np.log1p(ratio**2) - log_beta)
