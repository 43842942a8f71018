r"""Feynman-Kac correctors: sample products of powers of diffusion models, with weights that make it exact.

Experts q_i are seen through the same noise, variance u = sigma^2, with scores s_i and denoisers D_i; the target at
each level is p_u prop. prod_i q_{i,u}^{b_i}, B = sum b_i > 0. Downward in u,

    dx = (1 + c)/2 S du + sqrt(c) dW,     S = sum_i b_i s_i
    d log w = (|S|^2 - sum_i b_i |s_i|^2)/2 du

has weighted law p_u at every level and for every c >= 0: with d log q_i = -(div s_i + |s_i|^2)/2 du the divergences
cancel, so no Laplacian is needed. c = 1 is the reverse SDE of 037; more noise lets particles forget where they were, so
that their weights average out. Without the weights it is the heuristic in common use, and its law is not p_u.

Integration. With h the least width of the experts, noise of variance u on them is noise of variance v = h^2 + u on
narrower experts, whose denoisers are D_i. A step freezes these and solves the linear rest exactly: with
a = (1 + c) B/2 and r = (v'/v)^a,

    x' = r x + (1 - r)/B sum_i b_i D_i + noise of variance c v' (1 - (v'/v)^{2a-1})/(2a - 1).

It is stable at any step, exact on a Gaussian expert, ancestral sampling at B = c = 1 and h = 0, and v stays positive to
the end. The weight's integral is the trapezoid rule in log v, in which v times the rate varies slowly.

References
----------
Skreta et al., "Feynman-Kac correctors in diffusion" (2025), paper 037 of the catalogue, propositions 3.1 to 3.3,
here for variance-exploding noise. Golatkar et al. (2024), paper 159, for unions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compute.methods.log_sum_exp import log_sum_exp, softmax
from compute.methods.resampling import effective_fraction, normalized, systematic
from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]

RESAMPLING = ("none", "ess below half", "every step")


def _square(x: Array) -> Array:
    """(n,) squared lengths; of few coordinates far faster than a sum along them."""
    return np.asarray(np.einsum("ij,ij->i", x, x))


@dataclass(frozen=True, eq=False)
class Powers:
    """prod_i q_i^{b_i}: annealing (one expert), guidance (1 - w, w), products (all 1).

    Parameters
    ----------
    experts : tuple of GaussianMixture
    exponents : (n_experts,) array
        Their sum must be positive.
    """

    experts: tuple[GaussianMixture, ...]
    exponents: Array

    @property
    def total(self) -> float:
        """B."""
        return float(np.sum(self.exponents))

    @property
    def center(self) -> Array:
        """(d,) sum_i b_i E_i / B: where the target sits at large noise."""
        return np.sum([b * q.mean for b, q in zip(self.exponents, self.experts, strict=True)], axis=0) / self.total

    def narrowed(self, width: float) -> Powers:
        """The same of experts that this much more noise turns into these."""
        return Powers(tuple(_narrowed(q, width) for q in self.experts), self.exponents)

    def pull(self, x: Array, sigma: float) -> tuple[Array, Array]:
        """(n, d) sum_i b_i D_i, and (n,) the rate (|S|^2 - sum_i b_i |s_i|^2)/2 of the log weight."""
        total, squares = np.zeros_like(x), np.zeros(len(x))
        for b, expert in zip(self.exponents, self.experts, strict=True):
            denoised = expert.denoise(x, sigma)
            total += b * denoised
            squares += b * _square(denoised - x)
        return total, (_square(total - self.total * x) - squares) / (2 * sigma**4)

    def log_target(self, x: Array, sigma: float = 0.0) -> Array:
        """(n,) log of the target at that level, up to a constant."""
        return np.sum([b * q.log_density(x, sigma) for b, q in zip(self.exponents, self.experts, strict=True)], axis=0)


@dataclass(frozen=True, eq=False)
class Union:
    """sum_k lambda_k q_k: the score of the pooled data is that of shard k weighed by lambda_k q_k(x); no weights arise.

    Parameters
    ----------
    experts : tuple of GaussianMixture
    shares : (n_experts,) array
        lambda; 0 drops a shard.
    """

    experts: tuple[GaussianMixture, ...]
    shares: Array

    total = 1.0

    @property
    def center(self) -> Array:
        """(d,) mean of the pooled data."""
        return self.shares @ np.stack([q.mean for q in self.experts]) / self.shares.sum()

    def narrowed(self, width: float) -> Union:
        """The same of shards that this much more noise turns into these."""
        return Union(tuple(_narrowed(q, width) for q in self.experts), self.shares)

    def _logits(self, x: Array, sigma: float) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(self.shares) + np.stack([q.log_density(x, sigma) for q in self.experts], axis=1)

    def attribution(self, x: Array, sigma: float = 0.0) -> Array:
        """(n, n_experts) posterior weight of each shard."""
        return softmax(self._logits(x, sigma))

    def pull(self, x: Array, sigma: float) -> tuple[Array, Array]:
        """(n, d) posterior mean of the pooled data, and a rate of 0."""
        denoised = np.stack([q.denoise(x, sigma) for q in self.experts], axis=1)
        return np.einsum("nk,nkd->nd", self.attribution(x, sigma), denoised), np.zeros(len(x))

    def log_target(self, x: Array, sigma: float = 0.0) -> Array:
        """(n,) log of the pooled density at that level, up to a constant."""
        return log_sum_exp(self._logits(x, sigma))


def _narrowed(expert: GaussianMixture, width: float) -> GaussianMixture:
    return GaussianMixture(expert.weights, expert.means, float(np.sqrt(max(expert.width**2 - width**2, 0.0))))


@dataclass(frozen=True)
class State:
    """Particles at one noise level."""

    sigma: float
    x: Array  # (n, d)
    log_weights: Array  # (n,) since the last resampling
    resampled: bool  # whether they are drawn anew from here
    ancestor: NDArray[np.int64]  # (n,) the particle of the start that each descends from

    def mean(self, values: Array) -> tuple[Array, Array]:
        """Weighted mean of (n, …) values, and its standard error by families.

        Particles that share an ancestor are not independent: the squared deviations are summed family by family
        (Chan & Lai 2013), which reads too low once a single family is left.
        """
        weights = normalized(self.log_weights)
        columns = values.reshape(weights.size, -1)
        average = weights @ columns
        deviations = weights[:, None] * (columns - average)
        families = np.stack([np.bincount(self.ancestor, column) for column in deviations.T])
        error = np.sqrt(np.sum(families**2, axis=1))
        return average.reshape(values.shape[1:]), error.reshape(values.shape[1:])


def variances(width: float, sigma_max: float, n_steps: int) -> Array:
    """(n_steps + 1,) values of v = width^2 + sigma^2, geometric from sigma_max down to sigma = 0."""
    return np.geomspace(width**2 + sigma_max**2, width**2, n_steps + 1)


def step_noise(pace: float, v: float, v_next: float) -> float:
    """int (v'/w)^{2a} dw over the step, smooth through a = 1/2: the variance of its noise over c."""
    p, log_ratio = 2 * pace - 1, np.log(v / v_next)
    return float(v_next * (-np.expm1(-p * log_ratio) / p if abs(p) > 1e-12 else log_ratio))


def start(
    target: Powers | Union, spread: float, rng: np.random.Generator, n: int, sigma: float, weighted: bool
) -> tuple[Array, Array]:
    """Particles and log weights at the top level.

    Weighted, they are drawn from a somewhat wide normal law and carry its exact importance weight. The heuristic starts
    from N(0, (spread^2 + sigma^2)/B) and carries none.
    """
    normal = rng.standard_normal((n, target.center.size))
    std = np.sqrt((spread**2 + sigma**2) / target.total)
    if not weighted:
        return std * normal, np.zeros(n)
    x = target.center + np.sqrt(1.2) * std * normal
    log_weights = target.log_target(x, sigma) + 0.5 * np.sum(normal**2, axis=1)
    return x, log_weights - log_weights.max()


def run(
    target: Powers | Union,
    spread: float,
    sigma_max: float,
    n_steps: int,
    n: int,
    rng: np.random.Generator,
    *,
    weighted: bool = True,
    resampling: str = "ess below half",
    noise_scale: float = 1.0,
) -> Iterator[State]:
    """Take particles from sigma_max to no noise, yielding every level, the top one first.

    Parameters
    ----------
    target : Powers or Union
        Of experts of positive width.
    spread : float
        Standard deviation of the experts' data, for the start.
    sigma_max : float
    n_steps : int
    n : int
        Particles.
    rng : numpy.random.Generator
    weighted : bool
        Whether particles carry weights; without them this is the heuristic.
    resampling : str
        One of ``RESAMPLING``.
    noise_scale : float
        c: 0 moves particles without noise, 1 is the reverse SDE.
    """
    width = min(q.width for q in target.experts)
    bare, total = target.narrowed(width), target.total
    grid = variances(width, sigma_max, n_steps)
    x, log_weights = start(target, spread, rng, n, sigma_max, weighted)
    pulled, rate = bare.pull(x, np.sqrt(grid[0]))
    resampled, ancestor = False, np.arange(n)
    for k, v in enumerate(grid):
        if weighted:
            fraction = effective_fraction(log_weights)
            resampled = resampling == "every step" or (resampling == "ess below half" and fraction < 0.5)
        yield State(float(np.sqrt(max(v - width**2, 0.0))), x, log_weights, resampled, ancestor)
        if k == n_steps:
            return
        if resampled:
            chosen = systematic(rng, normalized(log_weights))
            x, pulled, rate, ancestor = x[chosen], pulled[chosen], rate[chosen], ancestor[chosen]
            log_weights = np.zeros(n)
        v_next = grid[k + 1]
        pace = (1 + noise_scale) * total / 2
        r = (v_next / v) ** pace
        x = r * x + (1 - r) / total * pulled
        x = x + np.sqrt(noise_scale * step_noise(pace, v, v_next)) * rng.standard_normal(x.shape)
        pulled, rate_next = bare.pull(x, np.sqrt(v_next))
        if weighted:
            log_weights = log_weights + 0.5 * (v * rate + v_next * rate_next) * np.log(v / v_next)
        rate = rate_next


def last(states: Iterator[State]) -> State:
    """The state without noise."""
    for state in states:
        end = state
    return end
