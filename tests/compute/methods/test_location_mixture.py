"""EM against scikit-learn and a general optimizer; Gibbs conditionals against quadrature and the exact posterior mean measure."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import norm
from sklearn.mixture import GaussianMixture

from compute.methods.location_mixture import best_em, chance_of_outlying, draw_atoms, em, gibbs, log_likelihood, outlying_mass

RNG = np.random.default_rng(0)
X = RNG.choice([-2.0, 1.0], 300)[:, None] + RNG.standard_normal((300, 1))


def test_log_likelihood_never_falls_and_is_that_of_scikit_learn():
    fit = em(X, X[:5], 1.0, 80)
    assert np.all(np.diff(fit.log_likelihood) > -1e-13)
    model = GaussianMixture(5, covariance_type="spherical")
    model.weights_, model.means_ = fit.weights, fit.means
    model.covariances_, model.precisions_cholesky_ = np.ones(5), np.ones(5)
    assert fit.log_likelihood[-1] == pytest.approx(model.score(X), abs=1e-12)
    assert log_likelihood(X, fit.means, fit.weights, 1.0) == pytest.approx(model.score(X), abs=1e-12)


def test_em_reaches_the_optimum_of_a_general_optimizer():
    fit = em(X, np.array([[-1.0], [0.5]]), 1.0, 400)

    def loss(theta):
        w = 1 / (1 + np.exp(-theta[0]))
        return -np.mean(np.log(w * norm(theta[1], 1).pdf(X[:, 0]) + (1 - w) * norm(theta[2], 1).pdf(X[:, 0])))

    best = minimize(loss, [0.0, -1.0, 0.5], tol=1e-10)
    assert fit.log_likelihood[-1] == pytest.approx(-best.fun, abs=1e-8)
    assert np.sort(fit.means[:, 0]) == pytest.approx(np.sort(best.x[1:]), abs=1e-3)


def test_counts_stand_for_repeated_rows():
    counts = np.random.default_rng(1).integers(0, 3, 300)
    start = X[:3]
    repeated, counted = em(np.repeat(X, counts, axis=0), start, 1.0, 30), em(X, start, 1.0, 30, counts.astype(float))
    assert counted.means == pytest.approx(repeated.means, abs=1e-12)
    assert counted.log_likelihood == pytest.approx(repeated.log_likelihood, abs=1e-12)


def test_more_atoms_are_likelier():
    fits = [best_em(X, k, 1.0, 150, 3, np.random.default_rng(2)).log_likelihood[-1] for k in (1, 2, 6)]
    assert fits[0] < fits[1] - 0.05 and fits[1] <= fits[2] + 1e-6


def test_atoms_given_labels_against_quadrature():
    size, sums = np.array([4.0, 2.0]), np.array([[3.0], [-5.0]])
    rng = np.random.default_rng(3)
    drawn = [draw_atoms(size, sums, 1.0, 0.7, 3.0, rng) for _ in range(8000)]
    means, weights = np.array([d.means[:, 0] for d in drawn]), np.array([d.weights for d in drawn])
    for k in (0, 1):

        def density(m, k=k):
            return np.exp(sums[k, 0] * m - size[k] * m**2 / 2) * norm(0, 3).pdf(m)

        mass = quad(density, -20, 20)[0]
        mean = quad(lambda m: m * density(m), -20, 20)[0] / mass
        assert abs(means[:, k].mean() - mean) < 4 * means[:, k].std() / np.sqrt(8000)

    def stick(v):
        return v**4 * (1 - v) ** 2 * (1 - v) ** (0.7 - 1)

    first = quad(lambda v: v * stick(v), 0, 1)[0] / quad(stick, 0, 1)[0]
    assert abs(weights[:, 0].mean() - first) < 4 * weights[:, 0].std() / np.sqrt(8000)
    assert weights.sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert drawn[0].expected_weights[0] == pytest.approx(first, abs=1e-10)
    assert drawn[0].center[0, 0] == pytest.approx(3 / (4 + 1 / 9), abs=1e-12)


def test_gibbs_against_the_exact_posterior_of_one_point():
    """One datum: E G = (alpha G_0 + posterior of its atom)/(alpha + 1), so that E[mean of G] is known."""
    alpha, t, x = 2.0, 3.0, 1.5
    rng = np.random.default_rng(4)
    found = [float(d.weights @ d.means[:, 0]) for d in gibbs(np.array([[x]]), 25, 1.0, alpha, t, 8000, rng)][100:]
    exact = x * t**2 / (1 + t**2) / (alpha + 1)
    batch = np.array(found[: len(found) // 50 * 50]).reshape(50, -1).mean(axis=1)
    assert abs(batch.mean() - exact) < 4 * batch.std(ddof=1) / np.sqrt(50)


def test_outlying_mass_counts_what_is_beyond_every_atom():
    means, weights, atoms = np.array([[0.0], [1.0], [5.0]]), np.array([0.5, 0.3, 0.2]), np.array([[0.0], [4.0]])
    assert outlying_mass(means, weights, atoms, np.array([0.5, 1.0, 2.0])) == pytest.approx([0.5, 0.0, 0.0])
    assert float(outlying_mass(means, weights, atoms, 0.99)) == pytest.approx(0.5)


def test_chance_of_outlying_is_the_share_of_normal_draws():
    rng, atoms, radius = np.random.default_rng(6), np.array([4.0, -4.0, 0.0]), np.array([1.0, 2.5, 6.0])
    center, spread = np.array([0.5, 3.0]), np.array([2.0, 5.0])
    exact = chance_of_outlying(center, spread, atoms, radius)
    for k in (0, 1):
        drawn = rng.normal(center[k], spread[k], 40_000)
        far = np.abs(drawn[:, None] - atoms).min(axis=1)
        share = (far[:, None] > radius).mean(axis=0)
        assert np.all(np.abs(share - exact[k]) < 4 * np.sqrt(exact[k] * (1 - exact[k]) / 40_000) + 1e-9)
