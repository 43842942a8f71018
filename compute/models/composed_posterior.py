r"""Scores of posteriors given one group of observations, composed into a bridge to the posterior given all.

theta has a prior of normal components N(mu_k, s_0^2), each observation is N(theta, s_l^2). A group of observations of mean x has the
posterior of components k with weights prop. N(x; mu_k, s_0^2 + s_l^2/m) and precision 1/s_0^2 + m/s_l^2; noised by the
variance-preserving process it stays a mixture, of variances v_t = a_t V + 1 - a_t. With G groups the composed bridge is

    log q_t = (1 - G)(1 - t) log p(theta) + sum_g log p_t(theta | group g) + const,

the posterior itself at t = 0 and N(0, 1/G) at t = 1. Its precision in the tails,

    Lambda_t = (1 - G)(1 - t)/s_0^2 + sum_g 1/v_{g,t},

is exact everywhere for one component; where it is not positive q_t is no density.

References
----------
Geffner, Papamakarios and Mnih, "Compositional Score Modeling for Simulation-based Inference" (2023), paper 261 of the catalogue:
equation 3 for one observation a group, section 3.2 for groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.methods.log_sum_exp import log_sum_exp, softmax

Array = NDArray[np.float64]

BETA_MIN, BETA_MAX = 0.1, 20.0
TWO_MODES = 1.5  # of the prior's component means, in their own width


def signal(t: ArrayLike) -> Array:
    """a_t = exp(-int beta), beta linear from 0.1 to 20 on [0, 1]."""
    t = np.asarray(t, dtype=float)
    return np.asarray(np.exp(-(BETA_MIN * t + (BETA_MAX - BETA_MIN) * t**2 / 2)))


def rate(t: ArrayLike) -> Array:
    """beta at t."""
    return np.asarray(BETA_MIN + (BETA_MAX - BETA_MIN) * np.asarray(t, dtype=float))


def group_sizes(n: int, group_size: int) -> Array:
    """Sizes of ceil(n/m) groups; the last takes what is left."""
    full, rest = divmod(n, group_size)
    return np.array([group_size] * full + ([rest] if rest else []), dtype=float)


def tail_precision(t: ArrayLike, sizes: Array, prior_scale: ArrayLike, noise_scale: ArrayLike) -> Array:
    """Lambda_t; t, s_0 and s_l broadcast, groups are summed over."""
    t, s0, sl = (np.asarray(v, dtype=float) for v in (t, prior_scale, noise_scale))
    total = (1 - sizes.size) * (1 - t) / s0**2
    for size in np.unique(sizes):
        v = signal(t) / (1 / s0**2 + size / sl**2) + 1 - signal(t)
        total = total + np.count_nonzero(sizes == size) / v
    return np.asarray(total)


@dataclass(frozen=True)
class Composed:
    """Groups of observations of one theta.

    Parameters
    ----------
    modes : (K,) array
        Means of the prior's equally likely components.
    prior_scale, noise_scale : float
        s_0 and s_l.
    means : (G,) array
        Mean of each group's observations.
    sizes : (G,) array
    """

    modes: Array
    prior_scale: float
    noise_scale: float
    means: Array
    sizes: Array

    @cached_property
    def _posteriors(self) -> tuple[Array, Array, Array]:
        """Log weights and means (G, K), and precisions (G, 1), of the groups' posteriors."""
        evidence = self.prior_scale**2 + self.noise_scale**2 / self.sizes[:, None]
        log_weight = -((self.means[:, None] - self.modes) ** 2) / (2 * evidence)
        log_weight -= log_sum_exp(log_weight)[:, None]
        precision = 1 / self.prior_scale**2 + self.sizes[:, None] / self.noise_scale**2
        mean = (self.modes / self.prior_scale**2 + (self.sizes * self.means)[:, None] / self.noise_scale**2) / precision
        return log_weight, mean, precision

    def _parts(self, t: float) -> tuple[Array, Array, Array]:
        """Log weights and means (G, K), and variances (G, 1), of the groups' posteriors noised to t."""
        log_weight, mean, precision = self._posteriors
        a = float(signal(t))
        return log_weight, np.sqrt(a) * mean, a / precision + 1 - a

    def log_prior(self, theta: Array) -> Array:
        """Up to a constant, (n,)."""
        return log_sum_exp(-((theta[:, None] - self.modes) ** 2) / (2 * self.prior_scale**2))

    def prior_score(self, theta: Array) -> Array:
        gap = theta[:, None] - self.modes
        weight = softmax(-(gap**2) / (2 * self.prior_scale**2))
        return np.asarray(-np.einsum("nk,nk->n", weight, gap) / self.prior_scale**2)

    def log_bridge(self, theta: Array, t: float, log_prior: Array | None = None) -> Array:
        """log q_t up to a constant, (n,); the prior there may be given, as it is the same at all times."""
        log_prior = self.log_prior(theta) if log_prior is None else log_prior
        log_weight, mean, variance = self._parts(t)
        each = log_sum_exp(log_weight - (theta[:, None, None] - mean) ** 2 / (2 * variance))
        return np.asarray((1 - self.sizes.size) * (1 - t) * log_prior + each.sum(axis=1))

    def score(self, theta: Array, t: float) -> Array:
        """d log q_t/d theta, (n,)."""
        if self.modes.size == 1:
            return np.asarray(-self.precision(t) * (theta - self.mean(t)))
        log_weight, mean, variance = self._parts(t)
        # The prior as one group more, so that a single softmax serves.
        log_weight = np.concatenate([log_weight, np.zeros((1, self.modes.size))])
        variance = np.append(variance, self.prior_scale**2)[:, None]
        share = np.append(np.ones(self.sizes.size), (1 - self.sizes.size) * (1 - t))
        gap = theta[:, None, None] - np.concatenate([mean, self.modes[None]])
        weight = softmax(log_weight - gap**2 / (2 * variance))
        return np.asarray(-np.einsum("ngk,ngk->ng", weight, gap) @ (share / variance[:, 0]))

    def precision(self, t: ArrayLike) -> Array:
        """Lambda_t."""
        return tail_precision(t, self.sizes, self.prior_scale, self.noise_scale)

    def mean(self, t: float) -> float:
        """Of q_t, for one component."""
        _, mean, variance = self._parts(t)
        pull = (1 - self.sizes.size) * (1 - t) * self.modes[0] / self.prior_scale**2
        return float((pull + np.sum(mean[:, 0] / variance[:, 0])) / self.precision(t))

    def whole(self) -> Composed:
        """All observations as one group: its noised posterior is the diffused truth."""
        total = self.sizes.sum()
        return Composed(
            self.modes, self.prior_scale, self.noise_scale, np.array([self.sizes @ self.means / total]), np.array([total])
        )
