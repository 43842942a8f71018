"""The Langevin-Gibbs chain against its own joint law, and its denoiser against the mixture engine."""

import numpy as np
import pytest
from scipy.stats import chisquare

from compute.methods.langevin_gibbs import denoise_rows, walk
from compute.models.gaussian_mixture import GaussianMixture, preset

LAW = GaussianMixture(np.array([0.3, 0.7]), np.array([[-1.0], [1.0]]), 0.3)
SIGMAS = np.geomspace(0.1, 4.0, 6)


def test_denoiser_of_rows_is_the_engine():
    for law in (LAW, preset("grid_2d", 2.0)):
        y = 3 * np.random.default_rng(0).standard_normal((7, law.dimension))
        sigma = np.array([0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0])
        expected = np.concatenate([law.denoise(y[k : k + 1], sigma[k]) for k in range(7)])
        assert denoise_rows(law, y, sigma) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("prior", [np.zeros(6), np.log(np.array([0.3, 0.1, 0.2, 0.1, 0.1, 0.2]))])
def test_chain_keeps_its_joint_law(prior):
    rng = np.random.default_rng(1)
    x, level = walk(LAW, SIGMAS, prior, 0.02, 800, 100, 150, 12, rng)
    expected = np.exp(prior) / np.exp(prior).sum()
    # Draws of one chain are still a little alike: one in three counts.
    counts = np.bincount(level[:, ::3].ravel(), minlength=6)
    assert chisquare(counts, expected * counts.sum()).pvalue > 1e-3
    for s in range(6):
        inside = x[level == s, 0]
        law = LAW.noised(float(SIGMAS[s]))
        variance = float(law.covariance[0, 0])
        error = np.sqrt(3 * variance / inside.size)
        assert abs(inside.mean() - law.mean[0]) < 4 * error
        assert inside.var() == pytest.approx(variance, rel=4 * np.sqrt(6 / inside.size) + 0.01)


def test_unadjusted_steps_widen_a_normal_law_as_they_should():
    one = GaussianMixture(np.ones(1), np.zeros((1, 2)), 0.5)
    rng = np.random.default_rng(2)
    x, _ = walk(one, np.array([1.0]), np.zeros(1), 0.8, 40, 1, 8000, 1, rng)
    assert x.var() / 1.25 == pytest.approx(1 / (1 - 0.8 / 4), rel=4 * np.sqrt(2 / x.size))
