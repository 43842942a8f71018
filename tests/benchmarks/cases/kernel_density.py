"""Sums of Gaussian weights, and their exact means."""

from collections.abc import Iterator

import numpy as np
from scipy.special import logsumexp

from compute.statistical_physics.kernel_density_large_dimension import finite, simulation
from tests.benchmarks.kernels import Case


def cases() -> Iterator[Case]:
    distance = simulation.draw_distances(np.random.default_rng(0), 4000, 20, "typical", 60)
    precision = np.geomspace(0.1, 3.0, 20) ** -2
    yield Case(
        "log sums of weights, 60 points, 4000 samples, 20 bandwidths",
        lambda: simulation.log_sums(distance, precision),
        "SciPy logsumexp",
        lambda: np.stack([logsumexp(-0.5 * p * distance, axis=1) for p in precision], axis=1),
        (simulation.log_sums,),
    )

    step, n = 0.05, np.exp(20 * np.linspace(0.05, 1.5, 59))
    y, x = np.arange(0.0, 100.0, step), np.arange(-40.0, 4.5, step)
    cdf = finite.distance_cdf(2 * y / 1.5, 20)
    absorb = np.exp(x - np.exp(x)) * step
    square = (2 - np.exp(x)) * np.exp(2 * x - np.exp(x)) * step

    def plain() -> np.ndarray:
        n_s = cdf.size + absorb.size
        below = np.concatenate([cdf, np.ones(absorb.size)])
        log_phi = np.log1p(-np.minimum(np.convolve(below, absorb)[:n_s], 1 - 1e-16))[1:]
        squared = np.convolve(below, square)[1:n_s]
        survivor = np.exp(n[:, None] * log_phi)
        mean_log = -np.euler_gamma - (-40.0 + step * (0.5 + survivor.sum(axis=1)))
        pairs = (survivor / np.exp(log_phi)) @ squared
        return np.stack([mean_log, np.clip(step * n * pairs, 1 / n, 1.0)])

    yield Case(
        "exact mean log sum and concentration, 59 loads",
        lambda: np.stack(finite._sum_integrals(cdf, absorb, square, -40.0, step, n)),
        "NumPy convolve",
        plain,
        (finite._sum_integrals,),
        rtol=1e-7,
    )
