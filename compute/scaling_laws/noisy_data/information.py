r"""What samples of two noise levels tell about the means of a mixture: Fisher information and its exchange rates.

k equal-weight components of unit variance stand at spacing s on a line in R^d; a noisy sample has variance v = 1 + tau^2. With
posteriors r_i, the score of mean i is r_i (x - mu_i)/v, so the information in one sample is

    along the line        I_ij = E[r_i r_j (x - mu_i)(x - mu_j)]/v^2,        in each other direction   E[r_i r_j]/v.

n1 clean and n2 noisy samples hold J = n1 I(1) + n2 I(v). Diagonalizing I(v) against I(1) gives directions with an exchange rate
rho_j each: a noisy sample is worth rho_j clean ones there, and

    tr J^{-1} = sum_j c_j/(n1 + n2 rho_j),    c_j the error variance of direction j from one clean sample.

Information matrices are held as square roots (weighted scores), whose singular values do not lose what their squares would.

References
----------
Daras et al., "How much is a noisy image worth? Data Scaling Laws for Ambient Diffusion" (2024), paper 069 of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_triangular

Array = NDArray[np.float64]


def means_on_a_line(components: int, separation: float) -> Array:
    """(k,) means at equal spacing, centered."""
    return np.asarray(separation * (np.arange(components) - (components - 1) / 2))


def quadrature(components: int, separation: float, variance: float) -> tuple[Array, float]:
    """Equidistant nodes over the whole mixture and their step: the trapezoid rule converges geometrically.

    The posteriors have poles at a distance pi v/s from the real line, the Gaussians fall off within sqrt(v).
    """
    width = np.sqrt(variance)
    step = min(0.2 * width, 0.52 * variance / separation)
    half = separation * (components - 1) / 2 + 9.5 * width
    n = int(np.ceil(half / step))
    return step * np.arange(-n, n + 1), step


def posteriors(x: Array, means: Array, variance: float) -> tuple[Array, Array]:
    """(n, k) posteriors and (n,) density at points on the line."""
    log_each = -0.5 * (x[:, None] - means) ** 2 / variance
    top = log_each.max(axis=1)
    each = np.exp(log_each - top[:, None])
    total = each.sum(axis=1)
    density = np.exp(top) * total / (means.size * np.sqrt(2 * np.pi * variance))
    return each / total[:, None], density


def score_roots(components: int, separation: float, variance: float) -> tuple[Array, Array]:
    """(k, k) upper triangles R with I = R^T R, along the line and in any other direction."""
    means = means_on_a_line(components, separation)
    x, step = quadrature(components, separation, variance)
    weight, density = posteriors(x, means, variance)
    root = np.sqrt(step * density)[:, None]
    along = root * weight * (x[:, None] - means) / variance
    across = root * weight / np.sqrt(variance)
    return np.asarray(np.linalg.qr(along, mode="r")), np.asarray(np.linalg.qr(across, mode="r"))


def fisher_information(components: int, separation: float, variance: float) -> tuple[Array, Array]:
    """(k, k) information matrices of one sample, along the line and in any other direction."""
    along, across = score_roots(components, separation, variance)
    return along.T @ along, across.T @ across


@dataclass(frozen=True)
class Exchange:
    """Directions in the space of means: what a noisy sample is worth in each."""

    rate: Array  # (k d,) rho, clean samples per noisy one
    cost: Array  # (k d,) error variance from one clean sample

    def error(self, n_clean: ArrayLike, n_noisy: ArrayLike) -> Array:
        """tr J^{-1}: the sum of squared errors of all means, to first order."""
        information = np.asarray(n_clean, dtype=float)[..., None] + np.asarray(n_noisy, dtype=float)[..., None] * self.rate
        return np.asarray(np.sum(self.cost / information, axis=-1))

    def spread(self, n_clean: ArrayLike, n_noisy: ArrayLike) -> Array:
        """Standard deviation of the squared error over data sets: a sum of chi-squares with variances c/(n1 + n2 rho)."""
        information = np.asarray(n_clean, dtype=float)[..., None] + np.asarray(n_noisy, dtype=float)[..., None] * self.rate
        return np.asarray(np.sqrt(2 * np.sum((self.cost / information) ** 2, axis=-1)))

    def price(self, n_clean: ArrayLike, n_noisy: ArrayLike) -> Array:
        """Clean samples that lower the error by as much as one more noisy sample."""
        information = np.asarray(n_clean, dtype=float)[..., None] + np.asarray(n_noisy, dtype=float)[..., None] * self.rate
        gain = self.cost / information**2
        return np.asarray(np.sum(gain * self.rate, axis=-1) / np.sum(gain, axis=-1))

    @property
    def price_alone(self) -> float:
        """Error of n clean samples over that of n noisy ones: the price where there is nothing but noisy data."""
        return float(self.cost.sum() / np.sum(self.cost / self.rate))

    def clean_equivalent(self, n_clean: float, n_noisy: float) -> float:
        """Clean samples that the noisy ones replace, the clean ones being there."""
        return float(self.cost.sum() / self.error(n_clean, n_noisy) - n_clean)


def exchange(components: int, separation: float, corruption: float, dimension: int = 1) -> Exchange:
    """Diagonalize I(1 + tau^2) against I(1).

    With I = R^T R and the singular values lambda of R_v R_1^{-1} = U diag(lambda) V^T, rho = lambda^2 and c = |R_1^{-1} v|^2.
    """
    clean = score_roots(components, separation, 1.0)
    noisy = score_roots(components, separation, 1 + corruption**2)
    rates, costs = [], []
    for first, second, times in zip(clean, noisy, (1, dimension - 1), strict=True):
        ratio = solve_triangular(first, second.T, trans="T").T  # R_v R_1^{-1}
        _, singular, right = np.linalg.svd(ratio)
        directions = solve_triangular(first, right.T)
        rates += [np.minimum(singular**2, 1.0)] * times
        costs += [np.sum(directions**2, axis=0)] * times
    return Exchange(np.concatenate(rates), np.concatenate(costs))
