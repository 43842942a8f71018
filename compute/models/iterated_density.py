r"""A density fitted, generation after generation, to draws from its own last fit.

The truth is N(0, 1). Each generation draws n points, fits a Gaussian (mean and unbiased variance) or a kernel density of
bandwidth h, and the next one draws from that fit. Replace: all n points come from the last fit. Mix: some are real. Accumulate:
the fit is to the points of all generations so far.

References
----------
Gerstgrasser et al., "Is model collapse inevitable?" (2024), paper 071 of the catalogue: its Gaussian and kernel density chains.
The exact means are derived here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import digamma
from scipy.stats import norm

Array = NDArray[np.float64]


def log_variance_drift(n: int) -> float:
    """Mean change of log variance a generation when Gaussian fits replace each other: digamma((n-1)/2) - log((n-1)/2)."""
    return float(digamma((n - 1) / 2) - np.log((n - 1) / 2))


def mean_variance(policy: str, n: int, real: int, bandwidth: float, generations: int, *, unbiased: bool) -> Array:
    """(generations + 1,) exact mean variance of the fit.

    Of independent points with means mu_i and variances v_i the variance (over N) has mean (1 - 1/N) mean(v_i) + Var(mu_i).

    Parameters
    ----------
    policy : str
        "replace", "accumulate" or "mix".
    n, real : int
        Points a generation, and how many of them are real in a mix.
    bandwidth : float
        Added (squared) to the variance by a kernel density; 0 for a Gaussian.
    generations : int
    unbiased : bool
        Whether the variance is divided by N - 1 (the Gaussian fit) or N (the kernel density).
    """
    v = np.ones(generations + 1)
    p = real / n if policy == "mix" else 0.0
    held = variance = mean_square = 0.0  # points held, their variance over N, mean square of their mean
    for g in range(1, generations + 1):
        if policy == "accumulate":
            # New points scatter around the mean of those held.
            size = held + n
            variance = (held * variance + n * v[g - 1]) / size - n * v[g - 1] / size**2
            held = size
        else:
            held, within = n, (1 - p) * v[g - 1] + p
            variance = (1 - 1 / n) * within + p * (1 - p) * mean_square
            mean_square = within / n + (1 - p) ** 2 * mean_square
        v[g] = variance * (held / (held - 1) if unbiased else 1) + bandwidth**2
    return v


@dataclass
class Chains:
    """Independent chains of one policy.

    ``bandwidth`` 0 means Gaussian fits.
    """

    policy: str
    n: int
    real: int
    bandwidth: float
    mean: Array  # (n_chains,)
    variance: Array  # (n_chains,) of the fit
    points: Array  # (n_chains, n_held) that the last fit was made of

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """(n_chains, count) draws from the last fit."""
        noise = rng.standard_normal((self.mean.size, count))
        if not self.bandwidth or not self.points.size:
            return self.mean[:, None] + np.sqrt(self.variance)[:, None] * noise
        chosen = rng.integers(self.points.shape[1], size=noise.shape)
        return np.take_along_axis(self.points, chosen, axis=1) + self.bandwidth * noise

    def fit(self, rng: np.random.Generator) -> Chains:
        """The next generation."""
        real = self.real if self.policy == "mix" else 0
        fresh = np.concatenate([self.draw(rng, self.n - real), rng.standard_normal((self.mean.size, real))], axis=1)
        points = np.concatenate([self.points, fresh], axis=1) if self.policy == "accumulate" else fresh
        spread = points.var(axis=1, ddof=0 if self.bandwidth else 1) + self.bandwidth**2
        return Chains(self.policy, self.n, self.real, self.bandwidth, points.mean(axis=1), spread, points)

    def density(self, x: Array, chain: int) -> Array:
        """A chain's fitted density on an even grid."""
        if not self.bandwidth or not self.points.size:
            return norm.pdf(x, self.mean[chain], np.sqrt(self.variance[chain]))
        step = x[1] - x[0]
        fine = 8
        edges = np.linspace(x[0] - step / 2, x[-1] + step / 2, fine * x.size + 1)
        counts, _ = np.histogram(self.points[chain], edges)
        smooth = gaussian_filter1d(counts.astype(float), self.bandwidth / (step / fine), mode="constant", truncate=6)
        smooth /= self.points.shape[1] * step / fine
        return smooth.reshape(-1, fine).mean(axis=1)


def start(policy: str, n: int, real: int, bandwidth: float, count: int) -> Chains:
    """Generation 0: the truth itself."""
    return Chains(policy, n, real, bandwidth, np.zeros(count), np.ones(count), np.empty((count, 0)))


def run(rng: np.random.Generator, chains: Chains, generations: int) -> Iterator[Chains]:
    """Generation 0, 1, …"""
    yield chains
    for _ in range(generations):
        chains = chains.fit(rng)
        yield chains
