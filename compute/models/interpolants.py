r"""Stochastic interpolants between Gaussian mixtures: every conditional mean a model would have to learn, exactly.

The interpolant is x = sum_j a_j x_j + gamma z with z ~ N(0, I) independent of the endpoints x_1, ..., x_J in R^d, whose
joint law is a mixture: in component k they are jointly Gaussian with means mu_kj and, in each coordinate i on its own,
the covariance C_i (J x J), the same for all components. Then, with w_k(x) the posterior probability of component k,

    m_k = sum_j a_j mu_kj,   v = a^T C a + gamma^2,   r = x - sum_k w_k m_k
    E[x_j | x] = sum_k w_k mu_kj + (C a)_j r/v,       E[z | x] = gamma r/v,      score = -r/v = -E[z | x]/gamma
    velocity   = E[dx/dt | x] = sum_k w_k m_k' + (v'/2) r/v

(paper 117 of the catalogue; 153 for a on the simplex; 284 for endpoints that depend on each other). The last line needs
only gamma^2 and its derivative, so that gamma = sqrt(a t (1 - t)) does no harm at its ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compute.methods.log_sum_exp import softmax
from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Blend:
    """An interpolant at one time.

    Parameters
    ----------
    weight : (n_endpoints,) array
        a_j.
    rate : (n_endpoints,) array
        da_j/dt.
    variance : float
        gamma^2, of the latent noise.
    half_rate : float
        gamma dgamma/dt, half the rate of that variance.
    """

    weight: Array
    rate: Array
    variance: float = 0.0
    half_rate: float = 0.0


@dataclass(frozen=True, eq=False)
class JointMixture:
    """The joint law of all endpoints.

    Parameters
    ----------
    weights : (n_components,) array
        Positive, summing to 1.
    means : (n_components, n_endpoints, d) array
    covariance : (d, n_endpoints, n_endpoints) array
        Of the endpoints with each other, in each coordinate, within a component.
    """

    weights: Array
    means: Array
    covariance: Array

    @property
    def dimension(self) -> int:
        return self.means.shape[2]

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """(n_endpoints, n, d) joint draws of the endpoints."""
        chosen = rng.choice(self.weights.size, size=n, p=self.weights)
        # An eigenvalue of 0 (an endpoint that is a copy of another) is allowed.
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
        noise = rng.standard_normal((self.dimension, n, self.means.shape[1])) @ root.transpose(0, 2, 1)
        return self.means[chosen].transpose(1, 0, 2) + noise.transpose(2, 1, 0)

    def variance(self, blend: Blend) -> Array:
        """(d,) variance of x within a component."""
        return self.covariance @ blend.weight @ blend.weight + blend.variance

    def posterior(self, x: Array, blend: Blend) -> tuple[Array, Array, Array]:
        """(n, n_components) w_k(x), (n, d) residual r and (d,) variance v, for (n, d) points."""
        mean = blend.weight @ self.means
        v = self.variance(blend)
        scaled = mean / np.sqrt(v)
        logits = (x / np.sqrt(v)) @ scaled.T
        logits += np.log(self.weights) - 0.5 * np.sum(scaled**2, axis=1)
        w = softmax(logits)
        return w, x - w @ mean, v

    def conditional_means(self, x: Array, blend: Blend) -> Array:
        """(n_endpoints, n, d) E[x_j | x]."""
        w, residual, v = self.posterior(x, blend)
        shared = (self.covariance @ blend.weight) / v[:, None]  # (d, n_endpoints)
        return np.stack([w @ self.means[:, j] + residual * shared[:, j] for j in range(self.means.shape[1])])

    def drifts(self, x: Array, blend: Blend) -> tuple[Array, Array]:
        """(n, d) velocity E[dx/dt | x] and (n, d) score of the law of x."""
        w, residual, v = self.posterior(x, blend)
        ahead = blend.rate @ self.means
        half = self.covariance @ blend.weight @ blend.rate + blend.half_rate
        pull = residual / v
        return w @ ahead + half * pull, -pull

    def velocity(self, x: Array, blend: Blend) -> Array:
        """(n, d) E[dx/dt | x]."""
        return self.drifts(x, blend)[0]

    def law(self, blend: Blend) -> GaussianMixture:
        """The law of x, where all coordinates have one variance."""
        v = self.variance(blend)
        if np.ptp(v) > 1e-12 * v.max():
            raise ValueError("the coordinates differ in variance; this law is no isotropic mixture")
        return GaussianMixture(self.weights, blend.weight @ self.means, float(np.sqrt(v[0])))


def independent(endpoints: Sequence[GaussianMixture]) -> JointMixture:
    """Endpoints drawn independently of each other: a component for each tuple of components."""
    tuples = list(itertools.product(*(range(e.n_components) for e in endpoints)))
    weights = np.array([np.prod([e.weights[k] for e, k in zip(endpoints, chosen, strict=True)]) for chosen in tuples])
    means = np.array([[e.means[k] for e, k in zip(endpoints, chosen, strict=True)] for chosen in tuples])
    widths = np.diag([e.width**2 for e in endpoints])
    return JointMixture(weights, means, np.broadcast_to(widths, (means.shape[2], *widths.shape)))
