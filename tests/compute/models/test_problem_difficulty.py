"""Laws of difficulty against closed forms, direct quadrature and brute force."""

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import betaln, expit

from compute.models import problem_difficulty as difficulties

K = np.array([1, 3, 30, 1e3, 1e5, 1e8])


@pytest.mark.parametrize("a,b", [(0.05, 0.003), (0.05, 5.0), (0.3, 2.0), (3.0, 0.16), (3.0, 297.0)])
def test_quadrature_of_a_beta_law_is_its_closed_form(a, b):
    law = difficulties.beta_difficulty(a, b)
    exact = np.exp(betaln(a, b + K) - betaln(a, b))
    assert np.max(np.abs(law.failure(K) / exact - 1)) < 1e-4
    assert law.accuracy == pytest.approx(a / (a + b), rel=1e-6)
    assert difficulties.beta_failure(a, b, K) == pytest.approx(exact, rel=1e-12)


def test_exponent_of_coverage_tends_to_minus_the_tail_exponent():
    k = np.array([1e6, 1.01e6])
    log_loss = np.log(-np.log1p(-difficulties.beta_failure(0.3, 2.0, k)))
    assert np.diff(log_loss)[0] / np.log(1.01) == pytest.approx(-0.3, abs=0.01)


@pytest.mark.parametrize("law", [difficulties.beta_difficulty(0.3, 1.7, 0.2), difficulties.logit_normal_difficulty(-1.4, 2.0)])
def test_law_is_that_of_its_draws(law):
    p = law.draw(np.random.default_rng(0), 40_000)
    for k in (1, 10, 1000):
        sample = 1 - (1 - p) ** k
        assert abs(sample.mean() - law.coverage(k)) < 4 * sample.std() / np.sqrt(p.size)
    mass = integrate.quad(lambda x: float(law.density(np.array([10**x]))[0]), -3, -0.5)[0]
    assert abs(np.mean((p > 1e-3) & (p < 10**-0.5)) - mass) < 4 * np.sqrt(mass * (1 - mass) / p.size)


@pytest.mark.parametrize("accuracy,spread", [(0.01, 4.0), (0.3, 2.0), (0.95, 0.5)])
def test_logit_normal_has_the_accuracy_asked_for(accuracy, spread):
    center = float(difficulties.logit_normal_center(accuracy, spread))
    mean = integrate.quad(lambda z: expit(center + spread * z) * stats.norm.pdf(z), -12, 12, epsabs=1e-12)[0]
    assert mean == pytest.approx(accuracy, rel=1e-5)
    assert difficulties.logit_normal_difficulty(center, spread).accuracy == pytest.approx(mean, rel=1e-5)


def test_correlated_models_correlate_as_asked():
    p = difficulties.draw_correlated(np.random.default_rng(1), np.array([0.0, -2.0]), 1.5, 0.6, 40_000)
    logit = np.log(p) - np.log1p(-p)
    assert np.corrcoef(logit)[0, 1] == pytest.approx(0.6, abs=4 * (1 - 0.36) / 200)
    assert logit.mean(axis=1) == pytest.approx([0.0, -2.0], abs=4 * 1.5 / 200)


def test_estimator_is_unbiased_exactly():
    n, k = 23, np.array([1, 4, 11, 23])
    s = np.arange(n + 1)
    estimate = difficulties.coverage_estimator(s, np.full(n + 1, n), k)
    for p in (0.001, 0.2, 0.9):
        assert stats.binom.pmf(s, n, p) @ estimate == pytest.approx(1 - (1 - p) ** k, abs=1e-12)


def test_two_published_points_foretell_the_third():
    # 081: 15.9% of SWE-bench Lite at one sample and 56% at 250; its table reports 29.62% at five.
    a, b = difficulties.beta_through(0.159, 250, 0.56)
    assert (a, b) == pytest.approx((0.1220, 0.6454), abs=1e-4)
    assert 1 - difficulties.beta_failure(a, b, [1, 250]) == pytest.approx([0.159, 0.56], abs=1e-9)
    assert 1 - difficulties.beta_failure(a, b, 5) == pytest.approx(0.2962, abs=0.005)
    with pytest.raises(ValueError, match="between"):
        difficulties.beta_through(0.2, 10, 0.95)


def test_fit_is_the_maximum_of_scipys_beta_binomial_likelihood():
    rng = np.random.default_rng(2)
    samples = rng.integers(20, 200, 300)
    correct = rng.binomial(samples, rng.beta(0.4, 1.5, 300))
    a, b = difficulties.fit_beta(correct, samples)

    def likelihood(a, b):
        return stats.betabinom.logpmf(correct, samples, a, b).sum()

    best = likelihood(a, b)
    for factor in (0.99, 1.01):
        assert likelihood(a * factor, b) < best and likelihood(a, b * factor) < best
    # Within four of the asymptotic standard errors (curvature of the likelihood) of the truth.
    h = 1e-3
    curvature = -(likelihood(a * np.exp(h), b) - 2 * best + likelihood(a * np.exp(-h), b)) / h**2
    assert abs(np.log(a / 0.4)) < 4 * 1.5 / np.sqrt(curvature)
    doubled = difficulties.fit_beta(np.tile(correct, 2), np.tile(samples, 2))
    assert difficulties.fit_beta(correct, samples, np.full(300, 2)) == pytest.approx(doubled, rel=1e-4)


def test_tries_to_reach_inverts_coverage():
    law = difficulties.beta_difficulty(0.3, 1.7)
    found = difficulties.tries_to_reach(law.coverage(difficulties.REACH_TRIES), 0.6)
    assert law.coverage(10**found) == pytest.approx(0.6, abs=1e-3)
    bounded = difficulties.beta_difficulty(0.3, 1.7, 0.5)
    assert np.isnan(difficulties.tries_to_reach(bounded.coverage(difficulties.REACH_TRIES), 0.6))
