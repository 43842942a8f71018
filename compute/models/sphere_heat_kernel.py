r"""The heat kernel of the sphere S^d and its score, for the generator (1/2) Laplacian; S^1 is the circle, S^3 is SU(2).

With theta the angle to the start and P_l the Gegenbauer polynomial scaled to P_l(1) = 1,

    k_t(theta) = (1/Vol) sum_l h_l P_l(cos theta) e^{-l(l+d-1)t/2},
    h_l = (2l+d-1)(l+d-2)!/(l!(d-1)!),    P_{l+1} = ((2l+d-1) x P_l - l P_{l-1})/(l+d-1),
    dP_l/dx = (l(l+d-1)/d) P_{l-1} of S^{d+2}.

On S^1 and S^3 Poisson summation gives a dual sum over the windings of the geodesic,

    S^1: (2 pi t)^{-1/2} sum_m e^{-(theta+2 pi m)^2/2t},
    S^3: e^{t/2} (2 pi t)^{-3/2} sum_m ((theta+2 pi m)/sin theta) e^{-(theta+2 pi m)^2/2t}.

Near the start, with m = (d-1)/2, the parametrix of first order is

    (2 pi t)^{-d/2} (theta/sin theta)^m e^{-theta^2/2t} (1 + t a_1),    a_1 = m^2/2 + (m(m-1)/2)(cot theta - 1/theta)/theta,

exact on S^3 but for windings (there 1 + t/2 stands for e^{t/2}, which the score does not see); a_1 is derived from the transport
equation, since (1/2) Laplacian u_0/u_0 = (1/2)(m^2 + m(m-1)(1/theta^2 - 1/sin^2 theta)) for u_0 = (theta/sin theta)^m. Varadhan's
score is -theta/t.

References
----------
Lou, Xu, Farris and Ermon, "Scaling Riemannian Diffusion Models" (2023), paper 336 of the catalogue, section 3: kernels of
symmetric spaces by eigenfunctions and by the sum over geodesics, and the approximations they replace.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Array = NDArray[np.float64]


def multiplicities(d: int, n_terms: int) -> Array:
    """h_l for l = 0, …, n_terms - 1."""
    ell = np.arange(n_terms)
    if d == 1:
        return np.where(ell == 0, 1.0, 2.0)
    return np.asarray((2 * ell + d - 1) * np.exp(gammaln(ell + d - 1) - gammaln(ell + 1) - gammaln(d)))


def log_volume(d: int) -> float:
    """Of S^d."""
    return float(np.log(2) + (d + 1) / 2 * np.log(np.pi) - gammaln((d + 1) / 2))


def polynomials(d: int, n_terms: int, x: Array) -> Array:
    """(n_terms, n) scaled Gegenbauer polynomials of S^d at x = cos theta."""
    out = np.empty((n_terms, x.size))
    out[0] = 1.0
    if n_terms > 1:
        out[1] = x
    for ell in range(1, n_terms - 1):
        out[ell + 1] = ((2 * ell + d - 1) * x * out[ell] - ell * out[ell - 1]) / (ell + d - 1)
    return out


class EigenSum:
    """Truncated sums on a grid of angles, for any time and any truncation below the most."""

    def __init__(self, d: int, most_terms: int, theta: Array) -> None:
        x, ell = np.cos(theta), np.arange(most_terms)
        self.d, self.theta = d, theta
        self.rate = ell * (ell + d - 1) / 2
        weight = multiplicities(d, most_terms)[:, None] * np.exp(-log_volume(d))
        self.value = weight * polynomials(d, most_terms, x)
        self.slope = np.zeros_like(self.value)
        if most_terms > 1:
            inner = polynomials(d + 2, most_terms - 1, x)
            self.slope[1:] = -np.sin(theta) * weight[1:] * (2 * self.rate[1:] / d)[:, None] * inner

    def kernel(self, t: float, n_terms: int | None = None) -> Array:
        """k_t at the angles, (n,)."""
        n = self.rate.size if n_terms is None else n_terms
        return np.asarray(np.exp(-self.rate[:n] * t) @ self.value[:n])

    def derivative(self, t: float, n_terms: int | None = None) -> Array:
        """dk_t/d theta, (n,)."""
        n = self.rate.size if n_terms is None else n_terms
        return np.asarray(np.exp(-self.rate[:n] * t) @ self.slope[:n])

    def partial_scores(self, t: float) -> Array:
        """(n_terms, n) d log k_t/d theta of every truncation at once."""
        decay = np.exp(-self.rate * t)[:, None]
        kernel, slope = np.cumsum(decay * self.value, axis=0), np.cumsum(decay * self.slope, axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(kernel != 0, slope / kernel, 0.0))


def tail_bound(d: int, t: float, most_terms: int) -> Array:
    """(most_terms,) sum_{l >= n} h_l e^{-rate t} over the whole sum at theta = 0, n = 1, 2, …: what truncation neglects at most."""
    ell = np.arange(4 * most_terms + 50)
    terms = multiplicities(d, ell.size) * np.exp(-ell * (ell + d - 1) / 2 * t)
    return np.asarray(1 - np.cumsum(terms)[:most_terms] / terms.sum())


def dual_kernel(d: int, t: float, theta: Array, windings: int = 3) -> tuple[Array, Array]:
    """k_t and dk_t/d theta by the sum over windings -windings, …, windings; d is 1 or 3.

    Angles strictly between 0 and pi on S^3.
    """
    turns = theta + 2 * np.pi * np.arange(-windings, windings + 1)[:, None]
    bell = np.exp(-(turns**2) / (2 * t))
    if d == 1:
        scale = (2 * np.pi * t) ** -0.5
        return scale * bell.sum(axis=0), -scale * (turns / t * bell).sum(axis=0)
    scale = np.exp(t / 2) * (2 * np.pi * t) ** -1.5
    top, slope = (turns * bell).sum(axis=0), ((1 - turns**2 / t) * bell).sum(axis=0)
    sine, cosine = np.sin(theta), np.cos(theta)
    return scale * top / sine, scale * (slope / sine - top * cosine / sine**2)


def varadhan_score(t: float, theta: Array) -> Array:
    """-theta/t."""
    return -theta / t


def parametrix_score(d: int, t: float, theta: Array) -> Array:
    """d log/d theta of the parametrix of first order."""
    m = (d - 1) / 2
    gap = 1 / theta - 1 / np.tan(theta)
    a_1 = m**2 / 2 - m * (m - 1) / 2 * gap / theta
    slope = -m * (m - 1) / 2 * ((1 / np.sin(theta) ** 2 - 1 / theta**2) / theta - gap / theta**2)
    return np.asarray(-theta / t + m * gap + t * slope / (1 + t * a_1))


def random_walk(d: int, t: float, n_walkers: int, n_steps: int, rng: np.random.Generator) -> Array:
    """(n_walkers,) angles from the start of geodesic random walks: tangent Gaussian steps of variance t/n_steps."""
    x = np.ones(n_walkers)
    for _ in range(n_steps):
        along = rng.standard_normal(n_walkers)
        across = rng.chisquare(d - 1, n_walkers) if d > 1 else np.zeros(n_walkers)
        length = np.sqrt(along**2 + across)
        r = np.sqrt(t / n_steps) * length
        # The cosine of the angle after a geodesic of length r whose direction has this share along the meridian.
        x = np.clip(x * np.cos(r) + np.sqrt(1 - x * x) * np.sin(r) * along / length, -1, 1)
    return np.arccos(x)
