r"""A law given by a bank of windows, each widened to a normal of width h, asked for an event: C(x) > c.

C is the maximum or the mean. Everything about the event is exact here. Given a noisy y and window k, x is N(m_k, s^2 I) with m_k = mu_k + a (y - mu_k),
a = h^2/(h^2 + sigma^2), s^2 = a sigma^2. A maximum
fails to exceed c where all coordinates stay below it:

    P(E | y) = sum_k w_k(y) (1 - Q_k),    Q_k = prod_j Phi_kj,    Phi_kj = Phi((c - m_kj)/s),
    E[x_i; E | y] = sum_k w_k [(1 - Q_k) m_ki + Q_k s phi_ki/Phi_ki],

and a mean has the same with one normal in place of the product, so that sigma^2 grad log P(E | y) = E[x | y, E] - E[x | y] is known too. What paper 251 (its equation 9) puts in its place is

    log P(E | y) = log Phi((C(D) - c)/sqrt(g^T S g)),    g = grad C at the denoised D, S a covariance of x given y,

with S the posterior covariance from Tweedie's second-order formula; the gradient is taken through D, that of S and g left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]

EVENTS = ("maximum", "mean")
COVARIANCES = ("Tweedie", "isotropic", "none")


def mills(u: Array) -> Array:
    """phi(u)/Phi(u)."""
    return np.exp(-0.5 * u * u - log_ndtr(u)) / np.sqrt(2 * np.pi)


@dataclass(frozen=True, eq=False)
class Approximation:
    """The approximate conditional denoiser is ``denoised + pull``."""

    denoised: Array  # (n, length) E[x | y], exact
    log_chance: Array  # (n,) log P(E | y)
    pull: Array  # (n, length) sigma^2 times its gradient
    gradient: Array  # (n, length) g
    bend: Array  # (n,) where S and g stand still, the Jacobian of the pull is bend times pull pull^T


@dataclass(frozen=True, eq=False)
class EventBank:
    """The bank, and the exact law of its windows given the event.

    Parameters
    ----------
    law : GaussianMixture
        One component a window, of positive width.
    event : str
        One of ``EVENTS``: what C takes of a window.
    """

    law: GaussianMixture
    event: str = "maximum"

    def measure(self, x: Array) -> Array:
        """(n,) C of (n, length) windows."""
        return x.max(axis=1) if self.event == "maximum" else x.mean(axis=1)

    def gradient(self, x: Array) -> Array:
        """(n, length) grad C."""
        if self.event == "mean":
            return np.full(x.shape, 1 / x.shape[1])
        found = np.zeros(x.shape)
        found[np.arange(len(x)), x.argmax(axis=1)] = 1.0
        return found

    def log_below(self, threshold: float) -> Array:
        """(n_windows, length) log Phi of each coordinate below the threshold."""
        return np.asarray(log_ndtr((threshold - self.law.means) / self.law.width))

    def _excess(self, m: Array, s: float, threshold: float) -> Array:
        """(n,) standard deviations by which the means of N(m, s^2 I) exceed the threshold."""
        return np.asarray((m.mean(axis=1) - threshold) * np.sqrt(m.shape[1]) / s)

    def chances(self, threshold: float) -> Array:
        """(n_windows,) probability of the event around each window of the bank."""
        if self.event == "mean":
            return ndtr(self._excess(self.law.means, self.law.width, threshold))
        return np.asarray(-np.expm1(self.log_below(threshold).sum(axis=1)))

    def probability(self, threshold: float) -> float:
        """P(E)."""
        return float(self.law.weights @ self.chances(threshold))

    def sample_event(self, rng: np.random.Generator, n: int, threshold: float) -> Array:
        """(n, length) exact draws given the event, none rejected: a window, the first coordinate above, then all."""
        law = self.law
        chance = law.weights * self.chances(threshold)
        chosen = rng.choice(law.n_components, size=n, p=chance / chance.sum())
        if self.event == "mean":
            z = rng.standard_normal((n, law.dimension))
            least = -self._excess(law.means[chosen], law.width, threshold)
            # The mean of z, in its own standard deviations, is drawn beyond the least that will do.
            far = -ndtri(np.clip((1 - rng.random(n)) * ndtr(-least), 1e-300, 1.0))
            z += (far / np.sqrt(law.dimension) - z.mean(axis=1))[:, None]
            return np.asarray(law.means[chosen] + law.width * z)
        log_phi = self.log_below(threshold)[chosen]
        before = np.concatenate([np.zeros((n, 1)), np.cumsum(log_phi, axis=1)[:, :-1]], axis=1)
        first = np.cumsum(np.exp(before) * -np.expm1(log_phi), axis=1)
        place = (first < rng.random((n, 1)) * first[:, -1:]).sum(axis=1).clip(max=log_phi.shape[1] - 1)
        u = rng.random(log_phi.shape)
        column = np.arange(log_phi.shape[1])
        below = np.exp(log_phi)
        # Below the threshold before that coordinate, above it there, free after.
        u = np.where(column < place[:, None], u * below, u)
        at = (np.arange(n), place)
        means = law.means[chosen]
        x = means + law.width * ndtri(np.clip(u, 1e-300, 1 - 1e-16))
        # Above, from the upper tail, which keeps its digits there.
        upper = -np.expm1(log_phi[at])
        x[at] = means[at] - law.width * ndtri(np.clip((1 - u[at]) * upper, 1e-300, 1.0))
        return np.asarray(x)

    def exact(self, y: Array, sigma: float, threshold: float) -> tuple[Array, Array]:
        """Log P(E | y), (n,), and sigma^2 times its gradient, (n, length)."""
        law = self.law
        weight = law.responsibilities(y, sigma)
        keep = law.width**2 / (law.width**2 + sigma**2)
        s = np.sqrt(keep) * sigma
        row, column = np.nonzero(weight > 1e-9)  # the rest adds nothing to either sum
        m = law.means[column] + keep * (y[row] - law.means[column])
        w = weight[row, column]
        starts = np.searchsorted(row, np.arange(len(y)))
        if self.event == "mean":
            u = self._excess(m, s, threshold)
            some = w * ndtr(u)
            push = w * s * np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi * m.shape[1])  # along (1, …, 1)
            chance = np.maximum(np.add.reduceat(some, starts), 1e-300)
            inside = some[:, None] * m + push[:, None]
            return np.log(chance), np.add.reduceat(inside, starts) / chance[:, None] - law.denoise(y, sigma)
        gap = (threshold - m) / s
        log_phi = log_ndtr(gap)
        log_none = log_phi.sum(axis=1)
        some = w * -np.expm1(log_none)
        inside = some[:, None] * m + (w * s)[:, None] * np.exp(log_none[:, None] - log_phi - 0.5 * gap**2) / np.sqrt(2 * np.pi)
        chance = np.maximum(np.add.reduceat(some, starts), 1e-300)
        return np.log(chance), np.add.reduceat(inside, starts) / chance[:, None] - law.denoise(y, sigma)

    def approximate(
        self, y: Array, sigma: float, threshold: Array | float, covariance: str, gradient: Array | None = None
    ) -> Approximation:
        """What paper 251 puts in place of ``exact``, by one of ``COVARIANCES``.

        Parameters
        ----------
        covariance : str
            ``"none"`` keeps the width of the bank for the spread at every noise level.
        gradient : (n, length) array, optional
            g, where it is to be held fixed; that of C at the denoised points if not given.
        """
        law = self.law
        weight = law.responsibilities(y, sigma)
        keep = law.width**2 / (law.width**2 + sigma**2)
        mean = weight @ law.means
        denoised = keep * y + (1 - keep) * mean
        if gradient is None:
            gradient = self.gradient(denoised)
        # C g, of the posterior covariance.
        along = weight * (gradient @ law.means.T)
        total = along.sum(axis=1, keepdims=True)
        column = (1 - keep) ** 2 * (along @ law.means - total * mean) + keep * sigma**2 * gradient
        if covariance == "Tweedie":
            spread = np.sqrt(np.maximum(np.sum(gradient * column, axis=1), 1e-300))
        else:
            size = np.sqrt(np.sum(gradient**2, axis=1))
            spread = size * (np.sqrt(sigma**2 / (1 + sigma**2)) if covariance == "isotropic" else law.width)
        # Both events are positively homogeneous: C(D) = <g, D>.
        u = (np.sum(gradient * denoised, axis=1) - threshold) / spread
        slope = np.maximum(mills(u), 1e-100)
        return Approximation(denoised, log_ndtr(u), column * (slope / spread)[:, None], gradient, -(u + slope) / (slope * sigma**2))
