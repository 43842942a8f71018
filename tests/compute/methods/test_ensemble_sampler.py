"""The stretch move against exact moments, with standard errors from independent ensembles."""

import numpy as np
import pytest

from compute.methods.ensemble_sampler import sample


def test_moments_of_a_skewed_gaussian():
    covariance = np.array([[1.0, 0.95], [0.95, 1.2]])
    precision = np.linalg.inv(covariance)
    rng = np.random.default_rng(0)
    means, covs = [], []
    for _ in range(12):
        chain, _, share = sample(lambda x: -0.5 * np.einsum("ni,ij,nj->n", x, precision, x), rng.normal(size=(40, 2)), 1200, rng)
        kept = chain[200:].reshape(-1, 2)
        means.append(kept.mean(axis=0))
        covs.append(np.cov(kept.T))
        assert 0.3 < share < 0.9
    for found, exact in ((np.array(means), np.zeros(2)), (np.array(covs), covariance)):
        error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
        assert np.all(np.abs(found.mean(axis=0) - exact) < 4 * error)


def test_walls_are_kept():
    rng = np.random.default_rng(1)
    chain, log_p, _ = sample(lambda x: np.where(x[:, 0] > 0, -x[:, 0], -np.inf), rng.exponential(size=(20, 1)), 3000, rng)
    assert chain.min() > 0 and np.isfinite(log_p).all()
    assert chain[300:].mean() == pytest.approx(1, abs=0.05)  # exponential; 54,000 correlated draws


def test_too_few_walkers_are_refused():
    with pytest.raises(ValueError, match="even number above 4"):
        sample(lambda x: -(x[:, 0] ** 2), np.ones((4, 2)), 1, np.random.default_rng(0))
