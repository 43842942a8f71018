r"""Gaussian mixtures under Gaussian noise: everything a diffusion model would have to learn, exactly.

Data x ~ sum_k pi_k N(mu_k, s^2 I) in R^d; seen through noise, y = x + sigma z, it is again a mixture, of width
sqrt(s^2 + sigma^2). With responsibilities w_k(y) prop. pi_k N(y; mu_k, (s^2 + sigma^2) I):

    denoiser              D(y; sigma) = E[x | y] = sum_k w_k (mu_k + c (y - mu_k)),  c = s^2/(s^2 + sigma^2)
    score                 grad log p_sigma(y) = (D - y)/sigma^2                      (Tweedie's formula)
    posterior covariance  C = Cov[x | y] = (1 - c)^2 Cov_w(mu) + c sigma^2 I,  dD/dy = C/sigma^2

Shapes: points are (n, d) arrays, also where d = 1. The one kernel, ``_denoise``, works on 64 points at a time so
that every inner loop is over points and the compiler can use the machine's vector registers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtr

from compute.kernel import kernel

Array = NDArray[np.float64]

BLOCK = 64


@njit(inline="always")
def _exp(x):  # type: ignore[no-untyped-def]
    """exp(x) for x <= 0 to a relative 1e-13, as (Taylor polynomial of x/1024)^1024; unlike exp(x) it vectorizes.

    Below -40 it stays at exp(-40) = 4e-18, which no sum with a term of 1 can tell from 0.
    """
    t = max(x, -40.0) / 1024
    p = 1 + t * (1 + t * (1 / 2 + t * (1 / 6 + t * (1 / 24 + t * (1 / 120 + t / 720)))))
    for _ in range(10):
        p *= p
    return p


@kernel
def _denoise(y, sigma, log_weights, means, width, out):  # type: ignore[no-untyped-def]
    """E[x | y] for each row of y, into out."""
    n, d = y.shape
    n_components = log_weights.size
    precision = 1 / (width * width + sigma * sigma)
    keep = width * width * precision
    # Up to a term common to all components, log w_k = log pi_k - |mu_k|^2 precision/2 + <mu_k, y> precision.
    bias = np.empty(n_components)
    for k in range(n_components):
        bias[k] = log_weights[k] - 0.5 * precision * np.sum(means[k] * means[k])
    point = np.zeros((d, BLOCK))
    mean = np.empty((d, BLOCK))
    logit = np.empty((n_components, BLOCK))
    best = np.empty(BLOCK)
    total = np.empty(BLOCK)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        for j in range(d):
            for b in range(size):
                point[j, b] = y[start + b, j]
        best[:] = -np.inf
        for k in range(n_components):
            row = logit[k]
            row[:] = bias[k]
            for j in range(d):
                slope = means[k, j] * precision
                coordinate = point[j]
                for b in range(BLOCK):
                    row[b] += slope * coordinate[b]
            for b in range(BLOCK):
                best[b] = max(best[b], row[b])
        total[:] = 0.0
        mean[:] = 0.0
        for k in range(n_components):
            row = logit[k]
            for b in range(BLOCK):
                row[b] = _exp(row[b] - best[b])
            for b in range(BLOCK):
                total[b] += row[b]
            for j in range(d):
                coordinate = mean[j]
                for b in range(BLOCK):
                    coordinate[b] += means[k, j] * row[b]
        for b in range(size):
            for j in range(d):
                out[start + b, j] = keep * point[j, b] + (1 - keep) * mean[j, b] / total[b]
    return out


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """A mixture of isotropic Gaussians of one width.

    Parameters
    ----------
    weights : (n_components,) array
        Positive; they are scaled to sum to 1.
    means : (n_components, d) array
    width : float
        Standard deviation of each component in every direction; 0 puts a point mass at each mean.
    """

    weights: Array
    means: Array
    width: float

    def __post_init__(self) -> None:
        weights = np.asarray(self.weights, dtype=float)
        object.__setattr__(self, "weights", weights / weights.sum())
        object.__setattr__(self, "means", np.ascontiguousarray(self.means, dtype=float))
        object.__setattr__(self, "_log_weights", np.log(self.weights))

    @property
    def n_components(self) -> int:
        return self.weights.size

    @property
    def dimension(self) -> int:
        return self.means.shape[1]

    @property
    def mean(self) -> Array:
        """(d,) mean of the mixture."""
        return self.weights @ self.means

    @property
    def covariance(self) -> Array:
        """(d, d) covariance of the mixture."""
        centered = self.means - self.mean
        return (self.weights * centered.T) @ centered + self.width**2 * np.eye(self.dimension)

    @property
    def scale(self) -> float:
        """Root mean square standard deviation over the directions."""
        return float(np.sqrt(np.trace(self.covariance) / self.dimension))

    def noised(self, sigma: float) -> GaussianMixture:
        """The law of x + sigma z."""
        return GaussianMixture(self.weights, self.means, float(np.hypot(self.width, sigma)))

    def project(self, direction: Array) -> GaussianMixture:
        """The one-dimensional law of <direction, x>, for a (d,) unit vector."""
        return GaussianMixture(self.weights, (self.means @ direction)[:, None], self.width)

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """(n, d) independent draws."""
        chosen = rng.choice(self.n_components, size=n, p=self.weights)
        return self.means[chosen] + self.width * rng.standard_normal((n, self.dimension))

    # --- under noise -----------------------------------------------------------------------------------

    def denoise(self, y: Array, sigma: float) -> Array:
        """(n, d) E[x | y] at noise level sigma; y itself at sigma = 0."""
        y = np.ascontiguousarray(y, dtype=float)
        return _denoise(y, sigma, self._log_weights, self.means, self.width, np.empty_like(y))  # type: ignore[attr-defined]

    def score(self, y: Array, sigma: float = 0.0) -> Array:
        """(n, d) grad log p_sigma(y)."""
        # Not (D - y)/sigma^2, which is 0/0 at sigma = 0. The noisy law is a mixture itself: noise on bare means.
        y = np.ascontiguousarray(y, dtype=float)
        std = float(np.hypot(self.width, sigma))
        mean = _denoise(y, std, self._log_weights, self.means, 0.0, np.empty_like(y))  # type: ignore[attr-defined]
        return (mean - y) / std**2

    def _logits(self, y: Array, sigma: float) -> Array:
        """(n, n_components) log pi_k N(y; mu_k, (s^2 + sigma^2) I), component by component in memory: they are few."""
        variance = self.width**2 + sigma**2
        half_square = 0.5 * np.einsum("kd,kd->k", self.means, self.means)[:, None] - self.means @ y.T
        half_square += 0.5 * np.einsum("nd,nd->n", y, y)
        half_square /= -variance
        half_square += (self._log_weights - 0.5 * self.dimension * np.log(2 * np.pi * variance))[:, None]  # type: ignore[attr-defined]
        return half_square.T

    def log_density(self, y: Array, sigma: float = 0.0) -> Array:
        """(n,) log p_sigma(y)."""
        logits = self._logits(y, sigma)
        best = logits.max(axis=1)
        logits -= best[:, None]
        return best + np.log(np.exp(logits, out=logits).sum(axis=1))

    def responsibilities(self, y: Array, sigma: float = 0.0) -> Array:
        """(n, n_components) posterior probability w_k(y) of each component."""
        logits = self._logits(y, sigma)
        logits -= logits.max(axis=1, keepdims=True)
        weights = np.exp(logits, out=logits)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.ascontiguousarray(weights)

    def posterior_covariance(self, y: Array, sigma: float) -> Array:
        """(n, d, d) Cov[x | y]; divided by sigma^2 it is the Jacobian of the denoiser."""
        w = self.responsibilities(y, sigma)
        keep, spread = self._shrinkage(sigma)
        mean = w @ self.means
        second = np.einsum("nk,ki,kj->nij", w, self.means, self.means, optimize=True)
        among = second - mean[:, :, None] * mean[:, None, :]
        return (1 - keep) ** 2 * among + spread * np.eye(self.dimension)

    def posterior_variance(self, y: Array, sigma: float) -> Array:
        """(n, d) the diagonal of Cov[x | y]."""
        w = self.responsibilities(y, sigma)
        keep, spread = self._shrinkage(sigma)
        return (1 - keep) ** 2 * np.maximum(w @ self.means**2 - (w @ self.means) ** 2, 0.0) + spread

    def posterior_quadratic(self, y: Array, sigma: float, directions: Array) -> Array:
        """(n, n_directions) v^T Cov[x | y] v for (n, n_directions, d) directions v."""
        w = self.responsibilities(y, sigma)
        keep, spread = self._shrinkage(sigma)
        along = directions @ self.means.T  # (n, n_directions, n_components)
        mean = np.einsum("npk,nk->np", along, w)
        among = np.einsum("npk,nk->np", (along - mean[:, :, None]) ** 2, w)
        return (1 - keep) ** 2 * among + spread * np.sum(directions**2, axis=2)

    def _shrinkage(self, sigma: float) -> tuple[float, float]:
        """c = s^2/(s^2 + sigma^2) and the variance c sigma^2 left within a component."""
        keep = self.width**2 / (self.width**2 + sigma**2)
        return keep, keep * sigma**2

    # --- on the line -----------------------------------------------------------------------------------

    def _standardized(self, x: Array) -> Array:
        if self.dimension != 1:
            raise ValueError("a distribution function is of a law on the line; project first")
        return (np.asarray(x, dtype=float)[..., None] - self.means[:, 0]) / self.width

    def cdf(self, x: Array) -> Array:
        """P(X <= x) of a law on the line, for x of any shape."""
        return ndtr(self._standardized(x)) @ self.weights

    def pdf(self, x: Array) -> Array:
        """Density of a law on the line, for x of any shape."""
        z = self._standardized(x)
        return np.exp(-0.5 * z**2) @ self.weights / (np.sqrt(2 * np.pi) * self.width)

    def mean_below(self, x: Array) -> Array:
        """E[X; X <= x] of a law on the line, for x of any shape; infinities are allowed."""
        z = self._standardized(x)
        normal = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        return (ndtr(z) * self.means[:, 0] - self.width * normal) @ self.weights

    def quantile(self, p: Array) -> Array:
        """The x at which ``cdf`` is p, 0 < p < 1, for p of any shape, to 1e-9 of the width."""
        p = np.asarray(p, dtype=float)
        reach = 9 * self.width
        # Narrow components far apart need a grid that follows the components.
        grid = np.unique((self.means[:, 0, None] + np.linspace(-reach, reach, 400)).ravel())
        x = np.interp(p, self.cdf(grid), grid)
        low, high = np.full(p.shape, grid[0]), np.full(p.shape, grid[-1])
        for _ in range(60):
            gap = self.cdf(x) - p
            low, high = np.where(gap < 0, x, low), np.where(gap >= 0, x, high)
            newton = x - gap / np.maximum(self.pdf(x), 1e-300)
            step = np.where((newton > low) & (newton < high), newton, 0.5 * (low + high)) - x
            x = x + step
            if np.max(np.abs(step)) < 1e-9 * self.width:
                break
        return x


# --- presets: data sets of one width, spread by one separation ---------------------------------------------

PRESETS: dict[str, Callable[[float], GaussianMixture]] = {}
WIDTH = 0.3


def _preset(build: Callable[[float], GaussianMixture]) -> Callable[[float], GaussianMixture]:
    PRESETS[build.__name__] = build
    return build


def preset(name: str, separation: float) -> GaussianMixture:
    """The data set of that name; ``separation`` is in units of the data."""
    return PRESETS[name](separation)


def _circle(n: int) -> Array:
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@_preset
def two_modes_1d(separation: float) -> GaussianMixture:
    """Two equal modes, ``separation`` apart."""
    return GaussianMixture(np.array([0.5, 0.5]), separation * np.array([[-0.5], [0.5]]), WIDTH)


@_preset
def three_modes_1d(separation: float) -> GaussianMixture:
    """Three unequal modes, ``separation`` apart, off center on purpose."""
    return GaussianMixture(np.array([0.2, 0.5, 0.3]), separation * np.array([[-0.25], [0.75], [1.75]]), WIDTH)


@_preset
def ring_2d(separation: float) -> GaussianMixture:
    """Six modes on a circle of radius ``separation``."""
    return GaussianMixture(np.ones(6), separation * _circle(6), WIDTH)


@_preset
def grid_2d(separation: float) -> GaussianMixture:
    """Five by five modes, ``separation`` apart."""
    side = separation * np.arange(-2.0, 3.0)
    return GaussianMixture(np.ones(25), np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2), WIDTH)


@_preset
def moons_2d(separation: float) -> GaussianMixture:
    """Two half circles of radius ``separation``/1.5, each of 12 narrow components, one reaching into the other."""
    angle = np.pi * (np.arange(12) + 0.5) / 12
    upper = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], axis=1)
    return GaussianMixture(np.ones(24), separation / 1.5 * np.concatenate([upper, -upper]), WIDTH / 3)


@_preset
def ring_50d(separation: float) -> GaussianMixture:
    """The ring of ``ring_2d`` in the first two of 50 coordinates."""
    means = np.zeros((6, 50))
    means[:, :2] = separation * _circle(6)
    return GaussianMixture(np.ones(6), means, WIDTH)
