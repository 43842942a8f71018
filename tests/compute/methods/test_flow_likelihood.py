"""Log-likelihood along the probability flow against scikit-learn's log density."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture as Sklearn

from compute.methods.flow_likelihood import climb
from compute.models import gaussian_mixture as gm


def sklearn_log_density(mixture, x, sigma):
    other = Sklearn(mixture.n_components, covariance_type="spherical")
    other.weights_, other.means_ = mixture.weights, mixture.means
    other.covariances_ = np.full(mixture.n_components, mixture.width**2 + sigma**2)
    other.precisions_cholesky_ = 1 / np.sqrt(other.covariances_)
    return other.score_samples(x)


@pytest.mark.parametrize("name", ["three_modes_1d", "ring_2d", "ring_50d"])
def test_exact_trace(name):
    mixture = gm.preset(name, 2.0)
    x = mixture.noised(0.02).sample(np.random.default_rng(0), 60)
    flow = climb(mixture, x, 0.02, 20.0, 400, np.empty((60, 0, mixture.dimension)))
    computed = sklearn_log_density(mixture, flow.end, 20.0) + flow.divergence
    assert computed == pytest.approx(sklearn_log_density(mixture, x, 0.02), abs=1e-4)


def test_hutchinson_is_unbiased():
    mixture = gm.ring_50d(2.0)
    rng = np.random.default_rng(1)
    x = mixture.sample(rng, 25)
    signs = rng.choice([-1.0, 1.0], size=(25, 64, 50))
    flow = climb(mixture, x, 0.02, 20.0, 40, signs)
    gap = flow.hutchinson - flow.divergence[:, None]
    error = gap.std(axis=1, ddof=1) / 8
    assert np.all(np.abs(gap.mean(axis=1)) < 4 * error + 1e-9)
    assert np.mean(gap**2) > 1e-3
    assert np.abs(gap.mean()) < 3 * gap.std() / np.sqrt(gap.size)


def test_hutchinson_is_exact_on_the_line():
    mixture = gm.two_modes_1d(2.0)
    signs = np.random.default_rng(2).choice([-1.0, 1.0], size=(10, 3, 1))
    flow = climb(mixture, mixture.sample(np.random.default_rng(3), 10), 0.02, 5.0, 20, signs)
    assert flow.hutchinson == pytest.approx(np.repeat(flow.divergence[:, None], 3, axis=1), abs=1e-12)
