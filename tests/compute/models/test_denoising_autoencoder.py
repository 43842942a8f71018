"""The autoencoder against scikit-learn, its path integral against the log density, its chain against SciPy."""

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.linear_model import Ridge

from compute.models.denoising_autoencoder import bumps, fit, local_minima, metropolis, path_integral
from compute.models.gaussian_mixture import GaussianMixture

LAW = GaussianMixture(np.array([0.5, 0.5]), np.array([[-2.0], [2.0]]), 0.3)


def score(x):
    return LAW.score(x[:, None], 0.5)[:, 0]


def log_ratio(x, to):
    return LAW.log_density(to[:, None], 0.5) - LAW.log_density(x[:, None], 0.5)


def test_fit_is_ridge_regression():
    rng = np.random.default_rng(0)
    clean = LAW.sample(rng, 300)[:, 0]
    noisy = clean + 0.5 * rng.standard_normal(300)
    centers = np.linspace(-4, 4, 12)
    model = Ridge(alpha=300 * 1e-3, fit_intercept=False, solver="cholesky").fit(bumps(noisy, centers), clean - noisy)
    assert fit(noisy, clean, centers, 1e-3) == pytest.approx(model.coef_, rel=1e-8)


def test_many_pairs_and_bumps_learn_the_score():
    rng = np.random.default_rng(1)
    clean = LAW.sample(rng, 60_000)[:, 0]
    noisy = clean + 0.5 * rng.standard_normal(clean.size)
    centers = np.linspace(-4, 4, 40)
    x = np.linspace(-3, 3, 61)
    learned = bumps(x, centers) @ fit(noisy, clean, centers) / 0.25
    weight = LAW.noised(0.5).pdf(x)
    error = np.sqrt(weight @ (learned - score(x)) ** 2 / (weight @ score(x) ** 2))
    assert error < 0.06


def test_path_integral_is_the_log_ratio_to_second_order():
    starts = np.linspace(-2.6, 2.1, 30)
    for jump, bound in ((0.5, 2e-4), (4.0, 0.01)):
        gap = path_integral(score, starts, starts + jump, 50) - log_ratio(starts, starts + jump)
        assert np.abs(gap).max() < bound
    worst = [np.abs(path_integral(score, starts, starts + 4, m) - log_ratio(starts, starts + 4)).max() for m in (20, 40, 80)]
    assert np.log2(worst[1] / worst[2]) == pytest.approx(2, abs=0.15)


def test_metropolis_on_the_exact_score_samples_the_smoothed_density():
    rng = np.random.default_rng(2)
    states, accepted = metropolis(score, rng.choice([-2.0, 2.0], 2500), 3.0, 50, 40, rng)
    assert 0.1 < accepted < 0.6
    assert kstest(states[-1], LAW.noised(0.5).cdf).pvalue > 1e-3


def test_local_minima_are_found():
    assert local_minima(np.array([3.0, 1.0, 2.0, 0.0, 0.0, 4.0, 3.0])).tolist() == [1, 3]
