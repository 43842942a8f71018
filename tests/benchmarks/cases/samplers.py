"""Denoisers of Gaussian mixtures, and a sampler that runs on them."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from compute.methods.reverse_samplers import Run, euler, sample
from compute.models import gaussian_mixture
from compute.models.gaussian_mixture import GaussianMixture, preset
from compute.models.noise_schedule import EDM
from tests.benchmarks.kernels import Case


def denoise(mixture: GaussianMixture, y: np.ndarray, sigma: float) -> np.ndarray:
    """E[x | y] as one writes it in NumPy."""
    variance = mixture.width**2 + sigma**2
    keep = mixture.width**2 / variance
    logits = np.log(mixture.weights) - 0.5 * np.sum((y[:, None] - mixture.means) ** 2, axis=2) / variance
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return keep * y + (1 - keep) * weights @ mixture.means


def cases() -> Iterator[Case]:
    kernels = (gaussian_mixture._denoise,)
    for name in ("ring_2d", "grid_2d"):
        mixture = preset(name, 3.0)
        y = mixture.sample(np.random.default_rng(0), 50_000) + np.random.default_rng(1).standard_normal((50_000, 2))
        yield Case(
            f"denoiser of {mixture.n_components} modes in the plane, 50,000 points",
            lambda mixture=mixture, y=y: mixture.denoise(y, 1.0),
            "NumPy",
            lambda mixture=mixture, y=y: denoise(mixture, y, 1.0),
            kernels,
        )

    ring, levels = preset("ring_2d", 3.0), EDM.levels(50, 80.0)
    start = EDM.prior(np.random.default_rng(0), 50_000, 2, 80.0)

    def plain() -> np.ndarray:
        y = start
        for sigma, sigma_next in pairwise(levels):
            y = y + (sigma_next - sigma) * (y - denoise(ring, y, sigma)) / sigma
        return y

    yield Case(
        "first-order sampler, 50,000 particles in two dimensions, 50 steps",
        lambda: sample(euler, Run(ring.denoise, np.random.default_rng(0)), start, levels),
        "NumPy",
        plain,
        kernels,
        rtol=1e-6,
    )
