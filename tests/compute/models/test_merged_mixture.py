"""The mixture at several depths: exact ends, preserved moments, and Tweedie by another library's densities."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from compute.models import gaussian_mixture as gm
from compute.models.merged_mixture import depths


def test_last_depth_is_the_mixture_and_depth_zero_its_gaussian():
    mixture = gm.GaussianMixture(np.array([1.0, 2, 3, 1, 2]), np.random.default_rng(0).standard_normal((5, 2)) * 2, 0.3)
    layers = depths(mixture)
    assert [layer.weights.size for layer in layers] == [1, 2, 4, 5]
    y = np.random.default_rng(1).standard_normal((50, 2)) * 2
    for sigma in (0.1, 1.0, 8.0):
        assert layers[-1].denoise(y, sigma) == pytest.approx(mixture.denoise(y, sigma), abs=1e-9)
        linear = mixture.mean + (y - mixture.mean) @ np.linalg.solve(mixture.covariance + sigma**2 * np.eye(2), mixture.covariance)
        assert layers[0].denoise(y, sigma) == pytest.approx(linear, abs=1e-9)
    for layer in layers:  # moments survive merging
        mean = layer.weights @ layer.means
        second = np.einsum("k,kij->ij", layer.weights, layer.covariances + layer.means[:, :, None] * layer.means[:, None, :])
        assert mean == pytest.approx(mixture.mean, abs=1e-12)
        assert second - np.outer(mean, mean) == pytest.approx(mixture.covariance, abs=1e-12)


def test_denoiser_is_tweedie_of_the_noisy_density():
    layer, sigma, step = depths(gm.grid_2d(2.0))[2], 0.7, 1e-5

    def log_density(y):
        laws = (multivariate_normal(m, c + sigma**2 * np.eye(2)) for m, c in zip(layer.means, layer.covariances, strict=True))
        return np.log(sum(w * law.pdf(y) for w, law in zip(layer.weights, laws, strict=True)))

    y = np.array([0.4, -1.3])
    score = np.array([(log_density(y + e) - log_density(y - e)) / (2 * step) for e in step * np.eye(2)])
    assert layer.denoise(y[None, :], sigma)[0] == pytest.approx(y + sigma**2 * score, abs=1e-6)
