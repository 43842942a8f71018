"""Chains of fitted densities against their exact means and drifts."""

import numpy as np
import pytest
from scipy import stats

from compute.models import iterated_density as density


def spreads(policy, n, real, bandwidth, generations, count, seed):
    first = density.start(policy, n, real, bandwidth, count)
    return np.array([c.variance for c in density.run(np.random.default_rng(seed), first, generations)])


def test_log_variance_of_replaced_gaussians_drifts_at_the_exact_rate():
    n, generations, count = 8, 12, 4000
    log_variance = np.log(spreads("replace", n, 0, 0.0, generations, count, 1))
    rate = density.log_variance_drift(n)
    assert rate == pytest.approx(np.mean(np.log(stats.chi2(n - 1).ppf((np.arange(200_000) + 0.5) / 200_000) / (n - 1))), rel=1e-4)
    error = log_variance[-1].std() / np.sqrt(count)
    assert abs(log_variance[-1].mean() - generations * rate) < 3.5 * error


@pytest.mark.parametrize("policy", ["replace", "accumulate", "mix"])
@pytest.mark.parametrize("bandwidth", [0.0, 0.4])
def test_mean_variance_is_exact_for_every_policy(policy, bandwidth):
    n, real, generations, count = 12, 3, 8, 6000
    found = spreads(policy, n, real, bandwidth, generations, count, 5)
    exact = density.mean_variance(policy, n, real, bandwidth, generations, unbiased=bandwidth == 0)
    assert np.all(np.abs(found.mean(axis=1) - exact)[1:] < 4 * found.std(axis=1)[1:] / np.sqrt(count))


def test_replaced_kernel_densities_obey_their_recursion():
    exact = density.mean_variance("replace", 20, 0, 0.3, 5, unbiased=False)
    assert exact[1:] == pytest.approx((1 - 1 / 20) * exact[:-1] + 0.09)
    # Replaced Gaussian fits keep their mean variance.
    assert density.mean_variance("replace", 20, 0, 0.0, 50, unbiased=True) == pytest.approx(1)


def test_drawn_density_is_the_kernel_density():
    rng = np.random.default_rng(0)
    chains = density.start("replace", 40, 0, 0.25, 2).fit(rng)
    x = np.linspace(-4, 4, 161)
    exact = np.mean(stats.norm.pdf(x[:, None], chains.points[1], 0.25), axis=1)
    assert np.max(np.abs(chains.density(x, 1) - exact)) < 0.01
    assert chains.density(x, 1).sum() * 0.05 == pytest.approx(1, abs=1e-3)
